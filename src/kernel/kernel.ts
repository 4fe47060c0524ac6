// What kernel code sees of the machine: the state to read, a way to record facts, and what it may ask of the driver.
import type { KernelEvent } from '../../events/index.js';
import type { KernelView, MmView, TaskView } from '../../reducers/state.js';
import { mmAt } from '../../reducers/state.js';
import { assert } from '../lib/assert.js';
import type { Behaviours } from './behaviours.js';

/**
 * What a kernel generator yields: a wish that the driver grants.
 * `acquire` resumes holding the lock; `preempt` stands before a lockless access that another CPU can race with, labelled as in the
 * reference; `place` asks for an address or number that the model does not decide, and is resumed with it,
 * or with -1 for the model's own choice. `wait`: the task sleeps; it is resumed once somebody has woken it.
 */
export type Step =
  | { readonly op: 'acquire'; readonly lock: string }
  | { readonly op: 'preempt'; readonly at: string }
  | { readonly op: 'wait'; readonly tid: number }
  | { readonly op: 'place'; readonly what: 'mmap' | 'brk' | 'mremap' | 'shmat' | 'fd' | 'tid' | 'map-end' };

/** Kernel code: yields wishes, returns `T`. */
export type KernelThread<T = void> = Generator<Step, T, number>;

/** Settings of the modelled machine; part of every log's header. */
export interface MachineSettings {
  /** Page-table entries that one fault maps around itself, a power of two: fault_around_bytes / 4096. */
  readonly faultAroundPages: number;
  /** vm.max_map_count. */
  readonly maxMapCount: number;
  /** RLIMIT_STACK, bytes. */
  readonly stackLimit: number;
  /** RLIMIT_MEMLOCK, bytes; Infinity is not plain data, so -1 means no limit (CAP_IPC_LOCK). */
  readonly memlockLimit: number;
  /** RLIMIT_AS, bytes, -1 for none. */
  readonly addressSpaceLimit: number;
  /** Physical memory and swap, pages: what overcommit mode 0 refuses at once. */
  readonly totalPages: number;
  /** Slots of the swap area. */
  readonly swapPages: number;
  /** Where top-down placement begins, bytes. */
  readonly mmapBase: number;
}

/** Those of the machine the model was measured on. */
export const DEFAULT_MACHINE: MachineSettings = {
  faultAroundPages: 16,
  maxMapCount: 65_530,
  stackLimit: 8 * 1024 * 1024,
  memlockLimit: -1,
  addressSpaceLimit: -1,
  totalPages: 6 * 1024 * 1024,
  swapPages: 128 * 1024,
  mmapBase: 0x7ffff7fff000,
};

/** The machine, as kernel code sees it. */
export interface Kernel {
  /** The state now. Read again after every yield and every emit. */
  readonly view: KernelView;
  readonly behaviours: Behaviours;
  readonly machine: MachineSettings;
  /** Other CPUs may run between two steps. Elsewhere locks are free and preemption points idle, and neither is yielded. */
  readonly interleaved: boolean;
  /** How many entries one event may cover: a page table's, or 1 where other CPUs could see each step. */
  readonly batchMax: number;
  /** Records a fact and applies it at once. The only way kernel code changes anything. */
  emit(event: KernelEvent): void;
}

/** References that one FOLL_PIN takes of a page of order 0: `folio_maybe_dma_pinned()` looks for as many. */
export const GUP_PIN_COUNTING_BIAS = 1024;

/** Bytes and pages. */
export const PAGE_SIZE = 4096;
/** End of user addresses: `TASK_SIZE_MAX` without five-level tables. */
export const TASK_SIZE = 0x7ffffffff000;
export const pageAlign = (bytes: number): number => Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
/** `PAGE_ALIGN()` of an unsigned long: the last 4095 values give 0. */
export function pageAlignWrapped(bytes: number): number {
  const aligned = pageAlign(bytes);
  return aligned >= 2 ** 64 ? 0 : aligned;
}
export const pageDown = (bytes: number): number => Math.floor(bytes / PAGE_SIZE) * PAGE_SIZE;
export const isPageAligned = (bytes: number): boolean => bytes % PAGE_SIZE === 0;

/** `current`. */
export function currentTask(k: Kernel, tid: number): TaskView {
  const task = k.view.tasks[tid];
  assert(task !== undefined, 'no-such-task', tid);
  return task;
}

/** `current->mm`. */
export const currentMm = (k: Kernel, tid: number): MmView => mmAt(k.view, currentTask(k, tid).mm);

/** errno values, returned negative as the kernel does. */
export const EPERM = 1;
export const ENOENT = 2;
export const EIO = 5;
export const ENXIO = 6;
export const ESRCH = 3;
export const EBADF = 9;
export const ECHILD = 10;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;
export const EFBIG = 27;
export const ENOSPC = 28;
export const ESPIPE = 29;
export const EPIPE = 32;
export const ENOSYS = 38;
export const EOVERFLOW = 75;
export const EOPNOTSUPP = 95;
export const EHWPOISON = 133;

export const SIGBUS = 7;
export const SIGKILL = 9;
export const SIGSEGV = 11;
/** si_code of SIGSEGV and SIGBUS. */
export const SI_KERNEL = 128;
export const SEGV_MAPERR = 1;
export const SEGV_ACCERR = 2;
export const BUS_ADRERR = 2;
