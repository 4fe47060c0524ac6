// What the kernel showed for a workload, kept in a file beside it, so that the model can be compared where no kernel may be asked.
import { InputError } from '../../lib/errors.js';
import type { Fields, Observation } from './observation.js';

/** A kernel's observations of one workload. */
export interface Recorded {
  /** `uname -r` of the kernel. */
  readonly kernel: string;
  /** Were page tables and struct pages read? */
  readonly deep: boolean;
  /** After each operation: line, and what changed since the one before (null: it is no longer there). */
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
  const steps = observations.map(({ subjects }, i) => {
    const changes: Record<string, Fields | null> = {};
    for (const [subject, fields] of subjects)
      if (!sameFields(fields, before.get(subject))) changes[subject] = seenFields(fields);
    for (const subject of before.keys()) if (!subjects.has(subject)) changes[subject] = null;
    before = subjects;
    return { line: lines[i] as number, changes };
  });
  return { kernel, deep, steps };
}

/** The observations again. @throws InputError if `text` is no recording. */
export function recordedObservations(text: string, file: string): { recorded: Recorded; observations: Observation[] } {
  const recorded = parsed(text, file);
  let subjects: ReadonlyMap<string, Fields> = new Map();
  const observations = recorded.steps.map(({ changes }) => {
    const now = new Map(subjects);
    for (const [subject, fields] of Object.entries(changes))
      if (fields === null) now.delete(subject);
      else now.set(subject, fields);
    subjects = now;
    return { subjects: now, frames: new Map<string, number>() };
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

const seenFields = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

function sameFields(a: Fields, b: Fields | undefined): boolean {
  if (b === undefined) return false;
  for (const field in a) if (a[field] !== b[field]) return false;
  for (const field in b) if (a[field] !== b[field]) return false;
  return true;
}
