// Events as columns: per type and field one column of numbers, delta-coded inside the chunk. The catalogue tells the fields.
import type { EventType, FieldKind, KernelEvent } from '../../events/index.js';
import { SHAPES } from '../../events/index.js';
import type { PlainEvent } from '../../events/history.js';
import type { Column } from './columns.js';
import { ColumnEncoder, MalformedError, decodeColumn } from './columns.js';
import type { Row, TypeCodec } from './type-codec.js';
import { isNumber, typeCodec } from './type-codec.js';
import type { Vocabulary } from './vocabulary.js';
import { TODAY } from './vocabulary.js';

/** Numbers in all lists of a chunk; more than that a writer does not put there, and a reader does not allocate. */
export const LIST_NUMBERS_MAX = 1 << 24;
/** Events a chunk may claim to hold. */
export const CHUNK_EVENTS_MAX = 1 << 16;

/** Numbers that belong together in a list; each place gets a column of its own. */
const STRIDE: Readonly<Partial<Record<FieldKind, number>>> = {
  pfnRuns: 2,
  vpnRuns: 2,
  pteRuns3: 3,
  pteRuns4: 4,
  pteRuns5: 5,
  cacheRuns: 3,
};

/** [lengths, numbers that go together, one column for each of them]. */
type ListColumn = readonly [lengths: Column, stride: number, ...columns: Column[]];
type FieldColumn = Column | ListColumn | readonly string[];
/** [opcode, events, a column for each field in the catalogue's order]. */
type TypeTable = [opcode: number, count: number, ...fields: FieldColumn[]];

/** The codec of `type`; `general` takes the path of platforms that forbid making code. */
export const codecOf = (type: EventType, general = false): TypeCodec =>
  typeCodec(type, SHAPES[type].opcode, Object.entries(SHAPES[type].fields), general);

/** Codecs by type. */
export const CODECS = Object.fromEntries(
  TODAY.codecs.flatMap((codec) => (codec === undefined ? [] : [[codec.type, codec]])),
) as Readonly<Record<EventType, TypeCodec>>;

/** How many numbers stand in the lists of `event`. */
export function listNumbers(codec: TypeCodec, event: KernelEvent): number {
  let total = 0;
  for (const name of codec.lists) total += ((event as unknown as Row)[name] as readonly number[]).length;
  return total;
}

/** Arrays that are kept from chunk to chunk and grow as needed. */
class Scratch {
  readonly #columns: Float64Array[] = [];
  column(at: number, count: number): Float64Array {
    let column = this.#columns[at];
    if (column === undefined || column.length < count)
      column = this.#columns[at] = new Float64Array(Math.max(64, 2 * count));
    return column;
  }
  columns(count: number, rows: number): readonly Float64Array[] {
    for (let i = 0; i < count; i++) this.column(i, rows);
    return this.#columns;
  }
}

/** Encodes chunks; of another vocabulary than today's only in tests. */
export class EventEncoder {
  readonly #vocabulary: Vocabulary;
  readonly #column = new ColumnEncoder();
  readonly #scratch = new Scratch();
  readonly #ofType: KernelEvent[][] = [];
  readonly #counts = new Uint32Array(256);

  constructor(vocabulary: Vocabulary = TODAY) {
    this.#vocabulary = vocabulary;
  }

  /** Tables of `events`, whose opcodes are `order`. */
  encode(events: readonly KernelEvent[], order: Uint8Array): TypeTable[] {
    const counts = this.#counts.fill(0);
    for (let i = 0; i < order.length; i++) {
      const opcode = order[i] as number;
      (this.#ofType[opcode] ??= [])[counts[opcode]!++] = events[i] as KernelEvent;
    }
    const tables: TypeTable[] = [];
    for (let opcode = 0; opcode < counts.length; opcode++) {
      const count = counts[opcode] as number;
      if (count > 0)
        tables.push(this.#table(this.#vocabulary.codecs[opcode] as TypeCodec, this.#ofType[opcode]!, count));
    }
    return tables;
  }

  #table(codec: TypeCodec, events: readonly KernelEvent[], count: number): TypeTable {
    const columns = this.#scratch.columns(codec.fields.length, count);
    codec.gather(events, count, columns);
    const table: TypeTable = [codec.opcode, count];
    let next = 0;
    for (const [, kind] of codec.fields)
      table.push(isNumber(kind) ? this.#column.encode(columns[next++] as Float64Array, count) : 0);
    // The other columns come after: they use the same scratch.
    codec.fields.forEach(([name, kind], f) => {
      if (kind === 'text') table[2 + f] = this.#values(events, count, name);
      else if (!isNumber(kind)) table[2 + f] = this.#lists(this.#values(events, count, name), STRIDE[kind] ?? 1);
    });
    return table;
  }

  #values<T extends string | readonly number[]>(events: readonly KernelEvent[], count: number, name: string): T[] {
    const values = new Array<T>(count);
    for (let i = 0; i < count; i++) values[i] = (events[i] as unknown as Row)[name] as T;
    return values;
  }

  #lists(lists: readonly (readonly number[])[], strideWanted: number): ListColumn {
    let total = 0;
    let stride = strideWanted;
    const lengths = this.#scratch.column(0, lists.length);
    for (let i = 0; i < lists.length; i++) {
      const { length } = lists[i]!;
      lengths[i] = length;
      total += length;
      if (length % stride !== 0) stride = 1;
    }
    const encoded: [Column, number, ...Column[]] = [this.#column.encode(lengths, lists.length), stride];
    for (let place = 0; place < stride; place++) {
      const column = this.#scratch.column(0, total / stride);
      let at = 0;
      for (const list of lists) for (let i = place; i < list.length; i += stride) column[at++] = list[i] as number;
      encoded.push(this.#column.encode(column, at));
    }
    return encoded;
  }
}

/** Decodes chunks that were written in a vocabulary into events of today. Throws MalformedError on tables that no encoder made. */
export class EventDecoder {
  readonly #vocabulary: Vocabulary;
  readonly #scratch: Scratch[] = [];
  readonly #lists = new Scratch();
  readonly #next = new Uint32Array(256);
  #listNumbers = 0;

  constructor(vocabulary: Vocabulary = TODAY) {
    this.#vocabulary = vocabulary;
  }

  /** The events of `tables`, in the order of the opcodes `order`. Nothing in them is shared with what was read. */
  decode(tables: unknown, order: Uint8Array): KernelEvent[] {
    const { codecs, upcast } = this.#vocabulary;
    const columns: (readonly ArrayLike<unknown>[])[] = [];
    const counts = new Uint32Array(256);
    this.#listNumbers = 0;
    for (const table of arrayOf(tables, 'the tables')) {
      const [opcode, count, ...fields] = arrayOf(table, 'a table') as [unknown, unknown, ...unknown[]];
      const codec = typeof opcode === 'number' ? codecs[opcode] : undefined;
      if (codec === undefined)
        throw new MalformedError(`unknown event type ${typeof opcode === 'number' ? opcode : 'that is no number'}`);
      if (!isCount(count, order.length) || columns[codec.opcode] !== undefined)
        throw new MalformedError(`${codec.type} occurs too often`);
      if (fields.length !== codec.fields.length) throw new MalformedError(`${codec.type} has other fields`);
      counts[codec.opcode] = count;
      columns[codec.opcode] = this.#columns(codec, count, fields);
    }
    const next = this.#next.fill(0);
    const events = new Array<KernelEvent>(order.length);
    for (let i = 0; i < order.length; i++) {
      const opcode = order[i] as number;
      const row = next[opcode]!++;
      if (row >= counts[opcode]!) throw new MalformedError('the order names events that are not there');
      const event = codecs[opcode]!.build(columns[opcode]!, row);
      events[i] = upcast === null ? event : upcast(event as unknown as PlainEvent);
    }
    for (let opcode = 0; opcode < 256; opcode++)
      if (next[opcode] !== counts[opcode]) throw new MalformedError('the order leaves out events that are there');
    return events;
  }

  #columns(codec: TypeCodec, count: number, fields: readonly unknown[]): readonly ArrayLike<unknown>[] {
    const scratch = (this.#scratch[codec.opcode] ??= new Scratch());
    return codec.fields.map(([, kind], f) => {
      const field = fields[f];
      if (kind === 'text') {
        const texts = arrayOf(field, 'a column of texts');
        if (texts.length !== count || texts.some((text) => typeof text !== 'string'))
          throw new MalformedError('a column of texts holds something else');
        return texts;
      }
      if (!isNumber(kind)) return this.#listsOf(field, count);
      const column = scratch.column(f, count);
      decodeColumn(field, count, column);
      return column;
    });
  }

  #listsOf(field: unknown, count: number): readonly (readonly number[])[] {
    const [lengthColumn, stride, ...columns] = arrayOf(field, 'a column of lists');
    if (!isCount(stride, 8) || stride < 1 || columns.length !== stride)
      throw new MalformedError('a column of lists has the wrong stride');
    const lengths = this.#lists.column(stride, count);
    decodeColumn(lengthColumn, count, lengths);
    let total = 0;
    for (let i = 0; i < count; i++) {
      const length = lengths[i] as number;
      if (!isCount(length, LIST_NUMBERS_MAX - this.#listNumbers - total) || length % stride !== 0)
        throw new MalformedError('a list has an impossible length');
      total += length;
    }
    this.#listNumbers += total;
    for (let place = 0; place < stride; place++) {
      decodeColumn(columns[place], total / stride, this.#lists.column(place, total / stride));
    }
    const all = this.#lists.columns(stride, total / stride);
    const lists: number[][] = [];
    let at = 0;
    for (let i = 0; i < count; i++) {
      const length = lengths[i] as number;
      const list = new Array<number>(length);
      for (let j = 0; j < length; at++)
        for (let place = 0; place < stride; place++) list[j++] = all[place]![at] as number;
      lists.push(list);
    }
    return lists;
  }
}

/** `value` if it is an array. */
export function arrayOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new MalformedError(`${what} is not an array`);
  return value;
}

/** Whether `value` is a whole number from 0 to `max`. */
export const isCount = (value: unknown, max: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
