// Reducers for events/task.ts.
import type { TaskEvent } from '../events/index.js';
import type { Reducers } from './index.js';

export const taskReducers: Reducers<TaskEvent['type']> = {
  TaskCreated(state, { tid, tgid, parent, mm, cpu }) {
    state.tasks[tid] = { tid, tgid, parent, mm, cpu, execMm: 0, exitMm: 0, exited: 0, minFlt: 0, majFlt: 0 };
  },
  TaskMoved(state, { tid, cpu }) {
    const task = state.tasks[tid];
    if (task) task.cpu = cpu;
  },
  TaskMmSwitched(state, { tid, mm }) {
    const task = state.tasks[tid];
    if (task) task.mm = mm;
  },
  FaultAccounted(state, { tid, major }) {
    const task = state.tasks[tid];
    if (!task) return;
    if (major === 1) task.majFlt++;
    else task.minFlt++;
  },
  SignalSent() {
    // The handler is the program's business; the event is the fact.
  },
  ExecMmPrepared(state, { tid, mm }) {
    const task = state.tasks[tid];
    if (task) task.execMm = mm;
  },
  TaskExited(state, { tid, mm }) {
    const task = state.tasks[tid];
    if (!task) return;
    task.exitMm = mm;
    task.mm = 0;
    task.exited = 1;
  },
  TaskReaped(state, { tid }) {
    delete state.tasks[tid];
    delete state.files[tid];
  },
};
