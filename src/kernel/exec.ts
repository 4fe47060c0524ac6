// execve: fs/exec.c and fs/binfmt_elf.c, in the steps that a recording tells apart.
import { InodeKind, mmAt } from '../../reducers/state.js';
import {
  VM_ACCOUNT,
  VM_DONTDUMP,
  VM_DONTEXPAND,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_IO,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYWRITE,
  VM_PFNMAP,
  VM_READ,
  VM_WRITE,
} from '../../reducers/vma.js';
import { InputError } from '../lib/errors.js';
import { mmput } from './exit.js';
import { NO_FILE } from './files.js';
import type { Kernel, KernelThread } from './kernel.js';
import { PAGE_SIZE, TASK_SIZE, currentTask, pageDown } from './kernel.js';
import { handleMmFault } from './memory/fault.js';
import { freePgtables } from './memory/zap.js';
import { MAP_FIXED, MAP_PRIVATE, doMmap } from './mmap.js';
import { movePageTables } from './memory/move.js';
import { newVmaFlag } from './soft-dirty.js';
import { accountVma, insertVma } from './vma.js';

/** Where execve builds the stack before it knows its place: STACK_TOP_MAX. */
const STACK_TOP = TASK_SIZE;
const STACK_FLAGS = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_GROWSDOWN | VM_ACCOUNT;
/** What setup_arg_pages() adds below the arguments. */
const STACK_EXPAND = 131_072;

/**
 * `bprm_mm_init()` and `copy_strings()`: a new address space with `pages` pages of arguments on a provisional stack. GUP faults them in,
 * and the caller's own counter is charged for them meanwhile (`acct_arg_size()`).
 */
export function* bprmMmInit(k: Kernel, tid: number, pages: number, foreignLayout: boolean): KernelThread<void> {
  if (!(pages >= 0 && pages * PAGE_SIZE <= k.machine.stackLimit))
    throw new InputError({}, `${pages} pages of arguments, more than a stack may have`);
  const { mm: old, cpu } = currentTask(k, tid);
  const mm = k.view.mms.length;
  k.emit({
    type: 'MmCreated',
    mm,
    parent: 0,
    mmapBase: k.machine.mmapBase,
    startBrk: 0,
    brk: 0,
    defFlags: 0,
    foreignLayout: foreignLayout ? 1 : 0,
  });
  k.emit({ type: 'ExecMmPrepared', tid, mm });
  const start = STACK_TOP - pages * PAGE_SIZE;
  insertVma(k, mm, {
    start,
    end: STACK_TOP,
    flags: STACK_FLAGS | newVmaFlag(k),
    pgoff: start / PAGE_SIZE,
    inode: 0,
    file: NO_FILE,
    anonVma: 0,
    chain: [],
  });
  accountVma(k, mm, STACK_FLAGS, pages, 1);
  for (let i = 1; i <= pages; i++) {
    const addr = STACK_TOP - i * PAGE_SIZE;
    yield* handleMmFault(k, { tid, cpu, mm, addr, vpn: addr / PAGE_SIZE, access: 'write' });
    if (old !== 0) k.emit({ type: 'ArgPagesAccounted', mm: old, rssAnon: 1 });
  }
}

/** `begin_new_exec()`, `exec_mmap()`: the task takes the new address space; the old one loses a user. */
export function beginNewExec(k: Kernel, tid: number): void {
  const { mm: old, execMm, cpu } = currentTask(k, tid);
  if (execMm === 0) throw new InputError({}, `task ${tid} becomes another program, but no execve was begun`);
  const pages = mmAt(k.view, execMm).stackVm;
  if (old !== 0) k.emit({ type: 'ArgPagesAccounted', mm: old, rssAnon: -pages });
  k.emit({ type: 'TaskMmSwitched', tid, mm: execMm });
  k.emit({ type: 'ExecMmPrepared', tid, mm: 0 });
  if (old !== 0) mmput(k, old, cpu);
}

/** execve failed after the address space was begun: `free_bprm()`. */
export function abandonExec(k: Kernel, tid: number): void {
  const { mm: old, execMm, cpu } = currentTask(k, tid);
  if (execMm === 0) return;
  if (old !== 0) k.emit({ type: 'ArgPagesAccounted', mm: old, rssAnon: -mmAt(k.view, execMm).stackVm });
  k.emit({ type: 'ExecMmPrepared', tid, mm: 0 });
  mmput(k, execMm, cpu);
}

/**
 * `setup_arg_pages()`: the stack moves to its place, [start, start + length), with 128 KiB of room below the arguments.
 * Page offsets stay those of the provisional place.
 */
export function setupArgPages(k: Kernel, tid: number, start: number, length: number): void {
  const { mm } = currentTask(k, tid);
  const [stack] = mmAt(k.view, mm).vmas;
  if (stack === undefined || stack.end !== STACK_TOP)
    throw new InputError({}, `task ${tid} sets up its stack, but no execve was begun, or it was done before`);
  const { start: oldStart, end: oldEnd, pgoff, flags } = stack;
  const pages = (oldEnd - oldStart) / PAGE_SIZE;
  const end = start + length;
  if (end !== oldEnd) {
    k.emit({
      type: 'VmaResized',
      mm,
      start: oldStart,
      newStart: end - pages * PAGE_SIZE,
      newEnd: end,
      newPgoff: pgoff,
    });
    movePageTables(k, mm, oldStart, end - pages * PAGE_SIZE, pages * PAGE_SIZE, false);
    freePgtables(k, mm, oldStart);
  }
  const grown = length / PAGE_SIZE - pages;
  if (grown <= 0) return;
  k.emit({
    type: 'VmaResized',
    mm,
    start: end - pages * PAGE_SIZE,
    newStart: start,
    newEnd: end,
    newPgoff: pgoff - grown,
  });
  accountVma(k, mm, flags, grown, 1);
}

/** `elf_map()`: one segment of the program or its interpreter; anonymous (bss) where `inode` is 0. */
export function* elfMap(
  k: Kernel,
  tid: number,
  addr: number,
  length: number,
  prot: number,
  flags: number,
  inode: number,
  offset: number,
): KernelThread<number> {
  const kind = inode === 0 ? -1 : k.view.inodes[inode]?.kind;
  const { mm } = currentTask(k, tid);
  if (kind === InodeKind.vdso || kind === InodeKind.vvar) {
    const special =
      kind === InodeKind.vdso
        ? VM_READ | VM_EXEC | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_DONTEXPAND
        : VM_READ | VM_MAYREAD | VM_IO | VM_DONTDUMP | VM_PFNMAP | VM_DONTEXPAND;
    insertVma(k, mm, {
      start: addr,
      end: addr + length,
      flags: special | newVmaFlag(k),
      pgoff: 0,
      inode,
      file: NO_FILE,
      anonVma: 0,
      chain: [],
    });
    accountVma(k, mm, special, length / PAGE_SIZE, 1);
    return addr;
  }
  const file = inode === 0 ? null : { inode, flags: 0, file: NO_FILE };
  const anonymous = inode === 0 ? 0x20 : 0;
  return yield* doMmap(k, tid, {
    addr,
    length,
    prot,
    flags: flags | MAP_PRIVATE | MAP_FIXED | anonymous,
    file,
    offset,
    recorded: true,
  });
}

/** Sizes of [vvar] with its clock pages, and of [vdso], in bytes. */
const VVAR_SIZE = 6 * PAGE_SIZE;
const VDSO_SIZE = 2 * PAGE_SIZE;

/**
 * execve where nothing tells the layout: a stack of default size at the model's own place and, unless the layout is `foreign` (a recording
 * that does not show it), [vvar] and [vdso] below it. What the program's file maps is not known.
 */
export function* execWithoutLayout(k: Kernel, tid: number, foreign: boolean): KernelThread<void> {
  yield* bprmMmInit(k, tid, 1, foreign);
  beginNewExec(k, tid);
  const length = STACK_EXPAND + PAGE_SIZE;
  setupArgPages(k, tid, STACK_TOP - length, length);
  if (foreign) return;
  const vdso = pageDown(k.machine.mmapBase) - VDSO_SIZE;
  const vvar = vdso - VVAR_SIZE;
  yield* elfMap(k, tid, vvar, VVAR_SIZE, 1, MAP_PRIVATE, specialInode(k, '[vvar]', InodeKind.vvar), 0);
  yield* elfMap(k, tid, vdso, VDSO_SIZE, 5, MAP_PRIVATE, specialInode(k, '[vdso]', InodeKind.vdso), 0);
}

/** The kernel's own pages, known by the name of their mapping. */
function specialInode(k: Kernel, name: string, kind: number): number {
  const known = k.view.inodeByName[name];
  if (known !== undefined) return known;
  const inode = k.view.inodes.length;
  k.emit({ type: 'InodeCreated', inode, name, kind, size: -1, resident: 1 });
  return inode;
}
