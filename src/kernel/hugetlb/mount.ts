// Mounts of hugetlbfs with their bounds, and files that have a name in them: hugetlbfs_parse_param(), hugetlbfs_fill_super() of fs/hugetlbfs/inode.c.
import type { KernelView } from '../../../reducers/state.js';
import { NotModelledError } from '../../lib/errors.js';
import type { Kernel } from '../kernel.js';
import { EBUSY, EEXIST, EINVAL, ENOENT, ENOMEM } from '../kernel.js';
import { F_SEAL } from '../seals.js';
import { evict, hugetlbFileSetup, isReachable } from './file.js';
import { HUGE_PAGE_SIZE, acctMemory } from './pool.js';

const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_DIRECT = 0o40000;

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** Bounds of a mount in bytes, or (`percent`) in hundredths of the pool; -1 for none. */
export interface HugetlbfsBounds {
  readonly size: number;
  readonly min: number;
  readonly percent: readonly string[];
}

/**
 * `hugetlbfs_parse_param()`: options `size=`, `min_size=` (`N[kmgt]` or `N%`), `mode=`, `pagesize=2M`. Null for a size that is no number.
 * @throws NotModelledError for others.
 */
export function hugetlbfsBounds(data: string): HugetlbfsBounds | null {
  const bounds = { size: -1, min: -1, percent: [] as string[] };
  for (const option of data.split(',').filter((each) => each !== '')) {
    const [key = '', value = ''] = option.split('=');
    if (key === 'mode' || (key === 'pagesize' && value === '2M')) continue;
    if (key !== 'size' && key !== 'min_size') throw new NotModelledError(`hugetlbfs with ${option}`);
    const [, digits = '', unit = '', percent = ''] = /^(\d+)([kmgt]?)(%?)$/i.exec(value) ?? [];
    if (!/^\d/.test(value)) return null;
    if (digits === '') throw new NotModelledError(`hugetlbfs with ${option}`);
    bounds[key === 'size' ? 'size' : 'min'] = Number(digits) * (UNITS[unit.toLowerCase()] as number);
    if (percent !== '') bounds.percent.push(key);
  }
  return bounds;
}

/**
 * mount(2) of a hugetlbfs at `name`: `hugepage_new_subpool()` reserves its minimum at once. @returns 0, -EINVAL for bounds that cross, or -ENOMEM where the pool has too few.
 * @throws NotModelledError for other options, and with bounds before 4.3.
 */
export function mountHugetlbfs(k: Kernel, name: string, data: string): number {
  const bounds = hugetlbfsBounds(data);
  if (bounds === null) return -EINVAL;
  const pages = (key: string, bytes: number): number => {
    const all = bounds.percent.includes(key) ? Math.floor((bytes * k.view.hugetlb.max * HUGE_PAGE_SIZE) / 100) : bytes;
    return bytes < 0 ? -1 : Math.floor(all / HUGE_PAGE_SIZE);
  };
  const [max, min] = [pages('size', bounds.size), pages('min_size', bounds.min)];
  if (!k.behaviours['hugetlb-fallocate']) throw new NotModelledError('mounts of hugetlbfs before 4.3');
  if (max >= 0 && min > max) return -EINVAL;
  const { subpools } = k.view.hugetlb;
  const known = k.view.tmpfs.some((each) => each.name === name) || subpools.some((each) => each.name === name);
  if (known) throw new NotModelledError('two mounts at one place');
  if (k.view.inodes.some((inode) => inode?.name.startsWith(`${name}/`)))
    throw new NotModelledError('a place that was mounted before');
  if (min > 0 && acctMemory(k, min) !== 0) return -ENOMEM;
  k.emit({ type: 'HugetlbfsMounted', sb: subpools.length, name, max, min });
  return 0;
}

/** Number of the hugetlbfs that `path` lies in, -1 for none. */
export const hugetlbfsOf = ({ hugetlb }: KernelView, path: string): number =>
  hugetlb.subpools.findIndex(({ name }) => name !== '' && path.startsWith(`${name}/`));

/**
 * `do_open()` of `path` in hugetlbfs `sb`: its file, a new one with O_CREAT; else a negative errno.
 * @throws NotModelledError for a file in a folder.
 */
export function openInHugetlbfs(k: Kernel, path: string, sb: number, flags: number): number {
  const rest = path.slice((k.view.hugetlb.subpools[sb]?.name.length ?? 0) + 1);
  if (rest === '' || rest.includes('/')) throw new NotModelledError('folders in hugetlbfs');
  const known = k.view.inodeByName[path];
  if (known === undefined && (flags & O_CREAT) === 0) return -ENOENT;
  if (known !== undefined && (flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL)) return -EEXIST;
  const inode = known ?? hugetlbFileSetup(k, path, 0);
  if (known === undefined) k.emit({ type: 'HugetlbFileSet', inode, sb, seals: F_SEAL.SEAL, mode: 0 });
  // It has no direct I/O; the file is there then all the same.
  return (flags & O_DIRECT) !== 0 ? -EINVAL : inode;
}

/**
 * umount2(2) of the hugetlbfs at `name`: its files go, and with the last page what it had reserved (`unlock_or_release_subpool()`): not where Linux counts pages as
 * used that are not, which it does after it refused one. @returns 0, or -EBUSY where a file of it is open or mapped.
 * @throws NotModelledError for pages that outlive it.
 */
export function umountHugetlbfs(k: Kernel, name: string): number {
  const sb = k.view.hugetlb.subpools.findIndex((each) => each.name === name);
  if (sb < 0) return -EINVAL;
  const files = k.view.hugetlb.files.filter((each) => each.sb === sb).map(({ inode }) => inode);
  if (files.some((inode) => isReachable(k.view, inode))) return -EBUSY;
  for (const inode of files) evict(k, inode);
  if (k.view.hugetlb.charged.some((each) => each.sb === sb))
    throw new NotModelledError('huge pages that outlive their hugetlbfs');
  k.emit({ type: 'HugetlbfsUnmounted', sb });
  const { max = -1, min = -1, used = 0, rsv = 0 } = k.view.hugetlb.subpools[sb] ?? {};
  if (min > 0 && (max >= 0 ? used === 0 : rsv === min)) acctMemory(k, -min);
  return 0;
}
