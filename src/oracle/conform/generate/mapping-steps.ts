// Steps on mappings that several areas share.
import type { Step } from './area.js';
import { MAP, READ, RW, isLocked, isWritable, mlock, mmap, mprotect, munmap } from './calls.js';
import { PAGE, anyPage, someBytes } from './places.js';

/** Read-only and back: entries lose their write bit, or get it at once where nobody else could have the page. */
export const protect: Step = (draft) => {
  const task = draft.anyTask();
  const back = draft.random.chance(50);
  const range = draft.range(task, (each) => (back ? (each.prot & RW) === READ && each.mayWrite : isWritable(each)));
  if (range === null) return false;
  mprotect(draft, task, range, back ? RW : READ);
  return true;
};

export const unlock: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, isLocked);
  if (range === null) return false;
  mlock(draft, task, range, false);
  return true;
};

export const unmap: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.range(task);
  if (range === null) return false;
  munmap(draft, task, range);
  return true;
};

/** A file or memory object at a fixed place, shared in `percent` of a hundred cases, and through those others write. */
export const mapFileShared =
  (percent: number): Step =>
  (draft) => {
    const { random } = draft;
    const task = draft.anyTask();
    const found = draft.fd(task);
    if (found === null) return false;
    const [fd, { writable }] = found;
    const shared = random.chance(percent);
    const prot = (shared && !writable) || random.chance(20) ? READ : RW;
    const flags = MAP.FIXED | (shared ? MAP.SHARED : MAP.PRIVATE);
    const offset = PAGE * random.below(4);
    mmap(draft, task, { addr: anyPage(random), length: someBytes(random), prot, flags, fd, offset });
    return true;
  };
