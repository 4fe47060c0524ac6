// Steps on single pages of private memory that the areas of what happens to pages share: swap, migrate, ksm.
import type { Step } from './area.js';
import { MREMAP, isPrivateAnonymous, isReadable, isUnlocked, mlock, mprotect, mremap, munmap } from './calls.js';
import { anyPage } from './places.js';
import type { Mapped } from './space.js';

/** Other rights, drawn from `prots`, for pages of mappings that are `wanted`. */
export const protectPages =
  (wanted: (each: Mapped) => boolean, prots: readonly number[]): Step =>
  (draft) => {
    const task = draft.anyTask();
    const range = draft.pages(task, wanted);
    if (range === null) return false;
    mprotect(draft, task, range, draft.random.pick(prots));
    return true;
  };

/** mlock(2) or, now and then, mlock2(2) with MLOCK_ONFAULT. */
export const lockPages: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, (each) => isReadable(each) && isUnlocked(each));
  if (range === null) return false;
  mlock(draft, task, range, true, ...(draft.random.chance(30) ? [1] : []));
  return true;
};

export const unmapPages: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task);
  if (range === null) return false;
  munmap(draft, task, range);
  return true;
};

/** Private anonymous pages to another place; now and then their mapping stays behind, empty. */
export const movePages: Step = (draft) => {
  const task = draft.anyTask();
  const range = draft.pages(task, isPrivateAnonymous);
  if (range === null) return false;
  const flags = MREMAP.MAYMOVE | MREMAP.FIXED | (draft.random.chance(25) ? MREMAP.DONTUNMAP : 0);
  const { start: from, length } = range;
  mremap(draft, task, { from, oldLength: length, newLength: length, flags, to: anyPage(draft.random) });
  return true;
};
