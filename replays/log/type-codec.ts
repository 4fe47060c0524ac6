// How events of one type become columns and come back: code made for its fields, or the same without making code.
import type { FieldKind, KernelEvent } from '../../events/index.js';
import { LIST_KINDS } from '../../events/index.js';
import { compile, property } from '../../src/lib/compile.js';

type Field = number | string | readonly number[];
/** An event as its fields. */
export type Row = Readonly<Record<string, Field>>;
type Gather = (events: readonly KernelEvent[], count: number, columns: readonly Float64Array[]) => void;
type Build = (columns: readonly ArrayLike<unknown>[], row: number) => KernelEvent;

/** How events of one type become columns and come back. */
export interface TypeCodec {
  readonly type: string;
  readonly opcode: number;
  readonly fields: readonly (readonly [name: string, kind: FieldKind])[];
  /** Names of the fields that are lists. */
  readonly lists: readonly string[];
  /** Copies the number fields of some events into columns, one per number field. */
  readonly gather: Gather;
  /** Makes the event of a row from one column per field. */
  readonly build: Build;
}

/** Is there one number of it in each event? */
export const isNumber = (kind: FieldKind): boolean => kind !== 'text' && !LIST_KINDS.has(kind);

/** The codec of a type of any catalogue; `general` takes the path of platforms that forbid making code. */
export function typeCodec(type: string, opcode: number, fields: TypeCodec['fields'], general = false): TypeCodec {
  const numbers = fields.filter(([, kind]) => isNumber(kind)).map(([name]) => name);
  const gatherCode = `for (let i = 0; i < count; i++) { const e = events[i]; ${numbers
    .map((name, i) => `c${i}[i] = e${property(name)};`)
    .join(' ')} }`;
  const gather = general
    ? null
    : compile(['events', 'count', 'c'], `${numbers.map((_, i) => `const c${i} = c[${i}];`).join(' ')} ${gatherCode}`);
  const build = general
    ? null
    : compile(
        ['c', 'row'],
        `return { type: ${JSON.stringify(type)}, ${fields.map(([name], i) => `${name}: c[${i}][row]`).join(', ')} };`,
      );
  return {
    type,
    opcode,
    fields,
    lists: fields.filter(([, kind]) => LIST_KINDS.has(kind)).map(([name]) => name),
    gather: (gather as Gather | null) ?? generalGather(numbers),
    build: (build as Build | null) ?? generalBuild(type, fields),
  };
}

function generalGather(numbers: readonly string[]): Gather {
  return (events, count, columns) => {
    for (let f = 0; f < numbers.length; f++) {
      const name = numbers[f] as string;
      const column = columns[f] as Float64Array;
      for (let i = 0; i < count; i++) column[i] = (events[i] as unknown as Row)[name] as number;
    }
  };
}

function generalBuild(type: string, fields: TypeCodec['fields']): Build {
  return (columns, row) => {
    const event: Record<string, unknown> = { type };
    for (let f = 0; f < fields.length; f++) event[fields[f]![0]] = columns[f]![row];
    return event as unknown as KernelEvent;
  };
}
