// Cutting a stretch of events out of a log. The piece begins with the state before it and keeps all numbers.
import type { KernelEvent } from '../events/index.js';
import { apply } from '../reducers/index.js';
import type { ByteSink, ByteTools } from '../src/lib/bytes.js';
import { EXIT, UserError } from '../src/lib/errors.js';
import type { OperationRun } from './log/chunk.js';
import type { LoggedOperation } from './log/operation-codec.js';
import type { LogReader } from './log/reader.js';
import { LogWriter, NO_OPERATION } from './log/writer.js';
import type { LogWriterOptions } from './log/writer.js';
import { stateAt } from './timeline.js';

/** What a piece holds. */
export interface Cut {
  readonly events: number;
  readonly operations: number;
  /** Digest of the piece. */
  readonly digest: string;
}

/** A run of events of one operation in a chunk, cut to the stretch. */
interface Piece extends OperationRun {
  readonly events: readonly KernelEvent[];
}

function* pieces(reader: LogReader, from: number, to: number): Generator<Piece> {
  for (const chunk of reader.chunks(from, to)) {
    const events = chunk.events();
    let at = 0;
    for (const { operation, count } of chunk.runs) {
      const cut = events.slice(Math.max(at, from - chunk.first), Math.max(0, Math.min(at + count, to - chunk.first)));
      at += count;
      if (cut.length > 0) yield { operation, count: cut.length, events: cut };
    }
  }
}

/** Writes events `from` up to before `to` of the log as one of its own, with the operations that they are of. */
export function cutLog(
  reader: LogReader,
  from: number,
  to: number,
  sink: ByteSink,
  io: ByteTools,
  options: LogWriterOptions = {},
): Cut {
  if (!(from >= reader.firstEvent && from < to && to <= reader.eventCount))
    throw new UserError(
      `the log has no events ${from} to ${to - 1}: it goes from ${reader.firstEvent} to ${reader.eventCount - 1}`,
      EXIT.input,
    );
  const left = new Map<number, number>();
  for (const { operation, count } of pieces(reader, from, to))
    if (operation !== NO_OPERATION) left.set(operation, (left.get(operation) ?? 0) + count);
  let first = Infinity;
  let end = 0;
  for (const operation of left.keys()) {
    first = Math.min(first, operation);
    end = Math.max(end, operation + 1);
  }
  if (end > reader.footer.operations)
    throw new UserError(`the operations of these events were lost: ${reader.footer.operations} are left`, EXIT.input);
  const operation = end === 0 ? 0 : first;
  const state = stateAt(reader, from);
  const start = { digest: reader.footer.digest, event: from, operation };
  const log = new LogWriter(sink, io, reader.header, state, { ...options, from: start });
  const operations = new OperationWriter(log, reader.operations(operation, end), left);
  for (const piece of pieces(reader, from, to)) {
    operations.begin(piece.operation);
    for (const event of piece.events) {
      apply(state, event);
      log.event(event);
    }
    operations.wrote(piece.operation, piece.count);
  }
  const digest = log.close(reader.footer.summary, reader.footer.source);
  return { events: to - from, operations: end - operation, digest };
}

/** Begins and ends the operations of a log again, in their order. */
class OperationWriter {
  readonly #log: LogWriter;
  readonly #operations: Iterator<LoggedOperation>;
  /** Events still to come of each operation. */
  readonly #left: Map<number, number>;
  readonly #got = new Map<number, unknown>();
  /** Operations up to here were begun; at first none. */
  #next = 0;

  constructor(log: LogWriter, operations: Iterator<LoggedOperation>, left: Map<number, number>) {
    this.#log = log;
    this.#operations = operations;
    this.#left = left;
  }

  /** The next events are of operation `id`. */
  begin(id: number): void {
    // NO_OPERATION is below all of them.
    while (this.#next <= id) {
      const { done, value } = this.#operations.next();
      if (done === true) break;
      this.#log.beginOperation(plain(value));
      this.#next = value.id + 1;
      if (this.#left.has(value.id)) this.#got.set(value.id, value.got);
      else this.#log.endOperation(value.got);
    }
    this.#log.switchTo(id);
  }

  /** So many events of operation `id` were written. */
  wrote(id: number, count: number): void {
    if (id === NO_OPERATION) return;
    const left = (this.#left.get(id) as number) - count;
    this.#left.set(id, left);
    if (left > 0) return;
    this.#log.endOperation(this.#got.get(id), id);
    this.#got.delete(id);
  }
}

/** The operation as it was begun, without what the log says of it. */
function plain({
  line,
  pid,
  name,
  args,
  result,
  unfinished,
}: LoggedOperation): Parameters<LogWriter['beginOperation']>[0] {
  const operation = { line, pid, name, args, result };
  return unfinished === undefined ? operation : { ...operation, unfinished };
}
