// Checks a whole log: every byte of every frame, the footer against what is there, the chain of digests; deep: that the
// events still do to the state what they did, and that the operations still cause these events.
import type { EventType, KernelEvent } from '../../events/index.js';
import { Digest } from '../../reducers/digest.js';
import { initialState } from '../../reducers/state.js';
import type { ByteSource, ByteTools } from '../../src/lib/bytes.js';
import { InputError } from '../../src/lib/errors.js';
import type { Divergence } from '../diverge.js';
import { firstDifference } from '../diverge.js';
import { foldChunk } from '../fold.js';
import { folding } from '../guard.js';
import type { Chunk } from './chunk.js';
import { chunkOf, eventsOf } from './chunk.js';
import { MalformedError } from './columns.js';
import { EventDecoder } from './event-codec.js';
import type { Frame, FrameIndexEntry, LogFooter, LogHeader, ParentLog } from './format.js';
import { FrameKind, MAGIC, magicAt, readFrame, withMagic } from './format.js';
import { applyKeyframe, keyframeOf } from './keyframe.js';
import { WHOLE } from './keyframe-encode.js';
import type { LoggedOperation } from './operation-codec.js';
import { decodeOperations } from './operation-codec.js';
import { decodeFrame, decoderFor, isOutdated, readFooter, readHeader } from './reader.js';
import { footerOf } from './summary.js';
import { KeyframeChecker } from './verify-keyframes.js';

/** Something wrong with a log. */
export interface LogProblem {
  /** Byte offset. */
  readonly offset: number;
  readonly what: string;
}

export interface Verification {
  readonly ok: boolean;
  /** False if this is no log at all, rather than a damaged one. */
  readonly isLog: boolean;
  readonly problems: readonly LogProblem[];
  /** What was found in sound frames. */
  readonly events: number;
  readonly operations: number;
  /** Digest after the last sound chunk. */
  readonly digest: string;
  readonly divergence: Divergence | null;
  /** Why the operations were not run again though that was asked for; null if they were, or it was not. */
  readonly notRunAgain: string | null;
  /** Deep: each state that the events lead to was compared with what the log says of it; false where the log is of an earlier catalogue. */
  readonly statesCompared: boolean;
}

export interface VerifyOptions {
  /** Fold all events and compute every digest anew. */
  readonly deep?: boolean;
  /** Runs the operations again and gives the events that they cause now; deep only. */
  readonly reexecute?: (operations: Iterable<LoggedOperation>, header: LogHeader) => Iterable<KernelEvent>;
}

/** All that is wrong with the log in `source`. Throws only if reading itself fails. */
export function verifyLog(source: ByteSource, io: ByteTools, options: VerifyOptions = {}): Verification {
  return new Verifier(source, io, options).run();
}

class Verifier {
  readonly #source: ByteSource;
  readonly #io: ByteTools;
  readonly #options: VerifyOptions;
  readonly #problems: LogProblem[] = [];
  #decoder = new EventDecoder();
  /** States were in another form when the log was written: nothing can be compared with them. */
  #outdated = false;
  readonly #chunks: FrameIndexEntry[] = [];
  readonly #operationFrames: FrameIndexEntry[] = [];
  #keyframes: KeyframeChecker;
  readonly #counts = new Map<string, number>();
  /** Events that chunks name for an operation and its frame does not, or (negative) the other way round. */
  readonly #emitted = new Map<number, number>();
  #events = 0;
  #operations = 0;
  #firstEvent = 0;
  #firstOperation = 0;
  /** Whether the state before the first event is known. */
  #begun = true;
  #digest = new Digest().hex();
  #footer: LogFooter | null = null;
  #notRunAgain: string | null = null;
  /** A frame could not be read; and since then no chunk could. */
  #damaged = false;
  #gap = false;
  #state = initialState();
  /** Whether the state is the one that the events so far lead to. */
  #stateSound = true;

  constructor(source: ByteSource, io: ByteTools, options: VerifyOptions) {
    this.#source = source;
    this.#io = io;
    this.#options = options;
    this.#keyframes = new KeyframeChecker(options.deep === true);
  }

  run(): Verification {
    const source = this.#source;
    const magic = magicAt(source, 0);
    if (!magic) this.#problem(0, 'the log does not begin as logs do');
    const header = this.#try(() => readHeader(magic ? source : withMagic(source), this.#io));
    if (header === null && !magic) return this.#result(false, null);
    if (header?.header.parent !== undefined) this.#parent(header.header.parent);
    if (header !== null && isOutdated(header.header)) this.#earlier(header.header);
    this.#frames();
    if (this.#footer === null)
      this.#problem(source.size, 'there is no footer: the log is truncated or was not finished');
    else this.#checkFooter(this.#footer);
    const divergence = header === null ? null : this.#reexecute(header.header);
    return this.#result(true, divergence);
  }

  /** The log was cut out of another one: it begins with that event, from the keyframe behind the header. */
  #parent({ event }: ParentLog): void {
    this.#firstEvent = event;
    this.#events = event;
    this.#begun = false;
    this.#stateSound = false;
    this.#notRunAgain = 'it was cut out of another log, and what happened before is not in it';
  }

  #earlier(header: LogHeader): void {
    this.#outdated = true;
    this.#decoder = decoderFor(header);
    this.#keyframes = new KeyframeChecker(false);
    this.#notRunAgain = `it was written in event catalogue ${header.catalogue}, and its states cannot be compared with those of today`;
  }

  #result(isLog: boolean, divergence: Divergence | null): Verification {
    const problems = this.#problems;
    const ok = problems.length === 0 && divergence === null;
    return {
      ok,
      isLog,
      problems,
      events: this.#events - this.#firstEvent,
      operations: this.#operations - this.#firstOperation,
      digest: this.#digest,
      divergence,
      notRunAgain: this.#notRunAgain,
      statesCompared: this.#options.deep === true && !this.#outdated,
    };
  }

  #problem(offset: number, what: string): void {
    this.#problems.push({ offset, what });
  }

  /** What `action` gives; null, with the problem noted, if the log is at fault. */
  #try<T>(action: () => T): T | null {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#problem(error.place.offset ?? 0, error.problem);
      return null;
    }
  }

  /** Goes through the frames one after the other; where one is damaged, on to the next that the footer knows. */
  #frames(): void {
    const source = this.#source;
    let offset = MAGIC.length;
    let seq = 0;
    while (offset < source.size && this.#footer === null) {
      const at = offset;
      const frame = this.#try(() => readFrame(source, at, this.#io));
      if (frame === null) {
        this.#keyframes.damaged();
        this.#gap = true;
        this.#damaged = true;
        const next = this.#nextKnownFrame(offset);
        if (next === null) return;
        offset = next;
        seq = -1;
        continue;
      }
      if (seq >= 0 && frame.seq !== seq) this.#problem(offset, `frame ${frame.seq} stands where frame ${seq} should`);
      seq = frame.seq + 1;
      if (frame.seq > 0 && frame.kind === FrameKind.header) this.#problem(offset, 'a second header');
      this.#try(() => this.#content(frame));
      offset = frame.end;
    }
    if (this.#footer === null) return;
    const left = source.size - offset;
    if (!magicAt(source, offset)) this.#problem(offset, 'the log does not end as logs do');
    else if (left > MAGIC.length) this.#problem(offset + MAGIC.length, `${left - MAGIC.length} bytes follow the log`);
  }

  #nextKnownFrame(after: number): number | null {
    try {
      const { footer, offset } = readFooter(this.#source, this.#io);
      const offsets = [...footer.chunks, ...footer.operationFrames, ...footer.keyframes].map(([at]) => at);
      return [...offsets, offset].filter((at) => at > after).reduce((a, b) => Math.min(a, b), Infinity);
    } catch (error) {
      if (error instanceof InputError) return null;
      throw error;
    }
  }

  #content(frame: Frame): void {
    const decode = <T>(of: (data: unknown) => T): T => decodeFrame(this.#source, frame, this.#io, of);
    if (frame.kind === FrameKind.events) this.#chunk(frame.offset, decode(chunkOf));
    else if (frame.kind === FrameKind.operations) this.#operationsFrame(frame.offset, decode(decodeOperations));
    else if (frame.kind === FrameKind.keyframe) decode((data) => this.#keyframe(frame.offset, data));
    else if (frame.kind === FrameKind.footer) this.#footer = decode(footerOf);
  }

  #chunk(offset: number, chunk: Chunk): void {
    if (chunk.first !== this.#events && !this.#gap)
      this.#problem(offset, `the chunk begins with event ${chunk.first}; ${this.#events} come before it`);
    if (chunk.before !== this.#digest && !this.#gap)
      this.#problem(
        offset,
        `the chunk goes on from digest ${chunk.before}, the one before it ended with ${this.#digest}`,
      );
    this.#chunks.push([offset, chunk.first, chunk.n]);
    for (const { operation, count } of chunk.runs) if (operation >= 0) this.#balance(operation, count);
    this.#stateSound &&= chunk.first === this.#events;
    this.#gap = false;
    this.#events = chunk.first + chunk.n;
    this.#digest = chunk.after;
    let events: KernelEvent[];
    try {
      events = eventsOf(this.#decoder, chunk);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#stateSound = false;
      return this.#problem(offset, error.message);
    }
    for (const { type } of events) this.#counts.set(type, (this.#counts.get(type) ?? 0) + 1);
    if (this.#options.deep === true && this.#stateSound) this.#fold(offset, chunk, events);
  }

  #fold(offset: number, chunk: Chunk, events: readonly KernelEvent[]): void {
    this.#stateSound = false;
    foldChunk(this.#state, events, this.#source.name, offset);
    this.#stateSound = true;
    if (this.#outdated) return;
    const digest = new Digest(chunk.before);
    folding(this.#source.name, offset, () => digest.update(this.#state, events));
    if (digest.hex() !== chunk.after)
      this.#problem(
        offset,
        `events ${chunk.first} to ${chunk.first + chunk.n - 1} do something else to the state than when they were ` +
          `logged (digest ${digest.hex()}, then ${chunk.after})`,
      );
  }

  #keyframe(offset: number, data: unknown): void {
    const keyframe = keyframeOf(data);
    if (!this.#begun) {
      this.#begun = true;
      this.#digest = keyframe.hash;
      for (const what of this.#keyframes.problems(offset, keyframe, this.#events, null)) this.#problem(offset, what);
      if (keyframe.previous !== WHOLE) return this.#problem(offset, 'the first keyframe does not hold the whole state');
      if (this.#outdated) return;
      this.#state = initialState();
      applyKeyframe(this.#state, keyframe);
      this.#stateSound = true;
      return;
    }
    const events = this.#gap ? null : this.#events;
    const folded =
      this.#options.deep === true && this.#stateSound && !this.#gap && !this.#outdated ? this.#state : null;
    for (const what of this.#keyframes.problems(offset, keyframe, events, folded)) this.#problem(offset, what);
  }

  #operationsFrame(offset: number, operations: readonly LoggedOperation[]): void {
    const first = operations[0]?.id ?? this.#operations;
    if (this.#firstEvent > 0 && this.#operationFrames.length === 0) this.#firstOperation = this.#operations = first;
    if (first !== this.#operations && !this.#damaged)
      this.#problem(offset, `the frame begins with operation ${first}; ${this.#operations} come before it`);
    this.#operationFrames.push([offset, first, operations.length]);
    this.#operations = first + operations.length;
    for (const { id, events } of operations) this.#balance(id, -events);
  }

  #balance(operation: number, events: number): void {
    const difference = (this.#emitted.get(operation) ?? 0) + events;
    if (difference === 0) this.#emitted.delete(operation);
    else this.#emitted.set(operation, difference);
  }

  #checkFooter(footer: LogFooter): void {
    const end = this.#source.size;
    const expect = (what: string, says: unknown, is: unknown): void => {
      if (JSON.stringify(says) !== JSON.stringify(is))
        this.#problem(end, `the footer tells of other ${what} than the log holds`);
    };
    // After damage all of these differ, which is no news.
    if (this.#problems.length > 0) return;
    expect('events', [footer.firstEvent, footer.events], [this.#firstEvent, this.#events]);
    const operations = [footer.firstOperation, footer.operations];
    if (this.#operationFrames.length > 0 || this.#firstEvent === 0)
      expect('operations', operations, [this.#firstOperation, this.#operations]);
    expect('digests', footer.digest, this.#digest);
    expect('chunks', footer.chunks, this.#chunks);
    expect('keyframes', footer.keyframes, this.#keyframes.index);
    expect('frames of operations', footer.operationFrames, this.#operationFrames);
    const sorted = (counts: Iterable<[string, number]>): unknown =>
      [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1));
    expect('event types', sorted(Object.entries(footer.counts)), sorted(this.#counts as Map<EventType, number>));
    if (footer.incomplete === true) return;
    for (const id of this.#emitted.keys())
      return this.#problem(end, `operation ${id} has other events than the chunks say`);
  }

  #reexecute(header: LogHeader): Divergence | null {
    const { reexecute, deep } = this.#options;
    if (deep !== true || reexecute === undefined || this.#problems.length > 0) return null;
    if (this.#footer?.incomplete === true) this.#notRunAgain = 'it was recovered, and its last operations are lost';
    if (this.#notRunAgain !== null) return null;
    const frames = this.#operationFrames;
    const source = this.#source;
    const io = this.#io;
    function* operations(): Generator<LoggedOperation> {
      for (const [offset] of frames) yield* decodeFrame(source, readFrame(source, offset, io), io, decodeOperations);
    }
    return firstDifference(this.#loggedEvents(), reexecute(operations(), header));
  }

  *#loggedEvents(): Generator<KernelEvent> {
    for (const [offset] of this.#chunks) {
      const frame = readFrame(this.#source, offset, this.#io);
      yield* decodeFrame(this.#source, frame, this.#io, (data) => eventsOf(this.#decoder, chunkOf(data)));
    }
  }
}
