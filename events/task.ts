// What happened to tasks: creation, execve, faults, signals, exit. Mirrors kernel/fork.c, fs/exec.c, kernel/exit.c.
import type { ShapesOf } from './shapes.js';

/** A task came into being: `copy_process()`. `mm` is its address space, shared with the parent under CLONE_VM. */
export interface TaskCreated {
  readonly type: 'TaskCreated';
  readonly tid: number;
  readonly tgid: number;
  /** Parent tid, 0 for a task the workload begins with. */
  readonly parent: number;
  readonly mm: number;
  readonly cpu: number;
}
/** A task continues on another CPU. */
export interface TaskMoved {
  readonly type: 'TaskMoved';
  readonly tid: number;
  readonly cpu: number;
}
/** `exec_mmap()`: the task left its address space for the one that execve built. */
export interface TaskMmSwitched {
  readonly type: 'TaskMmSwitched';
  readonly tid: number;
  readonly mm: number;
}
/** `mm_account_fault()`: a fault was handled without error. `major` is 1 if it waited for I/O. */
export interface FaultAccounted {
  readonly type: 'FaultAccounted';
  readonly tid: number;
  readonly major: number;
}
/** A fault or access ended in a signal: SIGSEGV (11) or SIGBUS (7), with `si_code` and the faulting address. */
export interface SignalSent {
  readonly type: 'SignalSent';
  readonly tid: number;
  readonly signal: number;
  readonly code: number;
  readonly addr: number;
}
/** `bprm_mm_init()`: execve has an address space in the making; 0 when it was taken or given up. */
export interface ExecMmPrepared {
  readonly type: 'ExecMmPrepared';
  readonly tid: number;
  readonly mm: number;
}
/** `exit_mm()`: the task gave up its address space `mm` and becomes a zombie. */
export interface TaskExited {
  readonly type: 'TaskExited';
  readonly tid: number;
  readonly mm: number;
}
/** `release_task()`: the parent collected the zombie; the tid may be used again. */
export interface TaskReaped {
  readonly type: 'TaskReaped';
  readonly tid: number;
}

export type TaskEvent =
  | TaskCreated
  | TaskMoved
  | TaskMmSwitched
  | ExecMmPrepared
  | FaultAccounted
  | SignalSent
  | TaskExited
  | TaskReaped;

/** Opcodes and kinds of fields. */
export const TASK_SHAPES: ShapesOf<TaskEvent> = {
  TaskCreated: {
    opcode: 1,
    fields: { tid: 'tid', tgid: 'tid', parent: 'tid', mm: 'mm', cpu: 'cpu' },
  },
  TaskMoved: { opcode: 2, fields: { tid: 'tid', cpu: 'cpu' } },
  TaskMmSwitched: { opcode: 3, fields: { tid: 'tid', mm: 'mm' } },
  FaultAccounted: { opcode: 4, fields: { tid: 'tid', major: 'int' } },
  SignalSent: { opcode: 5, fields: { tid: 'tid', signal: 'int', code: 'int', addr: 'addr' } },
  TaskExited: { opcode: 6, fields: { tid: 'tid', mm: 'mm' } },
  TaskReaped: { opcode: 7, fields: { tid: 'tid' } },
  ExecMmPrepared: { opcode: 56, fields: { tid: 'tid', mm: 'mm' } },
};
