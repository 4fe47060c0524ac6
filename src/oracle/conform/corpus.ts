// What the kernel showed for a workload, kept in a file beside it, so that the model can be compared where no kernel may be asked.
import { InputError } from '../../lib/errors.js';
import type { Fields, Observation } from './observation.js';
import { observationOf, subjectsOf } from './observation.js';
import type { PageName } from './page-runs.js';
import { pageKey, pageName } from './page-runs.js';

/** A kernel's observations of one workload. */
export interface Recorded {
  /** `uname -r` of the kernel. */
  readonly kernel: string;
  /** Were page tables and struct pages read? */
  readonly deep: boolean;
  /** After each operation: line, and what changed since the one before (null: it is no longer there). `page 1 0x1000+512` are 512 pages. */
  readonly steps: readonly RecordedStep[];
}
interface RecordedStep {
  readonly line: number;
  readonly changes: Readonly<Record<string, Fields | null>>;
}

/** Name of the file beside workload `path`. */
export const recordedName = (path: string): string => `${path.replace(/\.strace$/, '')}.observed.json`;

/** As differences from one operation to the next. */
export function recordObservations(
  kernel: string,
  deep: boolean,
  lines: readonly number[],
  observations: readonly Observation[],
): Recorded {
  let before: ReadonlyMap<string, Fields> = new Map();
  const steps = observations.map((observation, i) => {
    const subjects = subjectsOf(observation);
    const changes: Record<string, Fields | null> = {};
    for (const [subject, fields] of subjects)
      if (!sameFields(fields, before.get(subject))) changes[subject] = seenFields(fields);
    for (const subject of before.keys()) if (!subjects.has(subject)) changes[subject] = null;
    before = subjects;
    return { line: lines[i] as number, changes: folded(changes) };
  });
  return { kernel, deep, steps };
}

/** The observations again. @throws InputError if `text` is no recording. */
export function recordedObservations(text: string, file: string): { recorded: Recorded; observations: Observation[] } {
  const recorded = parsed(text, file);
  let subjects: ReadonlyMap<string, Fields> = new Map();
  const observations = recorded.steps.map(({ changes }) => {
    const now = new Map(subjects);
    for (const [subject, fields] of unfolded(changes))
      if (fields === null) now.delete(subject);
      else now.set(subject, fields);
    subjects = now;
    return observationOf(now);
  });
  return { recorded, observations };
}

/** One line a step: differences between two recordings of a workload can be read. */
export function printRecorded({ kernel, deep, steps }: Recorded): string {
  const lines = steps.map((step) => `  ${JSON.stringify(step)}`).join(',\n');
  return `{"kernel":${JSON.stringify(kernel)},"deep":${deep},"steps":[\n${lines}\n]}\n`;
}

function parsed(text: string, file: string): Recorded {
  try {
    const value = JSON.parse(text) as Partial<Recorded>;
    if (typeof value.kernel === 'string' && Array.isArray(value.steps)) return value as Recorded;
  } catch {
    // Told below.
  }
  throw new InputError({ file }, 'not the observations of a workload; make them again with conform --record');
}

type Change = readonly [subject: string, fields: Fields | null];

const PAGE = 4096;
const pageSubject = ({ task, addr }: PageName): string => pageKey(task, addr);

/** What is to be seen of page `pages` pages further on, if it is like this one: a frame is named by the page that shows it first. */
function shifted(fields: Fields | null, pages: number): Fields | null {
  const frame = typeof fields?.['frame'] === 'string' ? pageName(fields['frame']) : null;
  if (fields === null || frame === null) return fields;
  return { ...fields, frame: pageSubject({ ...frame, addr: frame.addr + pages * PAGE }) };
}

/** Neighbouring pages that changed alike are written once. */
function folded(changes: Readonly<Record<string, Fields | null>>): Record<string, Fields | null> {
  const result: Record<string, Fields | null> = {};
  let run: { readonly name: PageName; readonly fields: Fields | null; pages: number } | null = null;
  const end = (): void => {
    if (run !== null) result[`${pageSubject(run.name)}${run.pages > 1 ? `+${run.pages}` : ''}`] = run.fields;
    run = null;
  };
  for (const [subject, fields] of Object.entries(changes)) {
    const name = pageName(subject);
    const open: typeof run = run;
    if (open !== null && name !== null && continues(open, name, fields)) {
      open.pages++;
      continue;
    }
    end();
    if (name === null) result[subject] = fields;
    else run = { name, fields, pages: 1 };
  }
  end();
  return result;
}

function continues(
  { name, fields, pages }: { readonly name: PageName; readonly fields: Fields | null; readonly pages: number },
  next: PageName,
  found: Fields | null,
): boolean {
  if (next.task !== name.task || next.addr !== name.addr + pages * PAGE) return false;
  const expected = shifted(fields, pages);
  return expected === null || found === null ? expected === found : sameFields(found, expected);
}

function unfolded(changes: Readonly<Record<string, Fields | null>>): Change[] {
  return Object.entries(changes).flatMap(([subject, fields]): Change[] => {
    const [first = '', count = '1'] = subject.startsWith('page ') ? subject.split('+') : [subject];
    const name = pageName(first);
    if (name === null) return [[subject, fields]];
    return Array.from({ length: Number(count) }, (_, i): Change => {
      return [pageSubject({ ...name, addr: name.addr + i * PAGE }), shifted(fields, i)];
    });
  });
}

const seenFields = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

function sameFields(a: Fields, b: Fields | undefined): boolean {
  if (b === undefined) return false;
  for (const field in a) if (a[field] !== b[field]) return false;
  for (const field in b) if (a[field] !== b[field]) return false;
  return true;
}
