// What differs between two states, by subject: tasks, address spaces, mappings, page-table entries.
import { canonicalPage, canonicalVma } from '../../projections/canonical.js';
import { contentText } from '../../reducers/content.js';
import { forEachPte, pteAt, ptePfn, ptePresent, pteSpecial } from '../../reducers/pte.js';
import type { KernelView, MmView } from '../../reducers/state.js';
import { frameAt } from '../../projections/query/footprint.js';
import { hex, plural } from './words.js';

/** One field that differs; `none` on the side that has no such subject or field. */
export interface FieldDifference {
  readonly field: string;
  readonly before: string;
  readonly after: string;
}

/** A subject that differs. Neighbouring pages with the same differences are one. */
export interface Difference {
  /** As expressions call it. */
  readonly subject: string;
  /** Pages in a row, for pages; else 1. */
  readonly pages: number;
  readonly fields: readonly FieldDifference[];
}

export interface DiffOptions {
  /** The states are of one run: frames have the same numbers in both. */
  readonly sameRun: boolean;
}

const END_VPN = 2 ** 35;
/** What a field is that is not there. */
const NONE = 'none';
type Field = string | number | boolean | null | undefined;
type Fields = Readonly<Record<string, Field>>;

const text = (value: Field): string => String(value ?? NONE);

function fieldDifferences(a: Fields | null, b: Fields | null, hexFields: readonly string[] = []): FieldDifference[] {
  const names = new Set([...Object.keys(a ?? {}), ...Object.keys(b ?? {})]);
  const shown = (field: string, value: Field): string =>
    hexFields.includes(field) && typeof value === 'number' ? hex(value) : text(value);
  return [...names].flatMap((field) => {
    const [before, after] = [shown(field, a?.[field]), shown(field, b?.[field])];
    return before === after ? [] : [{ field, before, after }];
  });
}

/** How an address space is called: by its first task on either side. */
function callerOf(a: KernelView, b: KernelView, mm: number): string {
  for (const state of [b, a])
    for (const task of Object.values(state.tasks)) if (task.mm === mm || task.exitMm === mm) return String(task.tid);
  return `mm ${mm}`;
}

const taskFields = (state: KernelView, tid: string): Fields | null => {
  const task = state.tasks[Number(tid)];
  if (task === undefined) return null;
  const { tgid, parent, mm, cpu, exited, minFlt, majFlt } = task;
  return { tgid, parent, mm, cpu, exited: exited === 1, min_flt: minFlt, maj_flt: majFlt };
};

function taskDifferences(a: KernelView, b: KernelView): Difference[] {
  const tids = [...new Set([...Object.keys(a.tasks), ...Object.keys(b.tasks)])].sort((x, y) => Number(x) - Number(y));
  return tids.flatMap((tid) => {
    const fields = fieldDifferences(taskFields(a, tid), taskFields(b, tid));
    return fields.length === 0 ? [] : [{ subject: `task(${tid})`, pages: 1, fields }];
  });
}

const mmFields = (mm: MmView | null): Fields | null => {
  if (mm === null) return null;
  const [rss_file, rss_anon, swap, rss_shmem] = mm.rss;
  const { totalVm, dataVm, stackVm, execVm, lockedVm, tableBytes, hiwaterRss, brk, users } = mm;
  return {
    rss_file,
    rss_anon,
    rss_shmem,
    swap,
    hiwater_rss: hiwaterRss,
    total_vm: totalVm,
    data_vm: dataVm,
    stack_vm: stackVm,
    exec_vm: execVm,
    locked_vm: lockedVm,
    page_tables: tableBytes,
    brk,
    users,
  };
};

function vmaDifferences(a: KernelView, b: KernelView, id: number, caller: string): Difference[] {
  const byStart = (state: KernelView): Map<number, Fields> =>
    new Map((state.mms[id]?.vmas ?? []).map((vma) => [vma.start, { ...canonicalVma(state, vma) }]));
  const [left, right] = [byStart(a), byStart(b)];
  const starts = [...new Set([...left.keys(), ...right.keys()])].sort((x, y) => x - y);
  return starts.flatMap((start) => {
    const fields = fieldDifferences(left.get(start) ?? null, right.get(start) ?? null, ['start', 'end', 'pgoff']);
    return fields.length === 0 ? [] : [{ subject: `vma(${caller}, ${hex(start)})`, pages: 1, fields }];
  });
}

/** Whether two entries certainly print the same, without printing them. */
function sameEntry(a: KernelView, b: KernelView, left: number, right: number): boolean {
  if (left !== right) return false;
  if (left === 0 || pteSpecial(left) || !ptePresent(left)) return true;
  const [x, y] = [frameAt(a, ptePfn(left)), frameAt(b, ptePfn(right))];
  if (x === undefined || y === undefined) return x === y;
  return (
    x.flags === y.flags &&
    x.ref === y.ref &&
    x.order === 0 &&
    y.order === 0 &&
    x.mapcount === y.mapcount &&
    x.mapping === y.mapping &&
    (x.content === y.content || contentText(x.content) === contentText(y.content))
  );
}

/** Fields that say where an entry is, not what. */
const PLACE: ReadonlySet<string> = new Set(['addr', 'level', 'order', 'sub']);

const NO_FRAME = (): number => 0;
const SAME_FRAME = (pfn: number): number => pfn;

function pageFields(state: KernelView, vpn: number, entry: number, { sameRun }: DiffOptions): Fields | null {
  if (entry === 0) return null;
  const page = canonicalPage(state, vpn * 4096, entry, sameRun ? SAME_FRAME : NO_FRAME);
  return Object.fromEntries(Object.entries(page).filter(([field]) => !PLACE.has(field)));
}

function pageDifferences(a: KernelView, b: KernelView, id: number, caller: string, options: DiffOptions): Difference[] {
  const [left, right] = [a.mms[id] ?? null, b.mms[id] ?? null];
  const found: { vpn: number; fields: FieldDifference[] }[] = [];
  const compare = (vpn: number, x: number, y: number): void => {
    if (sameEntry(a, b, x, y)) return;
    const fields = fieldDifferences(pageFields(a, vpn, x, options), pageFields(b, vpn, y, options));
    if (fields.length > 0) found.push({ vpn, fields });
  };
  if (left !== null)
    forEachPte(left, 0, END_VPN, (vpn, entry) => compare(vpn, entry, right === null ? 0 : pteAt(right, vpn)));
  if (right !== null)
    forEachPte(right, 0, END_VPN, (vpn, entry) => {
      if (left === null || pteAt(left, vpn) === 0) compare(vpn, 0, entry);
    });
  found.sort((x, y) => x.vpn - y.vpn);
  return runsOf(found, caller);
}

/** Neighbours that differ alike. Frames that count up with the pages are alike. */
function runsOf(
  found: readonly { readonly vpn: number; readonly fields: readonly FieldDifference[] }[],
  caller: string,
): Difference[] {
  const runs: Difference[] = [];
  for (let i = 0; i < found.length;) {
    const { vpn, fields } = found[i]!;
    let n = 1;
    for (; i + n < found.length; n++) {
      const next = found[i + n]!;
      if (next.vpn !== vpn + n || !alike(fields, next.fields, n)) break;
    }
    runs.push({ subject: `page(${caller}, ${hex(vpn * 4096)})`, pages: n, fields });
    i += n;
  }
  return runs;
}

function alike(first: readonly FieldDifference[], other: readonly FieldDifference[], distance: number): boolean {
  if (first.length !== other.length) return false;
  return first.every(({ field, before, after }, i) => {
    const each = other[i] as FieldDifference;
    if (each.field !== field) return false;
    if (field !== 'frame') return each.before === before && each.after === after;
    const follows = (from: string, to: string): boolean => from === to || Number(from) + distance === Number(to);
    return follows(before, each.before) && follows(after, each.after);
  });
}

/** All that differs from state `a` to state `b`, in the order tasks, then for each address space its counters, mappings and pages. */
export function stateDifferences(a: KernelView, b: KernelView, options: DiffOptions): Difference[] {
  const found = taskDifferences(a, b);
  for (let id = 1; id < Math.max(a.mms.length, b.mms.length); id++) {
    const [left, right] = [a.mms[id] ?? null, b.mms[id] ?? null];
    if (left === null && right === null) continue;
    const caller = callerOf(a, b, id);
    const fields = fieldDifferences(mmFields(left), mmFields(right));
    if (fields.length > 0) found.push({ subject: `mm(${caller})`, pages: 1, fields });
    found.push(...vmaDifferences(a, b, id, caller), ...pageDifferences(a, b, id, caller, options));
  }
  return found;
}

/** One line: `page(2, 0x7f..), 3 pages: mapcount 2 -> 1, writable false -> true`. */
export function differenceText({ subject, pages, fields }: Difference): string {
  const where = pages === 1 ? subject : `${subject}, ${plural(pages, 'page')}`;
  if (fields.every(({ before }) => before === NONE))
    return `${where}: new, ${fields.map(({ field, after }) => `${field}=${after}`).join(' ')}`;
  if (fields.every(({ after }) => after === NONE))
    return `${where}: gone, ${fields.map(({ field, before }) => `${field}=${before}`).join(' ')}`;
  return `${where}: ${fields.map(({ field, before, after }) => `${field} ${before} -> ${after}`).join(', ')}`;
}
