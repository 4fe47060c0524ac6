// Area cpu: tasks move between CPUs, whose batches of new pages hold references that another CPU cannot drop.
import { load, mapPrivate, store } from '../access.js';
import type { Area, Step } from '../area.js';

const CPUS = 2;

const move: Step = (draft) => {
  draft.add(draft.anyTask(), 'cpu', draft.random.below(CPUS));
  return true;
};

/** The task's CPU empties its batch. */
const drain: Step = (draft) => {
  draft.add(draft.anyTask(), 'lru_add_drain');
  return true;
};

export const CPU: Area = {
  name: 'cpu',
  prologue: [],
  steps: { move: [6, move], drain: [2, drain], mapPrivate: [1, mapPrivate], store: [4, store], load: [2, load] },
};
