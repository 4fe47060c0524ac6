// Reads a log: header and footer at once, chunks and operations when they are asked for.
import { CATALOGUE_VERSION } from '../../events/index.js';
import type { KernelEvent } from '../../events/index.js';
import type { ByteSource, ByteTools } from '../../src/lib/bytes.js';
import { InputError } from '../../src/lib/errors.js';
import type { KernelState } from '../../reducers/state.js';
import { initialState } from '../../reducers/state.js';
import type { Chunk, OperationRun } from './chunk.js';
import { chunkOf, eventsOf } from './chunk.js';
import { MalformedError } from './columns.js';
import { EventDecoder } from './event-codec.js';
import type { Frame, FrameIndexEntry, KeyframeEntry, LogFooter, LogHeader } from './format.js';
import { FORMAT_VERSION, FRAME_HEAD, FRAME_TAIL, FrameKind, MAGIC, frameData, magicAt, readFrame } from './format.js';
import { footerOf, headerIn } from './summary.js';
import { WHOLE } from './keyframe-encode.js';
import type { Keyframe } from './keyframe.js';
import { applyKeyframe, keyframeOf } from './keyframe.js';
import type { LoggedOperation } from './operation-codec.js';
import { decodeOperations } from './operation-codec.js';
import { vocabularyOf } from './vocabulary.js';

/** A chunk of a log; its events are decoded each time they are asked for. */
export interface LogChunk {
  /** Byte offset of its frame. */
  readonly offset: number;
  /** Number of its first event. */
  readonly first: number;
  readonly n: number;
  /** Digest of the run before and after it. */
  readonly before: string;
  readonly after: string;
  /** Which operation emitted which events, in order. */
  readonly runs: readonly OperationRun[];
  events(): KernelEvent[];
}

/** An event with its number. */
export interface NumberedEvent {
  readonly number: number;
  readonly event: KernelEvent;
}

/** What `decode` makes of the data in a frame; what it finds malformed is told with the frame's offset. */
export function decodeFrame<T>(source: ByteSource, frame: Frame, io: ByteTools, decode: (data: unknown) => T): T {
  const data = frameData(source, frame, io);
  return placed(source, frame.offset, () => decode(data));
}

function placed<T>(source: ByteSource, offset: number, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof MalformedError) throw new InputError({ file: source.name, offset }, error.message);
    throw error;
  }
}

/** The header of the log in `source`. Throws InputError if it is none, or one that this version cannot read. */
export function readHeader(source: ByteSource, io: ByteTools): { readonly header: LogHeader; readonly end: number } {
  if (!magicAt(source, 0)) throw new InputError({ file: source.name, offset: 0 }, 'not a folioscope log');
  const frame = readFrame(source, MAGIC.length, io);
  if (frame.kind !== FrameKind.header)
    throw new InputError({ file: source.name, offset: frame.offset }, 'the first frame is not a header');
  const header = decodeFrame(source, frame, io, headerIn);
  const problem = unreadable(header);
  if (problem !== null) throw new InputError({ file: source.name, offset: frame.offset }, problem);
  return { header, end: frame.end };
}

function unreadable(header: LogHeader): string | null {
  const by = `written by ${header.tool}`;
  if (header.format !== FORMAT_VERSION)
    return `log format ${header.format}, ${by}; this version reads format ${FORMAT_VERSION}`;
  const vocabulary = vocabularyOf(header.catalogue);
  if (vocabulary === null)
    return `event catalogue ${header.catalogue}, ${by}; this version reads catalogues 1 to ${CATALOGUE_VERSION}`;
  for (let opcode = 0; opcode < header.types.length; opcode++)
    if (header.types[opcode] !== (vocabulary.codecs[opcode]?.type ?? ''))
      return `event type '${header.types[opcode]}' (opcode ${opcode}), ${by}, is not in event catalogue ${header.catalogue}`;
  return null;
}

/** The decoder for the events of a log with that header: what it gives is of today's catalogue. */
export const decoderFor = (header: LogHeader): EventDecoder =>
  new EventDecoder(vocabularyOf(header.catalogue) ?? undefined);

/** Was the log written in an earlier catalogue? Its keyframes and digests tell of states in the form they had then. */
export const isOutdated = (header: LogHeader): boolean => header.catalogue < CATALOGUE_VERSION;

/** The footer, found from the end of the file. Throws InputError if the log has none that is sound. */
export function readFooter(source: ByteSource, io: ByteTools): { readonly footer: LogFooter; readonly offset: number } {
  const wrong = (problem: string, offset: number): InputError => new InputError({ file: source.name, offset }, problem);
  const magic = source.size - MAGIC.length;
  if (!magicAt(source, magic))
    throw wrong('the log does not end as logs do: it is truncated, or something follows it', Math.max(magic, 0));
  const tail = magic - FRAME_TAIL;
  if (tail < 0) throw wrong('truncated: there is no footer', magic);
  const bytes = source.read(tail, FRAME_TAIL);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
  const offset = tail - length - FRAME_HEAD;
  if (offset < MAGIC.length) throw wrong('the footer has an impossible length', tail + 4);
  const frame = readFrame(source, offset, io);
  if (frame.kind !== FrameKind.footer || frame.end !== magic) throw wrong('the last frame is not a footer', offset);
  return { footer: decodeFrame(source, frame, io, footerOf), offset };
}

/** A log that is open. All methods throw InputError with a byte offset where the log is damaged. */
export class LogReader {
  readonly source: ByteSource;
  readonly header: LogHeader;
  readonly footer: LogFooter;
  readonly #io: ByteTools;
  readonly #decoder: EventDecoder;

  /** Reads header and footer, nothing else. */
  constructor(source: ByteSource, io: ByteTools) {
    this.source = source;
    this.#io = io;
    this.header = readHeader(source, io).header;
    this.#decoder = decoderFor(this.header);
    this.footer = readFooter(source, io).footer;
    const { firstEvent, keyframes } = this.footer;
    if (firstEvent !== (this.header.parent?.event ?? 0) || (firstEvent > 0 && keyframes[0]?.[1] !== firstEvent))
      throw this.#wrong(source.size, 'the footer begins with another event than the header says');
  }

  /** Where positions begin: 0, or the event at which this log was cut out of another one. */
  get firstEvent(): number {
    return this.footer.firstEvent;
  }

  /** Where positions end: the number behind the last event. */
  get eventCount(): number {
    return this.footer.events;
  }

  /** The chunks that hold events from `from` on and before `to`. Reads each when it is reached. */
  *chunks(from = 0, to: number = this.eventCount): Generator<LogChunk> {
    const { chunks } = this.footer;
    for (let i = entryOf(chunks, from); i < chunks.length && chunks[i]![1] < to; i++) yield this.#chunk(chunks[i]!);
  }

  /** The chunk that holds event `number`. */
  chunkAt(number: number): LogChunk {
    const entry = this.footer.chunks[entryOf(this.footer.chunks, number)];
    if (entry === undefined || number < entry[1]) throw new RangeError(`event ${number} of ${this.eventCount}`);
    return this.#chunk(entry);
  }

  /** Events from number `from` on and before `to`. For bulk work chunks() is faster. */
  *events(from = 0, to: number = this.eventCount): Generator<NumberedEvent> {
    for (const chunk of this.chunks(from, to)) {
      const events = chunk.events();
      const end = Math.min(chunk.n, to - chunk.first);
      for (let i = Math.max(0, from - chunk.first); i < end; i++)
        yield { number: chunk.first + i, event: events[i] as KernelEvent };
    }
  }

  /** Operations from id `from` on and before `to`. */
  *operations(from = 0, to: number = this.footer.operations): Generator<LoggedOperation> {
    const { operationFrames } = this.footer;
    for (let i = entryOf(operationFrames, from); i < operationFrames.length; i++) {
      const [offset, first, n] = operationFrames[i]!;
      if (first >= to) return;
      const operations = this.#decode([offset, first, n], FrameKind.operations, decodeOperations);
      if (operations.length !== n || (n > 0 && operations[0]!.id !== first))
        throw this.#wrong(offset, 'the frame holds other operations than the footer says');
      for (const operation of operations) if (operation.id >= from && operation.id < to) yield operation;
    }
  }

  /** The operation with that id. */
  operation(id: number): LoggedOperation {
    for (const operation of this.operations(id, id + 1)) return operation;
    throw new RangeError(`operation ${id} of ${this.footer.operations}`);
  }

  /** The state at the last keyframe at or before event `n`, and where that is; without one the initial state. */
  keyframeState(n: number): { readonly state: KernelState; readonly at: number } {
    const { keyframes } = this.footer;
    if (isOutdated(this.header)) return this.#stateOutdated();
    let last = keyframes.length - 1;
    while (last >= 0 && keyframes[last]![1] > n) last--;
    let first = last;
    while (first > 0 && keyframes[first]![2] === 0) first--;
    const state = initialState();
    let at = 0;
    for (let i = Math.max(first, 0); i <= last; i++) at = this.#applyKeyframe(state, keyframes[i]!, at);
    return { state, at };
  }

  /** Keyframes of earlier catalogues are passed over: all events are folded. */
  #stateOutdated(): { readonly state: KernelState; readonly at: number } {
    const { catalogue } = this.header;
    if (this.firstEvent > 0)
      throw this.#wrong(
        this.footer.keyframes[0]![0],
        `the log is a piece, and the state it begins with is in the form of event catalogue ${catalogue}; cut it anew out of the whole log`,
      );
    return { state: initialState(), at: 0 };
  }

  #applyKeyframe(state: KernelState, [offset, at, whole]: KeyframeEntry, before: number): number {
    const keyframe: Keyframe = this.#decode([offset, at, 1], FrameKind.keyframe, keyframeOf);
    if (keyframe.at !== at || keyframe.previous !== (whole === 1 ? WHOLE : before))
      throw this.#wrong(offset, 'the keyframe is another one than the footer says');
    placed(this.source, offset, () => applyKeyframe(state, keyframe));
    return at;
  }

  #chunk(entry: FrameIndexEntry): LogChunk {
    const [offset, first, n] = entry;
    const chunk: Chunk = this.#decode(entry, FrameKind.events, chunkOf);
    if (chunk.first !== first || chunk.n !== n)
      throw this.#wrong(offset, 'the chunk holds other events than the footer says');
    const { before, after, runs } = chunk;
    const events = (): KernelEvent[] => placed(this.source, offset, () => eventsOf(this.#decoder, chunk));
    return { offset, first, n, before, after, runs, events };
  }

  #decode<T>([offset]: FrameIndexEntry, kind: number, decode: (data: unknown) => T): T {
    const frame = readFrame(this.source, offset, this.#io);
    if (frame.kind !== kind) throw this.#wrong(offset, 'the frame is of another kind than the footer says');
    return decodeFrame(this.source, frame, this.#io, decode);
  }

  #wrong(offset: number, problem: string): InputError {
    return new InputError({ file: this.source.name, offset }, problem);
  }
}

/** Index of the entry that holds `number`; the number of entries if none does. */
function entryOf(entries: readonly FrameIndexEntry[], number: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const mid = (low + high) >>> 1;
    const [, first, n] = entries[mid]!;
    if (first + n > number) high = mid;
    else low = mid + 1;
  }
  return low;
}
