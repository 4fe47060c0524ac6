// userfaultfd(2): fs/userfaultfd.c. Contexts and their handshake, which mappings they watch, and what ioctls see. Who waits: userfault.ts; what is read: uffd-read.ts.
import type { OpenFile, VmaView } from '../../reducers/state.js';
import type { UffdView } from '../../reducers/uffd-state.js';
import { InodeKind, mmAt } from '../../reducers/state.js';
import {
  VM_MAYWRITE,
  VM_SPECIAL,
  VM_UFFD,
  VM_UFFD_MINOR,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
  findVmaIndex,
  userfaultfdMissing,
  userfaultfdWp,
  vmaIsAnonymous,
  vmaLookup,
  vmasIn,
} from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import type { Kernel } from './kernel.js';
import { EBUSY, EINVAL, ENOMEM, EPERM, TASK_SIZE, isPageAligned } from './kernel.js';
import { uffdWpRange } from './uffd-wp.js';
import { UFFD_FEATURE_WP_ASYNC, UFFD_FEATURE_WP_UNPOPULATED, hasFeature, uffdAt, wakeUserfault } from './userfault.js';
import { isolateRange, mergeVma } from './vma.js';

const UFFD_API = 0xaa;

/** All that 6.18 knows. */
const UFFD_API_FEATURES = 0x1ffff;
const UFFDIO_REGISTER_MODE_MISSING = 1;
const UFFDIO_REGISTER_MODE_WP = 2;
const UFFDIO_REGISTER_MODE_MINOR = 4;
/** What a registered range may be asked for, by bit, more than it will do; what protection and minor faults add. */
const RANGE_IOCTLS = 0x13c;
const RANGE_IOCTLS_WP = 0x40;
const RANGE_IOCTLS_MINOR = 0x80;

/** Has the handshake been made? */
export const isInitialized = ({ features }: UffdView): boolean => features >= 0;

/** The context that descriptor `file` leads to; null for another file. */
export function uffdOf(k: Kernel, { inode }: OpenFile): UffdView | null {
  if (k.view.inodes[inode]?.kind !== InodeKind.uffd) return null;
  return k.view.uffds.find((each) => each !== null && each.inode === inode) ?? null;
}

/** What UFFDIO_API says and is told; `features` as the kernel answers, with the range of ioctls. */
export function userfaultfdApi(k: Kernel, context: UffdView, api: number, features: number): number {
  if (api !== UFFD_API) return -EINVAL;
  if (features > UFFD_API_FEATURES || features < 0) return -EINVAL;
  if (isInitialized(context)) return -EINVAL;
  // Who resolves faults by itself must hear of none, whatever is there.
  const implied = (features & UFFD_FEATURE_WP_ASYNC) !== 0 ? UFFD_FEATURE_WP_UNPOPULATED : 0;
  k.emit({ type: 'UffdFeaturesSet', uffd: context.id, features: features | implied });
  return UFFD_API_FEATURES;
}

/** `validate_range()` of a context: page aligned, not empty, inside of user space. 0 or -EINVAL. */
export function validateRange(start: number, length: number): number {
  return isPageAligned(start) ? validateUnalignedRange(start, length) : -EINVAL;
}

/** `validate_unaligned_range()`: the start may be anywhere. */
export function validateUnalignedRange(start: number, length: number): number {
  if (!isPageAligned(length) || length === 0 || start >= TASK_SIZE) return -EINVAL;
  return length > TASK_SIZE - start ? -EINVAL : 0;
}

/** `mmget_not_zero()`: has the address space that the context watches any user left? */
export const isAlive = (k: Kernel, { mm }: UffdView): boolean => (k.view.mms[mm]?.users ?? 0) > 0;

/** `vma_can_userfault()`: can a mapping be watched for what VM_UFFD_* `wanted` says? @throws NotModelledError for files and hugetlb. */
function vmaCanUserfault(k: Kernel, vma: VmaView, wanted: number, async: boolean): boolean {
  if ((vma.flags & VM_SPECIAL) !== 0) return false;
  if (vmaIsAnonymous(vma)) return (wanted & VM_UFFD_MINOR) === 0;
  const kind = k.view.inodes[vma.inode]?.kind;
  if (kind === InodeKind.shmem) return shmemCanUserfault(k, wanted);
  if (kind === InodeKind.hugetlbfs) throw new NotModelledError('userfaultfd on hugetlb');
  if (async && wanted === VM_UFFD_WP) throw new NotModelledError('userfaultfd on files');
  return false;
}

/** What a mapping of a file in memory can be watched for: minor faults since 5.14, writes since 5.19. */
const shmemCanUserfault = (k: Kernel, wanted: number): boolean =>
  ((wanted & VM_UFFD_MINOR) === 0 || k.behaviours['uffd-minor-shmem']) &&
  ((wanted & VM_UFFD_WP) === 0 || k.behaviours['uffd-wp-shmem']);

/** `userfaultfd_register()` of [start, start + length) bytes. @returns the ioctls that the range may be asked for, or an errno. */
export function userfaultfdRegister(k: Kernel, context: UffdView, start: number, length: number, mode: number): number {
  const known = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MINOR;
  if (mode === 0 || mode > known) return -EINVAL;
  const error = validateRange(start, length);
  if (error !== 0) return error;
  if (!isAlive(k, context)) return -ENOMEM;
  const { id, mm } = context;
  const async = hasFeature(context, UFFD_FEATURE_WP_ASYNC);
  const wanted =
    ((mode & UFFDIO_REGISTER_MODE_MISSING) !== 0 ? VM_UFFD_MISSING : 0) |
    ((mode & UFFDIO_REGISTER_MODE_WP) !== 0 ? VM_UFFD_WP : 0) |
    ((mode & UFFDIO_REGISTER_MODE_MINOR) !== 0 ? VM_UFFD_MINOR : 0);
  const end = start + length;
  const touched = vmasIn(mmAt(k.view, mm), start, end);
  if (touched.length === 0) return -EINVAL;
  for (const vma of touched) {
    if (!vmaCanUserfault(k, vma, wanted, async)) return -EINVAL;
    if ((vma.flags & VM_MAYWRITE) === 0) return -EPERM;
    if (vma.uffd !== undefined && vma.uffd !== id) return -EBUSY;
  }
  const failed = changeContext(k, mm, start, end, ({ uffd, flags }) =>
    uffd === id && (flags & wanted) === wanted ? null : { uffd: id, flags: (flags & ~VM_UFFD) | wanted },
  );
  if (failed !== 0) return failed;
  const more =
    ((wanted & VM_UFFD_WP) !== 0 ? RANGE_IOCTLS_WP : 0) | ((wanted & VM_UFFD_MINOR) !== 0 ? RANGE_IOCTLS_MINOR : 0);
  return RANGE_IOCTLS | more;
}

/** What `change` makes of the context and VM_* flags of each VMA in [start, end), cut at its borders; null: it stays as it is. 0 or -ENOMEM. */
function changeContext(
  k: Kernel,
  mm: number,
  start: number,
  end: number,
  change: (vma: VmaView) => { readonly uffd: number; readonly flags: number } | null,
): number {
  for (let at = start; at < end;) {
    const now = mmAt(k.view, mm);
    const vma = now.vmas[findVmaIndex(now, at)];
    if (vma === undefined || vma.start >= end) break;
    const [from, to] = [Math.max(vma.start, start), Math.min(vma.end, end)];
    at = to;
    const changed = change(vma);
    if (changed === null) continue;
    const error = isolateRange(k, mm, from, to);
    if (error !== 0) return error;
    k.emit({ type: 'UffdVmaSet', mm, start: from, ...changed });
    mergeVma(k, mm, from);
  }
  return 0;
}

/** `userfaultfd_unregister()`: waiters of ranges that are watched for missing pages are woken, others are left. 0 or an errno. */
export function userfaultfdUnregister(k: Kernel, context: UffdView, start: number, length: number): number {
  const error = validateRange(start, length);
  if (error !== 0) return error;
  if (!isAlive(k, context)) return -ENOMEM;
  const { id, mm } = context;
  const end = start + length;
  const touched = vmasIn(mmAt(k.view, mm), start, end);
  if (touched.length === 0) return -EINVAL;
  const async = hasFeature(context, UFFD_FEATURE_WP_ASYNC);
  for (const vma of touched) {
    if (vma.uffd !== undefined && vma.uffd !== id && k.behaviours['uffd-unregister-own-only']) return -EINVAL;
    if (!vmaCanUserfault(k, vma, vma.flags & VM_UFFD, async)) return -EINVAL;
  }
  for (const vma of touched.map((each) => ({ ...each }))) {
    const [from, to] = [Math.max(vma.start, start), Math.min(vma.end, end)];
    if (vma.uffd === undefined) continue;
    if (userfaultfdMissing(vma)) wakeUserfault(k, uffdAt(k, vma.uffd), from, to - from);
    const failed = clearContext(k, mm, from, to);
    if (failed !== 0) return failed;
  }
  return 0;
}

/** `userfaultfd_clear_vma()` of [start, end), part of a VMA that is watched: no entry stays write-protected. */
function clearContext(k: Kernel, mm: number, start: number, end: number): number {
  const vma = vmaLookup(mmAt(k.view, mm), start) as VmaView;
  if (userfaultfdWp(vma)) uffdWpRange(k, mm, vma, start, end, false);
  return changeContext(k, mm, start, end, ({ flags }) => ({ uffd: 0, flags: flags & ~VM_UFFD }));
}

/** `userfaultfd_release()`: the last descriptor is gone. Nothing is watched any more, and who waited tries again. */
export function userfaultfdRelease(k: Kernel, context: UffdView): void {
  const { id, mm } = context;
  k.emit({ type: 'UffdReleased', uffd: id });
  if (isAlive(k, context))
    for (const { start, end } of mmAt(k.view, mm)
      .vmas.filter((vma) => vma.uffd === id)
      .map((vma) => ({ ...vma })))
      clearContext(k, mm, start, end);
  wakeUserfault(k, uffdAt(k, id), 0, 0);
}

/** UFFDIO_WAKE. 0 or -EINVAL. */
export function userfaultfdWake(k: Kernel, context: UffdView, start: number, length: number): number {
  const error = validateRange(start, length);
  if (error === 0) wakeUserfault(k, context, start, length);
  return error;
}
