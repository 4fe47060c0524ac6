// Which page of which mapping is selected, and how the selection moves when memory changes under it.
import { pteAt } from '../../reducers/pte.js';
import type { KernelView, MmView, VmaView } from '../../reducers/state.js';
import { canonicalPage } from '../../projections/canonical.js';
import type { MapRow } from './page-map.js';

/** A page of an address space. */
export interface Selected {
  readonly mm: number;
  readonly vpn: number;
}

export type MappingRow = Extract<MapRow, { kind: 'mapping' }>;

/** Number of a mapping's first page. */
export const firstVpn = (vma: VmaView): number => Math.floor(vma.start / 4096);
/** Pages of a mapping; 0 for one that ends before it begins, which a log may hold that somebody made up. */
export const pagesOf = (vma: VmaView): number => Math.max(0, Math.ceil(vma.end / 4096) - firstVpn(vma));

/** Index of the row that `selected` lies in; where it lies in none, of the nearest mapping behind it, or else of the first; -1 for none. */
export function rowOf(rows: readonly MapRow[], selected: Selected | null): number {
  let near = -1;
  let first = -1;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as MapRow;
    if (row.kind !== 'mapping') continue;
    if (first < 0) first = i;
    if (selected === null) return i;
    if (row.mm.id !== selected.mm || selected.vpn * 4096 >= row.vma.end) continue;
    if (selected.vpn * 4096 >= row.vma.start) return i;
    if (near < 0) near = i;
  }
  return near >= 0 ? near : first;
}

/** `selected` if the row holds it, or else the row's first page. */
export function within({ mm, vma }: MappingRow, selected: Selected | null): Selected {
  const start = firstVpn(vma);
  const inside = selected?.mm === mm.id && selected.vpn >= start && selected.vpn < start + pagesOf(vma);
  return inside ? selected : { mm: mm.id, vpn: start };
}

/** Index of the next mapping's row from row `from` in steps of `step`, `from` itself if there is none. */
export function nextMapping(rows: readonly MapRow[], from: number, step: 1 | -1): number {
  for (let i = from + step; i >= 0 && i < rows.length; i += step) if (rows[i]?.kind === 'mapping') return i;
  return from;
}

/** Index of the first mapping of the next process, going round. */
export function nextProcess(rows: readonly MapRow[], from: number): number {
  const mm = rows[from]?.mm.id;
  const after = rows.findIndex((row, i) => i > from && row.kind === 'mapping' && row.mm.id !== mm);
  return after >= 0 ? after : rows.findIndex(({ kind }) => kind === 'mapping');
}

/** A task that has the address space; null where none has. */
export function taskOf(state: KernelView, mm: MmView): number | null {
  return Object.values(state.tasks).find((task) => task.mm === mm.id)?.tid ?? null;
}

/** The fields of a page's canonical record; frames by their own numbers. Empty where no entry is. */
export function recordOf(state: KernelView, mm: MmView, vpn: number): (readonly [name: string, value: string])[] {
  const entry = pteAt(mm, vpn);
  if (entry === 0) return [];
  const { addr: _addr, level: _level, ...fields } = canonicalPage(state, vpn * 4096, entry, (pfn) => pfn);
  return Object.entries(fields).map(([name, value]) => [name, String(value)] as const);
}
