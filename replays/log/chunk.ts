// Chunks of events: what a frame of kind EVENTS holds.
import type { KernelEvent } from '../../events/index.js';
import { ColumnEncoder, MalformedError, decodeColumn } from './columns.js';
import type { EventDecoder, EventEncoder } from './event-codec.js';
import { CHUNK_EVENTS_MAX, arrayOf, isCount } from './event-codec.js';
import { pack } from './format.js';

/** Some events in a row that one operation emitted; operation -1: none. */
export interface OperationRun {
  readonly operation: number;
  readonly count: number;
}

/** A chunk, its events not decoded yet. */
export interface Chunk {
  /** Number of its first event. */
  readonly first: number;
  readonly n: number;
  /** Digest of the run before and after it. */
  readonly before: string;
  readonly after: string;
  /** Opcode of each event. */
  readonly order: Uint8Array;
  readonly runs: readonly OperationRun[];
  readonly tables: unknown;
}

const runColumns = new ColumnEncoder();

/** The payload of a chunk. */
export function encodeChunk(
  encoder: EventEncoder,
  chunk: Omit<Chunk, 'tables' | 'n'>,
  events: readonly KernelEvent[],
): Uint8Array {
  const { first, before, after, order, runs } = chunk;
  const columnOf = (of: (run: OperationRun) => number): number | Uint8Array =>
    runColumns.encode(Float64Array.from(runs, of), runs.length);
  return pack([
    first,
    order,
    before,
    after,
    runs.length,
    columnOf((run) => run.operation),
    columnOf((run) => run.count),
    encoder.encode(events, order),
  ]);
}

const isDigest = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{16}$/.test(value);

/** The chunk in a frame's data. Throws MalformedError. */
export function chunkOf(data: unknown): Chunk {
  const [first, order, before, after, runCount, operations, counts, tables] = arrayOf(data, 'a chunk');
  if (!isCount(first, Number.MAX_SAFE_INTEGER)) throw new MalformedError('a chunk without its first event');
  if (!(order instanceof Uint8Array) || order.length === 0 || order.length > CHUNK_EVENTS_MAX)
    throw new MalformedError('a chunk with an impossible number of events');
  if (!isDigest(before) || !isDigest(after)) throw new MalformedError('a chunk without digests');
  if (!isCount(runCount, order.length)) throw new MalformedError('a chunk with an impossible number of operations');
  const operationColumn = new Float64Array(runCount);
  const countColumn = new Float64Array(runCount);
  decodeColumn(operations, runCount, operationColumn);
  decodeColumn(counts, runCount, countColumn);
  let events = 0;
  const runs = Array.from(operationColumn, (operation, i): OperationRun => {
    const count = countColumn[i] as number;
    if (!isCount(count, order.length) || !isCount(operation + 1, Number.MAX_SAFE_INTEGER))
      throw new MalformedError('an impossible run of events of an operation');
    events += count;
    return { operation, count };
  });
  if (events !== order.length) throw new MalformedError('the operations of a chunk have other events than it holds');
  return { first, n: order.length, before, after, order, runs, tables };
}

/** The events of `chunk`. Throws MalformedError. */
export const eventsOf = (decoder: EventDecoder, chunk: Chunk): KernelEvent[] =>
  decoder.decode(chunk.tables, chunk.order);
