// Reading userfaultfds from keyframes: contexts, who waits for them, and the mappings that belong to them.
import type { KernelState } from '../../reducers/state.js';
import type { Uffd } from '../../reducers/uffd-state.js';
import { emptyQueues } from '../../reducers/uffd-state.js';
import { MalformedError } from './columns.js';
import { arrayOf, isCount } from './event-codec.js';
import { LIMIT, UFFD_QUEUES, WIDTH } from './keyframe-encode.js';
import { Stretches, eachRow, placeIn, rowsOf } from './rows.js';

/** Of a keyframe that has none of them, `data` is null. Throws MalformedError. */
export function uffdsInto(state: KernelState, data: unknown): void {
  state.uffds = [null];
  for (const mm of state.mms) for (const vma of mm?.vmas ?? []) if (vma.uffd !== undefined) delete vma.uffd;
  if (data === null) return;
  const [length, rowData, waiterData, vmaData] = arrayOf(data, 'the userfaultfds');
  if (!isCount(length, LIMIT.ids) || length < 1) throw new MalformedError('an impossible number of userfaultfds');
  state.uffds = new Array<KernelState['uffds'][0]>(length).fill(null);
  const waiters = new Stretches(waiterData, LIMIT.numbers, 'waiting faults');
  eachRow(rowsOf(rowData, WIDTH.uffd, LIMIT.ids, 'userfaultfds'), (row) => {
    const [id, inode, mm, flags, features, released, ...lengths] = row as [
      ...[number, number, number],
      ...[number, number, number],
      ...number[],
    ];
    const context: Uffd = { id, inode, mm, flags, features, released, ...emptyQueues() };
    UFFD_QUEUES.forEach((name, i) => (context[name] = waiters.take(lengths[i] as number, 'waiting faults')));
    state.uffds[placeIn(state.uffds, id, 'userfaultfd')] = context;
  });
  waiters.end('waiting faults');
  eachRow(rowsOf(vmaData, 3, LIMIT.numbers, 'registered mappings'), (row) => {
    const [mm, at, uffd] = row as [number, number, number];
    const vma = state.mms[mm]?.vmas[at];
    if (vma === undefined) throw new MalformedError('a registered mapping that is not there');
    vma.uffd = uffd;
  });
}
