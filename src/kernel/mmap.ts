// mmap, munmap, brk: mm/mmap.c. mmap_lock held for write.
import type { MmView, OpenFile, VmaView } from '../../reducers/state.js';
import { InodeKind, mmAt } from '../../reducers/state.js';
import {
  VM_ACCOUNT,
  VM_DONTEXPAND,
  VM_GROWSDOWN,
  VM_HUGETLB,
  VM_LOCKED,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
  VM_EXEC,
  findVmaIndex,
  isHugetlb,
  vmasIn,
} from '../../reducers/vma.js';
import { NotModelledError } from '../lib/errors.js';
import type { Kernel, KernelThread } from './kernel.js';
import {
  EACCES,
  EAGAIN,
  EBADF,
  EEXIST,
  EINVAL,
  ENOMEM,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  PAGE_SIZE,
  TASK_SIZE,
  currentTask,
  isPageAligned,
  pageAlign,
  pageDown,
} from './kernel.js';
import { mapRing, ringMapError, ringVmFlags } from './io-uring-rings.js';
import { mmPopulate } from './gup.js';
import { NO_FILE, createInode } from './files.js';
import { memfdCheckSealsMmap } from './memfd.js';
import { F_SEAL } from './seals.js';
import { createShmemInode, shmemInfo } from './shmem.js';
import { mayHaveLargeFolios } from './shmem-huge.js';
import { evictUnreachable, hugetlbMmap, isHugetlbfs } from './hugetlb/file.js';
import { HUGE_PAGE_SIZE, hugeAlign } from './hugetlb/pool.js';
import { markNewVma, newVmaFlag } from './soft-dirty.js';
import type { UnmapNotices } from './uffd-events.js';
import { unmapNotices, userfaultfdUnmapComplete } from './uffd-events.js';
import { STACK_GUARD_GAP, MMAP_MIN_ADDR, accountVma, anonPgoff, doMunmap, gatherMunmap, insertVma } from './vma.js';

export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;
const PROT_GROWSDOWN = 0x01000000;
const PROT_GROWSUP = 0x02000000;
/** Bits mprotect and mmap know. */
export const PROT_KNOWN = 0xf | PROT_GROWSDOWN | PROT_GROWSUP;

export const MAP_SHARED = 0x1;
export const MAP_PRIVATE = 0x2;
const MAP_SHARED_VALIDATE = 0x3;
const MAP_DROPPABLE = 0x8;
const MAP_TYPE = 0xf;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
const MAP_GROWSDOWN = 0x100;
const MAP_LOCKED = 0x2000;
const MAP_STACK = 0x20000;
/** Flags that every file system is taken to know: `LEGACY_MAP_MASK`, with the type's bits. */
const LEGACY_MAP_MASK = 0x7c07f9f3;
const MAP_NORESERVE = 0x4000;
const MAP_POPULATE = 0x8000;
const MAP_NONBLOCK = 0x10000;
const MAP_HUGETLB = 0x40000;
const MAP_HUGE_SHIFT = 26;
const MAP_HUGE_MASK = 0x3f;
/** Sizes of huge pages as powers of two. */
const HUGE_2MB = 21;
const HUGE_1GB = 30;
const MAP_FIXED_NOREPLACE = 0x100000;

const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_RDWR = 2;

/** VM_READ, VM_WRITE, VM_EXEC of PROT_*: `calc_vm_prot_bits()`. */
export const protToVm = (prot: number): number => prot & (VM_READ | VM_WRITE | VM_EXEC);
const MAY_ALL = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;

/** Pages charged for a mapping with these flags: `accountable_mapping()`. */
export const isAccountable = (flags: number): boolean => (flags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) === VM_WRITE;

/** `__vm_enough_memory()` in overcommit mode 0: only a single request beyond all memory is refused. */
export const enoughMemory = (k: Kernel, pages: number): boolean => pages <= k.machine.totalPages;

/** Arguments of mmap(2); `file` is what `fd` leads to, null if it leads nowhere. */
export interface MmapCall {
  readonly addr: number;
  readonly length: number;
  readonly prot: number;
  readonly flags: number;
  readonly file: OpenFile | null;
  readonly offset: number;
  /** From a recording? */
  readonly recorded: boolean;
}

/** `round_hint_to_min()`: a hint means the page it lies in, and never one below vm.mmap_min_addr. */
function roundHintToMin(hint: number): number {
  const page = pageDown(hint);
  return page === 0 ? 0 : Math.max(page, MMAP_MIN_ADDR);
}

/** Result of a placement search that found no room. */
const NO_ROOM = -ENOMEM;

/** `vm_start_gap()`. */
const startGap = (k: Kernel, vma: VmaView): number =>
  (vma.flags & VM_GROWSDOWN) === 0 || !k.behaviours['stack-guard-gap']
    ? vma.start
    : Math.max(0, vma.start - STACK_GUARD_GAP);

/** Is [addr, addr + length) free, and the gap below what follows? */
function fits(k: Kernel, mm: MmView, addr: number, length: number): boolean {
  const next = mm.vmas[findVmaIndex(mm, addr)];
  return next === undefined || addr + length <= startGap(k, next);
}

/**
 * `unmapped_area_topdown()`: highest gap of `length` bytes below the mmap base. A gap that is large enough but for the guard gap of the
 * growing mapping right above it lowers the limit for all that follow; one that is too small anyway does not.
 */
function unmappedAreaTopdown(k: Kernel, mm: MmView, length: number): number {
  let limit = mm.mmapBase;
  for (let i = mm.vmas.length; i >= 0; i--) {
    const next = mm.vmas[i];
    const floor = mm.vmas[i - 1]?.end ?? MMAP_MIN_ADDR;
    let top = Math.min(limit, next?.start ?? limit);
    if (top - floor < length) continue;
    if (next !== undefined && startGap(k, next) < top) top = limit = startGap(k, next);
    if (top - floor >= length) return top - length;
  }
  return NO_ROOM;
}

/** `get_unmapped_area()`: the hint if it is free, else the place the driver knows, else the highest gap. */
export function* getUnmappedArea(
  k: Kernel,
  mm: number,
  addr: number,
  length: number,
  what: 'mmap' | 'mremap' | 'shmat',
  align = PAGE_SIZE,
): KernelThread<number> {
  if (length > TASK_SIZE) return -ENOMEM;
  const told = yield { op: 'place', what };
  if (told >= 0) return told;
  const now = mmAt(k.view, mm);
  const hint = Math.ceil(addr / align) * align;
  if (hint > 0 && hint + length <= TASK_SIZE && fits(k, now, hint, length)) return hint;
  if (align === PAGE_SIZE) return unmappedAreaTopdown(k, now, length);
  // A gap is looked for that is large enough wherever it begins.
  const found = unmappedAreaTopdown(k, now, length + align - PAGE_SIZE);
  if (found < 0) return found;
  const highest = found + align - PAGE_SIZE;
  return highest - (highest % align);
}

/** What is left to do when mmap_lock is dropped. */
interface Afterwards {
  readonly notices: UnmapNotices;
  populate: boolean;
}

/** `vm_mmap_pgoff()`: maps, tells monitors of what gave way, and faults in what was asked for. Returns the address or a negative errno. */
export function* doMmap(k: Kernel, tid: number, call: MmapCall): KernelThread<number> {
  const afterwards: Afterwards = { notices: unmapNotices(tid), populate: false };
  const addr = yield* mmapRegion(k, tid, call, afterwards);
  yield* userfaultfdUnmapComplete(k, afterwards.notices);
  if (!afterwards.populate) return addr;
  const length =
    (call.flags & MAP_HUGETLB) !== 0 || isOfHugetlbfs(k, call) ? hugeAlign(call.length) : pageAlign(call.length);
  yield* mmPopulate(k, tid, addr, addr + length);
  return addr;
}

const isOfHugetlbfs = (k: Kernel, { file }: MmapCall): boolean => file !== null && isHugetlbfs(k.view, file.inode);

/** `do_mmap()`, `mmap_region()`. Returns the address or a negative errno. */
function* mmapRegion(k: Kernel, tid: number, call: MmapCall, afterwards: Afterwards): KernelThread<number> {
  const { flags, prot, file } = call;
  const anonymous = (flags & MAP_ANONYMOUS) !== 0;
  if (!isPageAligned(call.offset)) return -EINVAL;
  if (!anonymous && file === null) return -EBADF;
  const ofFile = isOfHugetlbfs(k, call);
  if ((flags & MAP_HUGETLB) !== 0 && !anonymous && !ofFile) return -EINVAL;
  const hugetlb = ofFile || (flags & MAP_HUGETLB) !== 0;
  if (hugetlb && anonymous && !isKnownHugeSize((flags >>> MAP_HUGE_SHIFT) & MAP_HUGE_MASK)) return -EINVAL;
  if (call.length === 0) return -EINVAL;
  const length = hugetlb ? hugeAlign(call.length) : pageAlign(call.length);
  if (length >= 2 ** 64) return -ENOMEM;
  if (call.offset / PAGE_SIZE + length / PAGE_SIZE >= 2 ** 52) return -EOVERFLOW;
  const mm = currentTask(k, tid).mm;
  if (mmAt(k.view, mm).vmas.length > k.machine.maxMapCount) return -ENOMEM;
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  const ringError = ringMapError(k, file, call.offset, fixed ? call.addr : roundHintToMin(call.addr));
  if (ringError !== 0) return ringError;
  const align = hugetlb ? HUGE_PAGE_SIZE : PAGE_SIZE;
  let addr = fixed ? call.addr : yield* getUnmappedArea(k, mm, roundHintToMin(call.addr), length, 'mmap', align);
  if (addr < 0) return addr;
  if (!fixed && !hugetlb && addr !== call.addr && !call.recorded && isAlignedForHugePages(k, flags, file, length))
    throw new NotModelledError('the place of a mapping of a file in memory that may have large folios');
  if (fixed) {
    if (length > TASK_SIZE || addr > TASK_SIZE - length) return -ENOMEM;
    if (addr % align !== 0) return -EINVAL;
  }
  if ((flags & MAP_FIXED_NOREPLACE) !== 0 && vmasIn(mmAt(k.view, mm), addr, addr + length).length > 0) return -EEXIST;

  const type = flags & MAP_TYPE;
  if (type === MAP_DROPPABLE) throw new NotModelledError('mmap with MAP_DROPPABLE');
  // The type that refuses unknown flags is one of files: without a file there is nobody to ask which are known.
  const validated = type === MAP_SHARED_VALIDATE && !anonymous;
  if (type !== MAP_SHARED && type !== MAP_PRIVATE && !validated) return -EINVAL;
  if (validated && (flags & ~LEGACY_MAP_MASK) !== 0) return -EOPNOTSUPP;
  const shared = type !== MAP_PRIVATE;
  let vmFlags = protToVm(prot) | MAY_ALL | mmAt(k.view, mm).defFlags;
  if ((flags & MAP_LOCKED) !== 0) vmFlags |= VM_LOCKED;
  if ((flags & MAP_STACK) !== 0 && k.behaviours['map-stack-nohugepage']) vmFlags |= VM_NOHUGEPAGE;
  if ((flags & MAP_GROWSDOWN) !== 0) {
    if (shared || !anonymous) return -EINVAL;
    vmFlags |= VM_GROWSDOWN;
  }
  if (shared) vmFlags |= VM_SHARED | VM_MAYSHARE;
  const mayRead = anonymous || file === null || (file.flags & O_ACCMODE) !== O_WRONLY;
  const mayWrite = anonymous || file === null || (file.flags & O_ACCMODE) === O_RDWR;
  if (!mayRead) return -EACCES;
  const ring = file !== null && k.view.inodes[file.inode]?.kind === InodeKind.ring;
  if (ring && !shared) throw new NotModelledError('private mappings of io_uring');
  // path_noexec(): nothing of it can be run.
  if (ring && (prot & PROT_EXEC) !== 0) return -EPERM;
  if (ring) vmFlags &= ~VM_MAYEXEC;
  if (shared && !mayWrite) {
    if ((prot & PROT_WRITE) !== 0) return -EACCES;
    vmFlags &= ~(VM_SHARED | VM_MAYWRITE);
  }
  if (file !== null) vmFlags = memfdCheckSealsMmap(k, file.inode, vmFlags);
  if (vmFlags < 0) return vmFlags;
  if ((flags & MAP_NORESERVE) !== 0) vmFlags |= VM_NORESERVE;
  if (lockLimitError(k, mm, vmFlags, length) !== 0) return -EAGAIN;
  if (hugetlb) vmFlags |= VM_HUGETLB | VM_DONTEXPAND;
  else if (isAccountable(vmFlags)) vmFlags |= VM_ACCOUNT;
  // What is to be replaced is cut off before anybody knows whether the mapping may be, and stays so.
  const refused = gatherMunmap(k, mm, addr, addr + length, afterwards.notices);
  if (refused !== 0) return refused;
  if (!mayMap(k, mm, addr, length, vmFlags)) return -ENOMEM;
  const replaced = vmasIn(mmAt(k.view, mm), addr, addr + length)
    .filter(isHugetlb)
    .map(({ inode }) => inode);
  const unmapped = doMunmap(k, mm, addr, addr + length, currentTask(k, tid).cpu, { replacing: true });
  if (unmapped < 0) return unmapped;
  // shmem_zero_setup() charges the object behind shared anonymous memory as a whole; what was mapped before is gone already.
  if (anonymous && shared && (flags & MAP_NORESERVE) === 0 && !enoughMemory(k, length / PAGE_SIZE)) return -ENOMEM;
  const populate = (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE || (vmFlags & VM_LOCKED) !== 0;
  if (hugetlb) {
    const error = hugetlbMmap(k, mm, { start: addr, length, flags: vmFlags & ~VM_LOCKED, file, offset: call.offset });
    // vms_complete_munmap_vmas(): what files of replaced mappings had reserved was not to be had yet.
    for (const each of replaced) evictUnreachable(k, each);
    if (error !== 0) return error;
    accountVma(k, mm, vmFlags & ~VM_LOCKED, length / PAGE_SIZE, 1);
    afterwards.populate = populate;
    return addr;
  }
  for (const each of replaced) evictUnreachable(k, each);
  const inode = anonymous
    ? shared
      ? createSharedAnonymous(k, length, vmFlags, call.recorded)
      : 0
    : (file as OpenFile).inode;
  const pgoff = anonymous ? (shared ? 0 : anonPgoff(addr)) : call.offset / PAGE_SIZE;
  const opened = file === null ? NO_FILE : file.file;
  if (ring) vmFlags |= ringVmFlags(k);
  insertVma(k, mm, {
    start: addr,
    end: addr + length,
    flags: vmFlags | newVmaFlag(k),
    pgoff,
    inode,
    file: opened,
    anonVma: 0,
    chain: [],
  });
  markNewVma(k, mm, addr);
  accountVma(k, mm, vmFlags, length / PAGE_SIZE, 1);
  if (ring) mapRing(k, mm, addr);
  afterwards.populate = populate;
  return addr;
}

/** `hstate_sizelog()`: 0 is the default size. @throws NotModelledError for the size of 1 GiB. */
function isKnownHugeSize(log: number): boolean {
  if (log === HUGE_1GB) throw new NotModelledError('huge pages of other sizes than 2 MiB');
  return log === 0 || log === HUGE_2MB;
}

/** Do the address space limit, less what is replaced, and the commit limit allow the mapping? */
function mayMap(k: Kernel, mm: number, addr: number, length: number, flags: number): boolean {
  let replaced = 0;
  for (const vma of vmasIn(mmAt(k.view, mm), addr, addr + length))
    replaced += Math.min(vma.end, addr + length) - Math.max(vma.start, addr);
  if (spaceLimitError(k, mm, length - replaced) !== 0) return false;
  return (flags & VM_ACCOUNT) === 0 || enoughMemory(k, length / PAGE_SIZE);
}

/** `mlock_future_ok()`: EAGAIN beyond RLIMIT_MEMLOCK. */
export function lockLimitError(k: Kernel, mm: number, flags: number, bytes: number): number {
  if ((flags & VM_LOCKED) === 0 || k.machine.memlockLimit < 0) return 0;
  return mmAt(k.view, mm).lockedVm * PAGE_SIZE + bytes > k.machine.memlockLimit ? EAGAIN : 0;
}

/** `may_expand_vm()`: ENOMEM beyond RLIMIT_AS. */
export function spaceLimitError(k: Kernel, mm: number, bytes: number): number {
  if (k.machine.addressSpaceLimit < 0) return 0;
  return mmAt(k.view, mm).totalVm * PAGE_SIZE + bytes > k.machine.addressSpaceLimit ? ENOMEM : 0;
}

/** `shmem_get_unmapped_area()`: does it look for a place that is aligned for large folios? */
function isAlignedForHugePages(k: Kernel, flags: number, file: OpenFile | null, length: number): boolean {
  if (length === PAGE_SIZE || (file === null && (flags & MAP_TYPE) === MAP_PRIVATE)) return false;
  return (file === null || shmemInfo(k, file.inode) !== undefined) && mayHaveLargeFolios(k, file?.inode ?? 0);
}

/** `shmem_zero_setup()`: the object behind shared anonymous memory. It pays for each page with VM_NORESERVE, otherwise for all of its size at once. */
function createSharedAnonymous(k: Kernel, bytes: number, vmFlags: number, recorded: boolean): number {
  const name = '/dev/zero (deleted)';
  // What others do to memory of a recording is not known.
  if (recorded) return createInode(k, name, InodeKind.shmem, bytes, 0);
  const noreserve = (vmFlags & VM_NORESERVE) !== 0;
  return createShmemInode(k, name, bytes, { noreserve, seals: F_SEAL.SEAL, mode: 0o111 });
}

/** munmap(2): `__vm_munmap()`. */
export function* vmMunmap(k: Kernel, tid: number, start: number, length: number): KernelThread<number> {
  if (!isPageAligned(start) || start > TASK_SIZE || length > TASK_SIZE - start) return -EINVAL;
  const end = start + pageAlign(length);
  if (end === start) return -EINVAL;
  const { mm, cpu } = currentTask(k, tid);
  const notices = unmapNotices(tid);
  const error = doMunmap(k, mm, start, end, cpu, { notices });
  yield* userfaultfdUnmapComplete(k, notices);
  return error;
}

/** Where the heap begins in an address space whose execve did not say. */
const DEFAULT_BRK = 0x555555800000;

/** brk(2). Returns the break afterwards, which is the old one if the request was refused. */
export function* doBrk(k: Kernel, tid: number, wanted: number): KernelThread<number> {
  const mm = currentTask(k, tid).mm;
  if (mmAt(k.view, mm).startBrk === 0) {
    // execve set it, but no record shows it: the first answer to brk(NULL) does.
    const told = yield { op: 'place', what: 'brk' };
    const brk = told >= 0 && wanted === 0 ? told : DEFAULT_BRK;
    k.emit({ type: 'BrkSet', mm, startBrk: brk, brk });
  }
  const { brk: old, startBrk, defFlags } = mmAt(k.view, mm);
  if (wanted < startBrk) return old;
  const newEnd = pageAlign(wanted);
  const oldEnd = pageAlign(old);
  const set = (): number => {
    k.emit({ type: 'BrkSet', mm, startBrk, brk: wanted });
    return wanted;
  };
  if (newEnd === oldEnd) return set();
  if (wanted <= old) {
    const notices = unmapNotices(tid);
    const error = doMunmap(k, mm, newEnd, oldEnd, currentTask(k, tid).cpu, { notices });
    const now = error < 0 ? old : set();
    yield* userfaultfdUnmapComplete(k, notices);
    return now;
  }
  const bytes = newEnd - oldEnd;
  const now = mmAt(k.view, mm);
  const next = now.vmas[findVmaIndex(now, oldEnd)];
  if (newEnd > TASK_SIZE || (next !== undefined && next.start < newEnd + PAGE_SIZE && next.end > oldEnd)) return old;
  const flags = protToVm(PROT_READ | PROT_WRITE) | MAY_ALL | VM_ACCOUNT | defFlags;
  if (lockLimitError(k, mm, flags, bytes) || spaceLimitError(k, mm, bytes)) return old;
  if (now.vmas.length > k.machine.maxMapCount || !enoughMemory(k, bytes / PAGE_SIZE)) return old;
  insertVma(k, mm, {
    start: oldEnd,
    end: newEnd,
    flags: flags | newVmaFlag(k),
    pgoff: anonPgoff(oldEnd),
    inode: 0,
    file: NO_FILE,
    anonVma: 0,
    chain: [],
  });
  markNewVma(k, mm, oldEnd);
  accountVma(k, mm, flags, bytes / PAGE_SIZE, 1);
  set();
  if ((flags & VM_LOCKED) !== 0) yield* mmPopulate(k, tid, oldEnd, newEnd);
  return wanted;
}
