// Folding VMA events into Vmas, for every view that has them.
import type { EventOf } from '../../events/index.js';
import type { Vmas } from './vmas.js';

/** A view that keeps VMAs. */
export interface WithVmas {
  readonly vmas: Vmas;
}
type Handler<
  T extends
    | 'VmaInserted'
    | 'VmaRemoved'
    | 'VmaSplit'
    | 'VmaResized'
    | 'VmaMerged'
    | 'VmaFlagsChanged'
    | 'VmaAnonVmaSet'
    | 'UffdVmaSet',
> = (view: WithVmas, event: EventOf<T>) => void;

const inserted: Handler<'VmaInserted'> = ({ vmas }, { mm, start, end, flags, pgoff, inode, anonVma, chain }) =>
  vmas.insert(mm, { start, end, flags, pgoff, inode, anonVma, chain });
const removed: Handler<'VmaRemoved'> = ({ vmas }, { mm, start }) => vmas.replace(mm, start, 0, () => []);
const split: Handler<'VmaSplit'> = ({ vmas }, { mm, start, at }) =>
  vmas.replace(mm, start, 0, (old) => [
    { ...old, end: at },
    { ...old, start: at, pgoff: old.pgoff + (at - old.start) / 4096 },
  ]);
const resized: Handler<'VmaResized'> = ({ vmas }, { mm, start, newStart, newEnd, newPgoff }) =>
  vmas.replace(mm, start, 0, (old) => [{ ...old, start: newStart, end: newEnd, pgoff: newPgoff }]);
const merged: Handler<'VmaMerged'> = ({ vmas }, { mm, start, absorbed, anonVma, chain }) => {
  const [, next] = vmas.pair(mm, start);
  if (next === undefined || next.start !== absorbed) return;
  vmas.replace(mm, start, 1, (old) => [{ ...old, end: next.end, anonVma, chain }]);
};
const flagsChanged: Handler<'VmaFlagsChanged'> = ({ vmas }, { mm, start, flags }) =>
  vmas.replace(mm, start, 0, (old) => [{ ...old, flags }]);
const anonVmaSet: Handler<'VmaAnonVmaSet'> = ({ vmas }, { mm, start, anonVma, chain }) =>
  vmas.replace(mm, start, 0, (old) => [{ ...old, anonVma, chain }]);

const uffdSet: Handler<'UffdVmaSet'> = ({ vmas }, { mm, start, uffd, flags }) =>
  vmas.replace(mm, start, 0, ({ uffd: _old, ...old }) => [{ ...old, flags, ...(uffd === 0 ? {} : { uffd }) }]);

/** Everything but the beginning and end of an address space. */
export const vmaHandlers = {
  VmaInserted: inserted,
  VmaRemoved: removed,
  VmaSplit: split,
  VmaResized: resized,
  VmaMerged: merged,
  VmaFlagsChanged: flagsChanged,
  VmaAnonVmaSet: anonVmaSet,
  UffdVmaSet: uffdSet,
};
