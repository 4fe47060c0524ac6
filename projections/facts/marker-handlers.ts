// Folding into Facts the events that change entries alone: flags, markers, and what userfaultfd moves.
import { HPAGE_PMD_NR } from '../../reducers/state.js';
import type { Projection } from '../projection.js';
import type { Facts } from './facts.js';

/** Entries of runs of [vpn, pfn, n, flags]. */
export function writeFlags(facts: Facts, mm: number, runs: readonly number[]): void {
  const space = facts.mappings.of(mm);
  if (!space) return;
  for (let i = 0; i + 3 < runs.length; i += 4)
    facts.writeRun(space, runs[i]!, runs[i + 1]!, runs[i + 2]!, runs[i + 3]!, 1);
}

/** Every entry of runs of [vpn, n] is `entry`. */
function writeVpnRuns(facts: Facts, mm: number, runs: readonly number[], entry: number): void {
  const space = facts.mappings.of(mm);
  if (!space) return;
  for (let i = 0; i + 1 < runs.length; i += 2)
    for (let j = 0; j < runs[i + 1]!; j++) facts.mappings.write(space, runs[i]! + j, entry);
}

/** Events of markers, and of userfaultfd. */
export const markerHandlers: Projection<Facts>['on'] = {
  GuardMarkersInstalled: (facts, { mm, runs, entry }) => writeVpnRuns(facts, mm, runs, entry),
  GuardMarkersRemoved: (facts, { mm, runs }) => writeVpnRuns(facts, mm, runs, 0),
  UffdWpChanged: (facts, { mm, runs }) => writeFlags(facts, mm, runs),
  UffdMarkersSet: (facts, { mm, runs, entry }) => writeVpnRuns(facts, mm, runs, entry),
  UffdEntryMoved(facts, { mm, vpn, newVpn, pfn, entry, anonVma }) {
    const space = facts.mappings.of(mm);
    if (!space) return;
    facts.mappings.write(space, vpn, 0);
    if (facts.frames.has(pfn)) facts.mappings.setAnonVma(pfn, anonVma);
    facts.mappings.write(space, newVpn, entry);
  },
  UffdPmdMoved({ frames, mappings }, { mm, vpn, newVpn, pfn, entry, anonVma }) {
    const space = mappings.of(mm);
    if (!space) return;
    const pages = pfn < 0 ? 0 : HPAGE_PMD_NR;
    for (let i = 0; i < pages; i++) if (frames.has(pfn + i)) mappings.setAnonVma(pfn + i, anonVma);
    mappings.moveBlock(space, vpn, newVpn, entry);
  },
};
