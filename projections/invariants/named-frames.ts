// Which frames an event names: those whose counters it changes, right or wrong.
import type { EventType, FieldKind, KernelEvent } from '../../events/index.js';
import { SHAPES } from '../../events/index.js';

/** Where frames stand in runs of a kind: [stride, place of the frame, place of the count]. */
const RUNS: Partial<Record<FieldKind, readonly [number, number, number]>> = {
  pfnRuns: [2, 0, 1],
  pteRuns3: [3, 1, 2],
  pteRuns4: [4, 1, 2],
  pteRuns5: [5, 1, 2],
  cacheRuns: [3, 1, 2],
};

interface Named {
  readonly single: readonly string[];
  readonly runs: readonly { readonly field: string; readonly shape: readonly [number, number, number] }[];
}

/** Entries without a page stand in `special`: what looks like a frame there is none. */
const NO_FRAMES = 'special';

const namedBy = Object.fromEntries(
  (Object.keys(SHAPES) as EventType[]).map((type): [string, Named | null] => {
    const fields = Object.entries(SHAPES[type].fields);
    const single = fields.filter(([, kind]) => kind === 'pfn').map(([field]) => field);
    const runs = fields.flatMap(([field, kind]) => {
      const shape = RUNS[kind];
      return shape === undefined || field === NO_FRAMES ? [] : [{ field, shape }];
    });
    return [type, single.length + runs.length > 0 ? { single, runs } : null];
  }),
) as Readonly<Record<EventType, Named | null>>;

type Fields = Readonly<Record<string, number | readonly number[]>>;

/** Calls `visit` for each frame that `event` names, perhaps more than once. */
export function forEachNamedFrame(event: KernelEvent, visit: (pfn: number) => void): void {
  const named = namedBy[event.type];
  if (named === null) return;
  const fields = event as unknown as Fields;
  for (const field of named.single) visit(fields[field] as number);
  for (const { field, shape } of named.runs) {
    const list = fields[field] as readonly number[];
    const [stride, at, count] = shape;
    for (let i = 0; i + stride <= list.length; i += stride)
      for (let j = 0; j < (list[i + count] as number); j++) visit((list[i + at] as number) + j);
  }
}
