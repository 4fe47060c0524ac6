// What the value of an expression rests on: a few numbers of the state, read anew after each event of a long search, so that the
// expression itself is evaluated only where one of them has changed.
import { pteAt, ptePfn, ptePresent, pteSpecial } from '../../reducers/pte.js';
import { hugetlbFileAt, hugetlbVmaAt } from '../../reducers/hugetlb-state.js';
import type { KernelView, MmView, PageView } from '../../reducers/state.js';
import { SECTION, folioHead } from '../../reducers/state.js';
import { vmaLookup } from '../../reducers/vma.js';
import type { QueryScope } from './evaluate.js';
import type { Expression } from './parse.js';

/** Where what is read goes. Objects stand for what they hold: contents of pages are never changed, only replaced. */
class Notes {
  #last: unknown[] = [];
  #at = 0;
  #same = false;
  #begun = false;

  begin(): void {
    this.#at = 0;
    this.#same = this.#begun;
    this.#begun = true;
  }

  note(value: unknown): void {
    const at = this.#at++;
    if (this.#last[at] === value && at < this.#last.length) return;
    this.#last[at] = value;
    this.#same = false;
  }

  /** Whether all notes were those of the time before. */
  end(): boolean {
    if (this.#at === this.#last.length) return this.#same;
    this.#last.length = this.#at;
    return false;
  }
}

type Part = (state: KernelView, notes: Notes) => void;
/** What a subject rests on, given its arguments; each notes at least all that subjects.ts reads for it. */
type PartOf = (args: readonly number[], pid: number) => Part;

function mmOf(state: KernelView, pid: number, notes: Notes): MmView | null {
  const id = state.tasks[pid]?.mm ?? -1;
  const mm = id <= 0 ? null : (state.mms[id] ?? null);
  notes.note(id);
  notes.note(mm === null);
  return mm;
}

/** The frame `pfn`; undefined in logs that somebody made up, where entries may lead anywhere. */
export const frameAt = (state: KernelView, pfn: number): PageView | undefined =>
  state.memMap[Math.floor(pfn / SECTION)]?.[pfn % SECTION];

function notePage(page: PageView | undefined, notes: Notes): void {
  if (page === undefined) return;
  notes.note(page.flags);
  notes.note(page.ref);
  notes.note(page.mapcount);
  notes.note(page.mapping);
  notes.note(page.lruCpu);
  notes.note(page.order);
  notes.note(page.content);
}

/** A page, and of a large folio what stands in its first page and in all it counts. */
function noteFolio(state: KernelView, pfn: number, notes: Notes): void {
  const page = frameAt(state, pfn);
  notePage(page, notes);
  // Whose page it is says what backs it.
  notes.note(state.inodes[page?.mapping ?? 0]?.kind ?? null);
  if (page === undefined || page.order === 0) return;
  const head = folioHead(state, pfn);
  notePage(frameAt(state, head), notes);
  noteNumbers(state.largeFolios[head], notes);
}

const ofPage: PartOf = (args, pid) => {
  const [task, addr] = args.length === 1 ? [pid, args[0] as number] : [args[0] as number, args[1] as number];
  const vpn = Math.floor(addr / 4096);
  return (state, notes) => {
    const mm = mmOf(state, task, notes);
    const entry = mm === null ? 0 : pteAt(mm, vpn);
    notes.note(entry);
    // VM_SOFTDIRTY counts for each of its pages.
    notes.note((mm === null ? null : vmaLookup(mm, addr))?.flags ?? null);
    if (entry !== 0 && !pteSpecial(entry) && ptePresent(entry)) noteFolio(state, ptePfn(entry), notes);
  };
};

const ofVma: PartOf = (args, pid) => {
  const [task, addr] = args.length === 1 ? [pid, args[0] as number] : [args[0] as number, args[1] as number];
  return (state, notes) => {
    const mm = mmOf(state, task, notes);
    const vma = mm === null ? null : vmaLookup(mm, addr);
    if (vma === null) return;
    for (const key of ['start', 'end', 'flags', 'pgoff', 'inode', 'anonVma'] as const) notes.note(vma[key]);
    notes.note(state.inodes[vma.inode]?.name ?? null);
    const own = hugetlbVmaAt(state, mm?.id ?? -1, vma.start);
    notes.note(own);
    notes.note(own === null ? null : (state.hugetlb.maps[own.map]?.regions ?? null));
  };
};

function noteNumbers(object: object | null | undefined, notes: Notes): void {
  if (!object) return;
  const fields = object as Readonly<Record<string, unknown>>;
  for (const key in fields) if (typeof fields[key] === 'number') notes.note(fields[key]);
}

const PARTS: Readonly<Record<string, PartOf>> = {
  page: ofPage,
  vma: ofVma,
  mm: (args, pid) => (state, notes) => {
    const mm = mmOf(state, args[0] ?? pid, notes);
    noteNumbers(mm, notes);
    if (mm === null) return;
    notes.note(mm.vmas.length);
    for (const pages of mm.rss) notes.note(pages);
    for (const counter of state.ksm.counters[mm.id] ?? [0, 0, 0]) notes.note(counter);
  },
  task: (args, pid) => (state, notes) => noteNumbers(state.tasks[args[0] ?? pid], notes),
  inode: (args, pid) => (state, notes) => {
    const [task, fd] = args.length === 1 ? [pid, args[0]] : args;
    const tgid = state.tasks[task ?? -1]?.tgid ?? -1;
    const id = state.files[tgid]?.[fd ?? -1]?.inode ?? -1;
    notes.note(id);
    notes.note(state.inodes[id]?.size ?? null);
    noteNumbers(state.shmem[id], notes);
  },
  sb: (args, pid) => (state, notes) => {
    const [task, fd] = args.length === 1 ? [pid, args[0]] : args;
    const tgid = state.tasks[task ?? -1]?.tgid ?? -1;
    const inode = state.files[tgid]?.[fd ?? -1]?.inode ?? -1;
    const { sb = -1 } = state.shmem[inode] ?? {};
    const huge = hugetlbFileAt(state, inode)?.sb ?? -1;
    notes.note(sb);
    notes.note(huge);
    noteNumbers(state.tmpfs[sb], notes);
    noteNumbers(state.hugetlb.subpools[huge], notes);
  },
  folio:
    ([pfn = -1]) =>
    (state, notes) => {
      notes.note(pfn < state.maxPfn);
      if (pfn >= 0 && pfn < state.maxPfn) noteFolio(state, pfn, notes);
    },
};

/** Names of numbers that the language knows. */
const SIZES: Readonly<Record<string, number>> = { P: 4096, H: 2 * 1024 * 1024 };

/** The number that an expression is whatever the state; null if it depends on it, or is none. */
export function constantOf(expression: Expression, nameOf: QueryScope['nameOf']): number | null {
  switch (expression.node) {
    case 'number':
      return expression.value;
    case 'name':
      return nameOf(expression.name) ?? SIZES[expression.name] ?? null;
    case 'binary': {
      const a = constantOf(expression.left, nameOf);
      const b = constantOf(expression.right, nameOf);
      if (a === null || b === null) return null;
      if (expression.operator === '+') return a + b;
      if (expression.operator === '-') return a - b;
      return expression.operator === '*' ? a * b : null;
    }
    default:
      return null;
  }
}

type Names = Pick<QueryScope, 'nameOf' | 'pid'>;

/** Lines of meminfo that there are. */
const MEMINFO = /^(Committed_AS|HugePages_\w+)$/;
const noteMeminfo: Part = (state, notes) => {
  notes.note(state.committed);
  noteNumbers(state.hugetlb, notes);
};

/** Puts what `expression` rests on into `parts`; false if that is not known. */
function collect(expression: Expression, names: Names, parts: Part[]): boolean {
  switch (expression.node) {
    case 'number':
    case 'text':
      return true;
    case 'name':
      if (expression.name === 'meminfo') parts.push(noteMeminfo);
      if (expression.name === 'ksm') parts.push((state, notes) => noteNumbers(state.ksm, notes));
      return (
        ['meminfo', 'ksm'].includes(expression.name) ||
        names.nameOf(expression.name) !== undefined ||
        ['true', 'false', 'none', 'P', 'H'].includes(expression.name)
      );
    case 'call': {
      const part = PARTS[expression.name];
      const args = expression.args.map((arg) => constantOf(arg, names.nameOf));
      if (part === undefined || args.includes(null)) return false;
      parts.push(part(args as number[], names.pid));
      return true;
    }
    case 'field':
      if (expression.of.node === 'name' && expression.of.name === 'meminfo' && !MEMINFO.test(expression.field))
        return false;
      return collect(expression.of, names, parts);
    case 'unary':
      return collect(expression.of, names, parts);
    case 'binary':
      return collect(expression.left, names, parts) && collect(expression.right, names, parts);
  }
}

/** Tells whether an expression may have another value than at the state looked at before. */
export class Footprint {
  readonly #parts: readonly Part[] | null;
  readonly #notes = new Notes();

  constructor(expression: Expression, names: Names) {
    const parts: Part[] = [];
    this.#parts = collect(expression, names, parts) ? parts : null;
  }

  /** False only where the value is that of the call before. True the first time, and always where what it rests on is not known. */
  changed(state: KernelView): boolean {
    if (this.#parts === null) return true;
    this.#notes.begin();
    for (const part of this.#parts) part(state, this.#notes);
    return !this.#notes.end();
  }
}
