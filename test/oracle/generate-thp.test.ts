// The areas that `conform --fuzz` is to agree on with huge pages: how often generated workloads of all of them together get to the states that matter.
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { PG_ANON_EXCLUSIVE, pageAt } from '../../reducers/state.js';
import type { KernelView } from '../../reducers/state.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import type { Got } from '../../src/kernel/call.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { NotModelledError } from '../../src/lib/errors.js';
import { generateWorkload } from '../../src/oracle/conform/generate/index.js';
import { ARENA_END } from '../../src/oracle/conform/generate/places.js';
import { Run } from '../../src/sched/run.js';
import type { Operation } from '../../src/workload/operation.js';

const AREAS = ['thp', 'cow', 'gup', 'swap', 'migrate', 'mmap'];
const WORKLOADS = 300;
const HUGE = 9;
const MADV_COLLAPSE = 25;

/** What the large folio that begins at `head` shows of its pages, as words for the states that it is in. */
function statesOf(view: KernelView, head: number, pincount: number, mappedShared: number): string[] {
  const { order } = pageAt(view, head);
  const folio = view.largeFolios[head];
  if (folio === undefined || folio === null) return [];
  let [mapped, exclusive] = [0, 0];
  for (let i = 0; i < 2 ** order; i++) {
    const { mapcount, flags } = pageAt(view, head + i);
    if (mapcount > 0) mapped++;
    if ((flags & PG_ANON_EXCLUSIVE) !== 0) exclusive++;
  }
  const size = order === HUGE ? 'huge page' : 'smaller folio';
  const whole = folio.entireMapcount > 0;
  return [
    ...(pincount > 0 ? [`${size} pinned ${whole ? 'whole' : 'by entries'}`] : []),
    ...(mappedShared !== 0 ? [`${size} shared`] : []),
    ...(whole && mapped > 0 ? ['huge page mapped whole and by entries'] : []),
    ...(!whole && mapped > 0 && mapped < 2 ** order ? [`${size} mapped in part`] : []),
    ...(!whole && exclusive > 0 && exclusive < mapped ? [`${size} with some pages exclusive`] : []),
  ];
}

const COUNTED = 9;
function seenIn(view: KernelView, event: KernelEvent): string[] {
  switch (event.type) {
    case 'LargeFolioAllocated':
      return [event.order === HUGE ? 'huge page' : 'smaller folio'];
    case 'LargeFoliosCounted': {
      const found: string[] = [];
      for (let i = 0; i + COUNTED <= event.folios.length; i += COUNTED) {
        const [head = 0, , , , , , shared = 0, , pincount = 0] = event.folios.slice(i, i + COUNTED);
        found.push(...statesOf(view, head, pincount, shared));
      }
      return found;
    }
    case 'PmdSplit':
      return event.pfn < 0 ? ['huge zero entry split'] : [`${event.exclusive === 1 ? 'own' : 'shared'} entry split`];
    case 'PmdSplitFrozen':
    case 'FolioSplit':
    case 'PmdCopied':
    case 'HugePageCollapsed':
    case 'LargeFolioSwapAllocated':
      return [event.type];
    default:
      return [];
  }
}

const collapsed = ({ name, args }: Operation, got: Got): string[] =>
  name === 'madvise' && args[2] === MADV_COLLAPSE && got !== null && 'errno' in got ? [`collapse ${got.errno}`] : [];

/** In how many workloads each state was met. */
function reach(): Map<string, number> {
  const met = new Map<string, number>();
  for (let number = 0; number < WORKLOADS; number++) {
    const seen = new Set<string>();
    const machine = { ...DEFAULT_MACHINE, mmapBase: ARENA_END };
    const run: Run = new Run({ behaviours: behavioursOf('6.18'), machine, recorded: false, lenient: false }, [
      { event: (event) => seenIn(run.view, event).forEach((each) => seen.add(each)) },
    ]);
    try {
      for (const operation of generateWorkload({ seed: 1, number, areas: AREAS, length: 25 }))
        collapsed(operation, run.execute(operation)).forEach((each) => seen.add(each));
    } catch (error) {
      if (!(error instanceof NotModelledError)) throw error;
    }
    for (const each of seen) met.set(each, (met.get(each) ?? 0) + 1);
  }
  return met;
}

describe('generated workloads about huge pages and the rest', () => {
  const met = reach();
  // At least this many of 300.
  it.each([
    ['huge page', 90],
    ['smaller folio', 30],
    ['huge page shared', 30],
    ['smaller folio shared', 10],
    ['huge page mapped in part', 15],
    ['smaller folio mapped in part', 6],
    ['huge page with some pages exclusive', 6],
    ['smaller folio with some pages exclusive', 3],
    ['huge page mapped whole and by entries', 10],
    ['huge page pinned whole', 6],
    ['huge page pinned by entries', 3],
    ['smaller folio pinned by entries', 4],
    ['own entry split', 20],
    ['shared entry split', 10],
    ['huge zero entry split', 1],
    ['PmdSplitFrozen', 6],
    ['FolioSplit', 20],
    ['PmdCopied', 20],
    ['LargeFolioSwapAllocated', 5],
    ['HugePageCollapsed', 20],
    ['collapse EAGAIN', 4],
    ['collapse EINVAL', 10],
  ])('get to: %s', (state, least) => {
    expect(met.get(state) ?? 0).toBeGreaterThanOrEqual(least);
  });
});
