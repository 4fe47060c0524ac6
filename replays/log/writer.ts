// Writes a log while the run goes on. Memory stays bounded: a chunk of events and the operations not yet finished.
import type { EventType, KernelEvent } from '../../events/index.js';
import { SHAPES } from '../../events/index.js';
import { Digest } from '../../reducers/digest.js';
import type { KernelView } from '../../reducers/state.js';
import { assert } from '../../src/lib/assert.js';
import type { ByteSink, ByteTools } from '../../src/lib/bytes.js';
import type { OperationRun } from './chunk.js';
import { encodeChunk } from './chunk.js';
import { CODECS, EventEncoder, LIST_NUMBERS_MAX, listNumbers } from './event-codec.js';
import type { FrameIndexEntry, KeyframeEntry, LogFooter, ParentLog, RunDescription, SourceInfo } from './format.js';
import { DEFLATE_MIN, FLAG_DEFLATED, FrameKind, MAGIC, PAYLOAD_MAX, frameBytes, headerOf, pack } from './format.js';
import type { MadeKeyframe } from './keyframe-writer.js';
import { KeyframeMaker } from './keyframe-writer.js';
import type { FinishedOperation, PlainOperation } from './operation-codec.js';
import { encodeOperations } from './operation-codec.js';

/** Events in a full chunk. */
export const CHUNK_EVENTS = 4096;
/** A chunk also ends once its lists hold so many numbers, so that range events keep frames small. */
export const CHUNK_LIST_NUMBERS = 1 << 18;
/** Finished operations that make a frame. */
export const FRAME_OPERATIONS = 1024;

/** No operation: events that the machine causes on its own. */
export const NO_OPERATION = -1;

export interface LogWriterOptions {
  /** Deflate chunks and operations; on unless set. */
  readonly deflate?: boolean;
  /** Events between keyframes, at least; 0: none are written. */
  readonly keyframeEvents?: number;
  /** Events in a full chunk, at most CHUNK_EVENTS. */
  readonly chunkEvents?: number;
  /** For a log that is cut out of another one: the numbers go on from there, and a keyframe of the state stands first. */
  readonly from?: ParentLog & { readonly operation: number };
}

interface OpenOperation extends FinishedOperation {
  events: number;
  got: unknown;
  ended: boolean;
}

/**
 * Writes one log. For each operation: `beginOperation`, `event` after each event was applied to the state, `endOperation`.
 * A failed write removes what was written and throws; nothing may be written after it.
 */
export class LogWriter {
  readonly #sink: ByteSink;
  readonly #io: ByteTools;
  readonly #state: KernelView;
  readonly #deflate: boolean;
  readonly #chunkEvents: number;
  readonly #encoder = new EventEncoder();
  #digest: Digest;
  readonly #keyframes: KeyframeMaker | null;

  #offset = 0;
  #seq = 0;
  #events: KernelEvent[] = [];
  readonly #order = new Uint8Array(CHUNK_EVENTS);
  #listNumbers = 0;
  #runs: OperationRun[] = [];
  /** Events of `#current` since the last run was closed. */
  #runCount = 0;
  #firstEvent = 0;
  #begun = { event: 0, operation: 0 };

  #operations: OpenOperation[] = [];
  #firstOperation = 0;
  /** How many of the first ones have ended: those may be written. */
  #ended = 0;
  #current = NO_OPERATION;

  readonly #counts = new Float64Array(256);
  readonly #chunks: FrameIndexEntry[] = [];
  readonly #operationFrames: FrameIndexEntry[] = [];
  readonly #keyframeIndex: KeyframeEntry[] = [];

  /** `state` is the one that events are applied to, in place; it must be at event 0, or at that of `from`. */
  constructor(sink: ByteSink, io: ByteTools, run: RunDescription, state: KernelView, options: LogWriterOptions = {}) {
    this.#sink = sink;
    this.#io = io;
    this.#state = state;
    const { from } = options;
    this.#deflate = options.deflate ?? true;
    this.#chunkEvents = Math.min(CHUNK_EVENTS, options.chunkEvents ?? CHUNK_EVENTS);
    this.#keyframes =
      options.keyframeEvents === 0 ? null : new KeyframeMaker(state, from?.event, options.keyframeEvents);
    this.#digest = new Digest(undefined, this.#keyframes?.touched);
    this.#write(MAGIC);
    this.#frame(FrameKind.header, pack(headerOf(run, from && { digest: from.digest, event: from.event })), false);
    if (from !== undefined) this.#begin(from.event, from.operation);
  }

  /** Goes on from an event of another log. The chain of digests begins with the hash of the state. */
  #begin(event: number, operation: number): void {
    this.#firstEvent = event;
    this.#firstOperation = operation;
    this.#begun = { event, operation };
    const made = this.#keyframes?.make(event);
    assert(made, 'no-keyframe-to-begin-with', event);
    this.#writeKeyframe(made);
    this.#digest = new Digest(made.hash, this.#keyframes?.touched);
  }

  /** Number of the next event. */
  get eventCount(): number {
    return this.#firstEvent + this.#events.length;
  }

  /** Events from now on belong to `operation`; returns its id. */
  beginOperation(operation: PlainOperation): number {
    const id = this.#firstOperation + this.#operations.length;
    this.#operations.push({ operation, firstEvent: this.eventCount, events: 0, got: null, ended: false });
    this.switchTo(id);
    return id;
  }

  /** Events from now on belong to the operation `id`, begun before and not ended: where operations interleave. */
  switchTo(id: number): void {
    if (id === this.#current) return;
    this.#closeRun();
    assert(
      id === NO_OPERATION || this.#operations[id - this.#firstOperation]?.ended === false,
      'operation-not-open',
      id,
    );
    this.#current = id;
  }

  /** One more event, which has just been applied to the state. */
  event(event: KernelEvent): void {
    const codec = CODECS[event.type];
    const n = this.#events.push(event);
    this.#order[n - 1] = codec.opcode;
    this.#runCount++;
    if (codec.lists.length > 0) this.#listNumbers += listNumbers(codec, event);
    if (n === this.#chunkEvents || this.#listNumbers >= CHUNK_LIST_NUMBERS) this.#flushEvents();
  }

  /** The operation `id` came to its end, with what the model made of it. Later events belong to no operation. */
  endOperation(got: unknown, id: number = this.#current): void {
    if (id === this.#current) this.switchTo(NO_OPERATION);
    const open = this.#operations[id - this.#firstOperation];
    assert(open?.ended === false, 'operation-not-open', id);
    open.got = got;
    open.ended = true;
    while (this.#operations[this.#ended]?.ended) this.#ended++;
    if (this.#ended >= FRAME_OPERATIONS) this.#flushOperations(FRAME_OPERATIONS);
  }

  /** Plain data as a frame of its own, between those of events. */
  frame(kind: number, data: unknown): void {
    this.#frame(kind, pack(data), this.#deflate);
  }

  /** Writes the rest and the footer and makes the log visible. Operations still open get null. Returns the digest of the run. */
  close(summary: Readonly<Record<string, unknown>>, source: SourceInfo): string {
    this.switchTo(NO_OPERATION);
    this.#flushEvents();
    while (this.#operations.length > 0) this.#flushOperations(FRAME_OPERATIONS);
    const footer: LogFooter = {
      firstEvent: this.#begun.event,
      firstOperation: this.#begun.operation,
      events: this.#firstEvent,
      operations: this.#firstOperation,
      digest: this.#digest.hex(),
      chunks: this.#chunks,
      operationFrames: this.#operationFrames,
      keyframes: this.#keyframeIndex,
      counts: Object.fromEntries(
        (Object.keys(SHAPES) as EventType[])
          .map((type): [string, number] => [type, this.#counts[SHAPES[type].opcode] as number])
          .filter(([, count]) => count > 0),
      ),
      source,
      summary,
    };
    this.#frame(FrameKind.footer, pack(footer), false);
    this.#write(MAGIC);
    this.#guarded(() => this.#sink.commit());
    return footer.digest;
  }

  /** Gives the log up: what was written is removed. */
  abort(): void {
    this.#sink.abort();
  }

  #closeRun(): void {
    const count = this.#runCount;
    if (count === 0) return;
    this.#runs.push({ operation: this.#current, count });
    if (this.#current !== NO_OPERATION) this.#operations[this.#current - this.#firstOperation]!.events += count;
    this.#runCount = 0;
  }

  #flushEvents(): void {
    const events = this.#events;
    const n = events.length;
    if (n === 0) return;
    assert(this.#listNumbers <= LIST_NUMBERS_MAX, 'event-too-long', events[n - 1]!.type);
    this.#closeRun();
    const order = this.#order.subarray(0, n);
    for (const opcode of order) this.#counts[opcode]!++;
    const before = this.#digest.hex();
    this.#digest.update(this.#state, events);
    const chunk = { first: this.#firstEvent, order, before, after: this.#digest.hex(), runs: this.#runs };
    const payload = encodeChunk(this.#encoder, chunk, events);
    const offset = this.#offset;
    this.#chunks.push([offset, this.#firstEvent, n]);
    this.#frame(FrameKind.events, payload, this.#deflate);
    this.#firstEvent += n;
    this.#events = [];
    this.#listNumbers = 0;
    this.#runs = [];
    this.#keyframes?.chunk(this.#offset - offset);
    this.#keyframe();
  }

  /** Writes a keyframe if one is due: after a chunk, when the state is that after all events written. */
  #keyframe(): void {
    const made = this.#keyframes?.next(this.#firstEvent);
    if (made) this.#writeKeyframe(made);
  }

  #writeKeyframe(made: MadeKeyframe): void {
    const offset = this.#offset;
    this.#keyframeIndex.push([offset, this.#firstEvent, made.whole ? 1 : 0]);
    this.#frame(FrameKind.keyframe, made.payload, this.#deflate);
    this.#keyframes?.stored(this.#offset - offset, made.whole);
  }

  /** Writes the first operations, up to `limit` of them, as they are. */
  #flushOperations(limit: number): void {
    const operations = this.#operations.slice(0, limit);
    this.#operationFrames.push([this.#offset, this.#firstOperation, operations.length]);
    this.#frame(FrameKind.operations, pack(encodeOperations(this.#firstOperation, operations)), this.#deflate);
    this.#operations = this.#operations.slice(operations.length);
    this.#firstOperation += operations.length;
    this.#ended = Math.max(0, this.#ended - operations.length);
  }

  #frame(kind: number, payload: Uint8Array, deflate: boolean): void {
    let stored = payload;
    let flags = 0;
    if (deflate && payload.length >= DEFLATE_MIN) {
      const deflated = this.#io.deflate(payload);
      if (deflated.length < payload.length) {
        stored = deflated;
        flags = FLAG_DEFLATED;
      }
    }
    assert(payload.length <= PAYLOAD_MAX, 'frame-too-long', kind, payload.length);
    this.#write(frameBytes(kind, flags, this.#seq++, stored, this.#io));
  }

  #write(bytes: Uint8Array): void {
    this.#guarded(() => this.#sink.write(bytes));
    this.#offset += bytes.length;
  }

  #guarded(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#sink.abort();
      throw error;
    }
  }
}
