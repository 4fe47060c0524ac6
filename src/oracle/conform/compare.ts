// Two observations side by side: what differs, and how much was compared.
import type { Fields, Observation, Scalar } from './observation.js';
import type { PageRun } from './page-runs.js';
import { NAMED, nameOf, overlay, pageKey } from './page-runs.js';

/** A field that differs. */
export interface Difference {
  readonly subject: string;
  readonly field: string;
  /** `none`: the subject is not there. */
  readonly model: Scalar;
  readonly kernel: Scalar;
}

/** How often each field was compared, and how often only one side could see it. */
export class Counts {
  readonly #families = new Map<string, FamilyCounts>();

  /** Those of the fields of one kind of subject. */
  of(family: string): FamilyCounts {
    let counts = this.#families.get(family);
    if (counts === undefined) this.#families.set(family, (counts = { compared: new Map(), unseen: new Map() }));
    return counts;
  }

  /** By `family.field`. */
  get compared(): ReadonlyMap<string, number> {
    return this.#named('compared');
  }
  get unseen(): ReadonlyMap<string, number> {
    return this.#named('unseen');
  }

  #named(which: keyof FamilyCounts): ReadonlyMap<string, number> {
    const named = new Map<string, number>();
    for (const [family, counts] of this.#families)
      for (const [field, { n }] of counts[which]) named.set(`${family}.${field}`, n);
    return named;
  }

  get total(): number {
    let sum = 0;
    for (const count of this.compared.values()) sum += count;
    return sum;
  }
}

/** By field; a page has twenty, and there are many pages. */
interface FamilyCounts {
  readonly compared: Map<string, { n: number }>;
  readonly unseen: Map<string, { n: number }>;
}

function count(field: string, into: Map<string, { n: number }>, times = 1): void {
  const counted = into.get(field);
  if (counted === undefined) into.set(field, { n: times });
  else counted.n += times;
}

/** The order in which differences are told: what explains the others first. */
const FIRST = ['operation', 'page', 'vma', 'task', 'fd', 'machine'];
const rank = (subject: string): number => FIRST.indexOf(subject.split(' ')[0] as string);

/** Compares field by field. A subject that one side lacks is one difference, `present`. */
export function compareObservations(model: Observation, kernel: Observation, counts: Counts): Difference[] {
  const differences: Difference[] = [];
  for (const [subject, fields] of kernel.subjects) {
    const ours = model.subjects.get(subject);
    if (ours === undefined) differences.push({ subject, field: 'present', model: false, kernel: true });
    else compareFields(subject, ours, fields, counts, differences);
  }
  overlay(kernel.pages, model.pages, (theirs, from, pages, ours, at) => {
    if (ours === null) lacking(theirs, from, pages, true, differences);
    else comparePages(theirs, from, pages, ours, at, counts.of('page'), differences);
  });
  for (const subject of model.subjects.keys())
    if (!kernel.subjects.has(subject)) differences.push({ subject, field: 'present', model: true, kernel: false });
  overlay(model.pages, kernel.pages, (ours, from, pages, theirs) => {
    if (theirs === null) lacking(ours, from, pages, false, differences);
  });
  return differences.toSorted((a, b) => rank(a.subject) - rank(b.subject));
}

/** Pages that one side alone has: the kernel or the model. */
function lacking({ task, addr }: PageRun, from: number, pages: number, kernel: boolean, into: Difference[]): void {
  for (let i = 0; i < pages; i++)
    into.push({ subject: pageKey(task, addr + (from + i) * PAGE), field: 'present', model: !kernel, kernel });
}

/** `pages` pages from `from` of `theirs` on, the same as from `at` of `ours` on. What holds of one in a row holds of all. */
function comparePages(
  theirs: PageRun,
  from: number,
  pages: number,
  ours: PageRun,
  at: number,
  { compared, unseen }: FamilyCounts,
  into: Difference[],
): void {
  const differing: string[] = [];
  const one = (field: string, their: Scalar | undefined, our: Scalar | undefined, same: boolean): void => {
    if (their === undefined && our === undefined) return;
    const both = their !== undefined && our !== undefined;
    count(field, both ? compared : unseen, pages);
    if (both && !same) differing.push(field);
  };
  for (const field in theirs.fields) {
    const their = theirs.fields[field];
    const our = ours.fields[field];
    one(field, their, our, their === our && (their !== NAMED || sameName(theirs, from, ours, at)));
  }
  one('kept', theirs.kept, ours.kept, theirs.kept === ours.kept);
  for (const field in ours.fields) if (!(field in theirs.fields)) one(field, undefined, ours.fields[field], false);
  for (let i = 0; differing.length > 0 && i < pages; i++)
    for (const field of differing) {
      const subject = pageKey(theirs.task, theirs.addr + (from + i) * PAGE);
      into.push({ subject, field, model: shown(ours, at + i, field), kernel: shown(theirs, from + i, field) });
    }
}

const PAGE = 4096;
const sameName = ({ name: a }: PageRun, from: number, { name: b }: PageRun, at: number): boolean =>
  a !== null && b !== null && a.task === b.task && a.addr + from * PAGE === b.addr + at * PAGE;

/** What page `i` of the row shows in `field`. */
function shown(run: PageRun, i: number, field: string): Scalar {
  const value = field === 'kept' ? run.kept : run.fields[field];
  return value === NAMED ? nameOf(run, i) : (value ?? 'none');
}

const familyOf = (subject: string): string => {
  const space = subject.indexOf(' ');
  return space < 0 ? subject : subject.slice(0, space);
};

function compareFields(subject: string, model: Fields, kernel: Fields, counts: Counts, into: Difference[]): void {
  const family = familyOf(subject);
  // An outcome that one side tells otherwise (an errno where the other has a value) shows in both fields.
  const outcome = family === 'operation' && Object.keys(model).length > 0;
  const { compared, unseen } = counts.of(family);
  for (const field in kernel) {
    const theirs = kernel[field];
    const ours = model[field];
    if (theirs === undefined && ours === undefined) continue;
    if (theirs === undefined || (ours === undefined && !outcome)) {
      count(field, unseen);
      continue;
    }
    count(field, compared);
    if (ours !== theirs) into.push({ subject, field, model: ours ?? 'none', kernel: theirs });
  }
  for (const field in model)
    if (model[field] !== undefined && !(field in kernel)) {
      if (family !== 'operation') count(field, unseen);
      else if (!into.some((each) => each.subject === subject))
        into.push({ subject, field, model: model[field], kernel: 'none' });
    }
}
