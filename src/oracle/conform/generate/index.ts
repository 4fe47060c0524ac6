// Random workloads from a weighted grammar: the same seed and number always give the same operations.
import { Random } from '../../../lib/random.js';
import { UserError, EXIT } from '../../../lib/errors.js';
import type { Operation } from '../../../workload/operation.js';
import type { Area, Step } from './area.js';
import { COW } from './areas/cow.js';
import { CPU } from './areas/cpu.js';
import { GUARD } from './areas/guard.js';
import { GUP } from './areas/gup.js';
import { MIGRATE } from './areas/migrate.js';
import { HUGETLB } from './areas/hugetlb.js';
import { KSM } from './areas/ksm.js';
import { MMAP } from './areas/mmap.js';
import { SEAL } from './areas/seal.js';
import { SHMEM } from './areas/shmem.js';
import { SWAP } from './areas/swap.js';
import { THP } from './areas/thp.js';
import { THREAD } from './areas/thread.js';
import { UFFD } from './areas/uffd.js';
import { Draft } from './picture.js';

const AREAS: readonly Area[] = [
  COW,
  MMAP,
  THREAD,
  CPU,
  GUP,
  SWAP,
  GUARD,
  SEAL,
  MIGRATE,
  KSM,
  THP,
  SHMEM,
  UFFD,
  HUGETLB,
];
/** Names of the areas that workloads can be about. */
export const AREA_NAMES: readonly string[] = AREAS.map(({ name }) => name);

/** Which workload. */
export interface WorkloadChoice {
  /** Any safe integer. */
  readonly seed: number;
  /** Workload `number` of a seed does not depend on the others. */
  readonly number: number;
  /** Of AREA_NAMES. */
  readonly areas: readonly string[];
  /** Operations after those that open files; a step that needs several may go a few beyond. */
  readonly length: number;
}

/** Each workload uses some steps a lot and some not at all: what needs many of one kind in a row then comes up as well. */
const EMPHASIS: readonly number[] = [0, 1, 1, 1, 3];
/** Tries before a step that has nothing to work on gives way to any step. */
const PATIENCE = 40;

/** @throws UserError for an area that does not exist, or none at all. */
export function checkAreas(areas: readonly string[]): void {
  if (areas.length === 0) throw new UserError(`no area given; there are ${AREA_NAMES.join(', ')}`, EXIT.input);
  areas.forEach(areaNamed);
}

/**
 * A random workload. Every address lies in the arena, but for those that make a call fail at once; a call that faults pages in covers
 * a few dozen at most.
 * @throws UserError for an area that does not exist, or none at all.
 */
export function generateWorkload({ seed, number, areas, length }: WorkloadChoice): Operation[] {
  checkAreas(areas);
  const chosen = areas.map(areaNamed);
  const random = new Random(seed, number);
  const draft = new Draft(random);
  const settings = chosen.flatMap((area) => area.settings ?? []);
  for (const prepare of new Set([...settings, ...chosen.flatMap(({ prologue }) => prologue)])) prepare(draft);
  const all = chosen.flatMap(({ steps, emphasis }) => {
    const times = emphasis === undefined || chosen.length === 1 ? 1 : random.pick(emphasis);
    return Object.values(steps).map(([weight, step]) => [weight * times, step] as const);
  });
  const emphasised = all.map(([weight, step]) => [weight * random.pick(EMPHASIS), step] as const);
  const wanted = draft.operations.length + length;
  while (draft.operations.length < wanted) if (!doOne(draft, emphasised)) doOne(draft, all);
  return draft.operations;
}

/** One step that found something to work on; false if none did. */
function doOne(draft: Draft, steps: readonly (readonly [number, Step])[]): boolean {
  if (steps.every(([weight]) => weight === 0)) return false;
  for (let i = 0; i < PATIENCE; i++) if (draft.random.weighted(steps)(draft)) return true;
  return false;
}

function areaNamed(name: string): Area {
  const area = AREAS.find((each) => each.name === name);
  if (area === undefined) throw new UserError(`no area '${name}'; there are ${AREA_NAMES.join(', ')}`, EXIT.input);
  return area;
}
