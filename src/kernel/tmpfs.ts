// Mounting tmpfs, and opening files in it: shmem_parse_one(), shmem_fill_super() of mm/shmem.c, and what of fs/namei.c that needs.
import { NotModelledError } from '../lib/errors.js';
import { F_SEAL } from './seals.js';
import type { Kernel } from './kernel.js';
import { EEXIST, EINVAL, ENOENT, PAGE_SIZE } from './kernel.js';
import { tmpfsHugeOption } from './shmem-huge.js';
import { createShmemInode } from './shmem.js';

const O_CREAT = 0o100;
const O_EXCL = 0o200;

/** What huge= may say: which files get large folios. */
export const HUGE_WORDS: readonly string[] = ['never', 'always', 'within_size', 'advise'];

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** Bytes that options of a tmpfs give it: `size=N[kmg]`; null without, or if that is no number. */
export function tmpfsBytes(data: string): number | null {
  const [, digits, unit = ''] = /(?:^|,)size=(\d+)([kmg]?)(?:,|$)/i.exec(data) ?? [];
  return digits === undefined ? null : Number(digits) * (UNITS[unit.toLowerCase()] as number);
}

/**
 * mount(2) of a tmpfs at `name` with options `data`: `size=N[kmg]`, which it must have, `huge=` never, always, within_size or advise, `mode=N`. @returns 0 or -EINVAL.
 * @throws NotModelledError for other options, and without a size: half of the machine's memory then has room.
 */
export function mountTmpfs(k: Kernel, name: string, data: string): number {
  let huge = 'never';
  for (const option of data.split(',').filter((each) => each !== '')) {
    const [key = '', value = ''] = option.split('=');
    if (key === 'size' && value.endsWith('%')) throw new NotModelledError('tmpfs with a share of all memory');
    if (key === 'size') {
      if (tmpfsBytes(option) === null) return -EINVAL;
    } else if (key === 'huge') {
      if (!HUGE_WORDS.includes(value)) return -EINVAL;
      huge = value;
    } else if (key !== 'mode') throw new NotModelledError(`tmpfs with ${option}`);
  }
  const bytes = tmpfsBytes(data);
  if (bytes === null) throw new NotModelledError('tmpfs without a size');
  if (k.view.tmpfs.some((each) => each.name === name)) throw new NotModelledError('two mounts at one place');
  k.emit({ type: 'TmpfsMounted', sb: k.view.tmpfs.length, name, maxBlocks: Math.ceil(bytes / PAGE_SIZE) });
  if (huge !== 'never') k.emit({ type: 'SettingWritten', name: tmpfsHugeOption(name), value: huge });
  return 0;
}

/** Number of the tmpfs that `path` lies in, -1 for none. */
export const tmpfsOf = (k: Kernel, path: string): number =>
  k.view.tmpfs.findIndex(({ name }) => path.startsWith(`${name}/`));

/**
 * `do_open()` of `path` in tmpfs `sb`: its file, a new one with O_CREAT; else a negative errno.
 * @throws NotModelledError for a file in a folder.
 */
export function openInTmpfs(k: Kernel, path: string, sb: number, flags: number): number {
  const rest = path.slice((k.view.tmpfs[sb]?.name.length ?? 0) + 1);
  if (rest === '' || rest.includes('/')) throw new NotModelledError('folders in tmpfs');
  const known = k.view.inodeByName[path];
  if (known !== undefined) return (flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL) ? -EEXIST : known;
  if ((flags & O_CREAT) === 0) return -ENOENT;
  return createShmemInode(k, path, 0, { noreserve: true, seals: F_SEAL.SEAL, mode: 0, sb });
}
