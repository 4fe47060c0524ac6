// What can be saved of a damaged log, or of one whose run crashed: every whole frame up to the first event that is lost.
import { Digest } from '../reducers/digest.js';
import type { ByteSink, ByteSource, ByteTools } from '../src/lib/bytes.js';
import { InputError } from '../src/lib/errors.js';
import { chunkOf } from './log/chunk.js';
import type { Frame, FrameIndexEntry, KeyframeEntry, LogFooter } from './log/format.js';
import {
  FRAME_HEAD,
  FRAME_TAIL,
  FrameKind,
  MAGIC,
  PAYLOAD_MAX,
  frameBytes,
  magicAt,
  pack,
  readFrame,
  withMagic,
} from './log/format.js';
import { keyframeOf } from './log/keyframe.js';
import { WHOLE } from './log/keyframe-encode.js';
import { operationRange } from './log/operation-codec.js';
import { decodeFrame, readFooter, readHeader } from './log/reader.js';

/** Numbers from `from` on and before `to`; null: nobody knows how many there were. */
export interface LostRange {
  readonly from: number;
  readonly to: number | null;
}

export interface Recovery {
  /** What the new log holds: numbers of the first event, and behind the last one. */
  readonly firstEvent: number;
  readonly events: number;
  readonly operations: number;
  /** Nothing was lost but keyframes, which only save time, and what the footer said of the source. */
  readonly complete: boolean;
  readonly lostEvents: LostRange | null;
  readonly lostOperations: LostRange | null;
  /** Byte from which on nothing could be used, and why; null if all could. */
  readonly stopped: { readonly offset: number; readonly why: string } | null;
  /** Damaged frames that were left out before that. */
  readonly skipped: readonly { readonly offset: number; readonly why: string }[];
}

/**
 * Writes the whole frames of `source` as a log with a new footer. The caller decides whether to keep it: this does not
 * commit `sink`. Throws InputError if not even the header can be read.
 */
export function recoverLog(source: ByteSource, sink: ByteSink, io: ByteTools): Recovery {
  return new Recoverer(source, sink, io).run();
}

class Recoverer {
  readonly #source: ByteSource;
  readonly #sink: ByteSink;
  readonly #io: ByteTools;
  readonly #known: LogFooter | null;
  #written = 0;
  #seq = 0;
  #events = 0;
  #digest: string = new Digest().hex();
  #operations = 0;
  /** Operations that events are of. */
  #operationsNamed = 0;
  #operationsLost = false;
  #keyframeAt = WHOLE;
  #footerSeen = false;
  #firstEvent = 0;
  #firstOperation = 0;
  /** Whether the state before the first event is there. */
  #begun = true;
  #stopped: Recovery['stopped'] = null;
  readonly #skipped: { offset: number; why: string }[] = [];
  readonly #chunks: FrameIndexEntry[] = [];
  readonly #operationFrames: FrameIndexEntry[] = [];
  readonly #keyframes: KeyframeEntry[] = [];
  readonly #counts = new Float64Array(256);
  /** Event types by opcode, as the log says. */
  #types: readonly string[] = [];

  constructor(source: ByteSource, sink: ByteSink, io: ByteTools) {
    this.#source = magicAt(source, 0) ? source : withMagic(source);
    this.#sink = sink;
    this.#io = io;
    this.#known = sound(() => readFooter(source, io).footer);
  }

  run(): Recovery {
    const { header, end } = readHeader(this.#source, this.#io);
    this.#types = header.types;
    if (header.parent !== undefined) {
      this.#firstEvent = this.#events = header.parent.event;
      this.#begun = false;
    }
    this.#write(MAGIC);
    this.#copy(readFrame(this.#source, MAGIC.length, this.#io));
    this.#frames(end);
    const complete = this.#complete();
    this.#footer(complete);
    const known = this.#known;
    const eventsLost = complete || (this.#stopped === null && known?.events === this.#events) ? null : this.#events;
    const operationsLost = complete || known?.operations === this.#operations ? null : this.#operations;
    return {
      firstEvent: this.#firstEvent,
      events: this.#events,
      operations: this.#operations,
      complete,
      lostEvents: eventsLost === null ? null : { from: eventsLost, to: known?.events ?? null },
      lostOperations: operationsLost === null ? null : { from: operationsLost, to: known?.operations ?? null },
      stopped: this.#stopped,
      skipped: this.#skipped,
    };
  }

  /** Whether the end was reached, and nothing that should be there is missing. */
  #complete(): boolean {
    if (!this.#footerSeen || this.#operationsLost) return false;
    const known = this.#known;
    if (known !== null) return known.events === this.#events && known.operations === this.#operations;
    return this.#operationsNamed <= this.#operations;
  }

  #frames(from: number): void {
    const source = this.#source;
    let seq = 1;
    for (let offset = from; this.#stopped === null && !this.#footerSeen; seq++) {
      if (offset >= source.size) return this.#stop(offset, 'the log ends without a footer');
      const at = offset;
      let frame: Frame;
      try {
        frame = readFrame(source, at, this.#io);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        if (this.#looksLikeFooter(at)) {
          this.#footerSeen = true;
          this.#skipped.push({ offset: at, why: `the footer: ${error.problem}` });
          return;
        }
        const next = this.#frameBehind(at, seq + 1);
        if (next === null) return this.#stop(at, error.problem);
        this.#skipped.push({ offset: at, why: error.problem });
        offset = next;
        continue;
      }
      if (frame.seq !== seq) return this.#stop(at, `frame ${frame.seq} stands where frame ${seq} should`);
      try {
        this.#take(frame);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        this.#stop(at, error.problem);
      }
      offset = frame.end;
    }
  }

  #stop(offset: number, why: string): void {
    this.#stopped = { offset, why };
  }

  #take(frame: Frame): void {
    const { offset, kind } = frame;
    if (!this.#begun && kind !== FrameKind.keyframe)
      return this.#stop(offset, 'the keyframe that the log begins with is lost');
    const decode = <T>(of: (data: unknown) => T): T => decodeFrame(this.#source, frame, this.#io, of);
    if (kind === FrameKind.events) {
      const chunk = decode(chunkOf);
      if (chunk.first !== this.#events)
        return this.#stop(
          offset,
          `events ${this.#events} to ${chunk.first - 1} were in a damaged frame; later ones cannot be used`,
        );
      if (chunk.before !== this.#digest) return this.#stop(offset, 'the events are those of another run');
      for (const opcode of chunk.order) {
        if ((this.#types[opcode] ?? '') === '') return this.#stop(offset, `unknown event type ${opcode}`);
        this.#counts[opcode]!++;
      }
      for (const { operation } of chunk.runs) this.#operationsNamed = Math.max(this.#operationsNamed, operation + 1);
      this.#chunks.push([this.#written, chunk.first, chunk.n]);
      this.#events += chunk.n;
      this.#digest = chunk.after;
    } else if (kind === FrameKind.operations) {
      const { first, n } = decode(operationRange);
      if (this.#firstEvent > 0 && this.#operationFrames.length === 0)
        this.#firstOperation = this.#operations = this.#known?.firstOperation ?? first;
      this.#operationsLost ||= first !== this.#operations;
      if (this.#operationsLost) return;
      this.#operationFrames.push([this.#written, first, n]);
      this.#operations += n;
    } else if (kind === FrameKind.keyframe) {
      const { at, previous, hash } = decode(keyframeOf);
      if (!this.#begun) {
        if (at !== this.#events || previous !== WHOLE)
          return this.#stop(offset, 'the log begins with another keyframe');
        this.#begun = true;
        this.#digest = hash;
      }
      if (at !== this.#events || (previous !== WHOLE && previous !== this.#keyframeAt)) return;
      this.#keyframes.push([this.#written, at, previous === WHOLE ? 1 : 0]);
      this.#keyframeAt = at;
    } else if (kind === FrameKind.footer) {
      this.#footerSeen = true;
      return;
    } else if (kind === FrameKind.header) return this.#stop(offset, 'a second header');
    this.#copy(frame);
  }

  /** Where the frame behind the damaged one at `offset` begins, if that one's length is right: it must be whole. */
  #frameBehind(offset: number, seq: number): number | null {
    const source = this.#source;
    if (source.size - offset < FRAME_HEAD + FRAME_TAIL) return null;
    const head = source.read(offset, 4);
    const length = new DataView(head.buffer, head.byteOffset).getUint32(0, true);
    if (length > PAYLOAD_MAX) return null;
    const next = offset + FRAME_HEAD + length + FRAME_TAIL;
    return sound(() => readFrame(source, next, this.#io))?.seq === seq ? next : null;
  }

  /** A damaged frame that says it is a footer, or ends where the file does as a footer would. */
  #looksLikeFooter(offset: number): boolean {
    const source = this.#source;
    const tail = source.size - MAGIC.length - 4;
    if (tail >= offset + FRAME_HEAD && magicAt(source, source.size - MAGIC.length)) {
      const bytes = source.read(tail, 4);
      const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
      if (tail + 4 - FRAME_TAIL - length - FRAME_HEAD === offset) return true;
    }
    return source.size - offset > 4 && source.read(offset + 4, 1)[0] === FrameKind.footer;
  }

  #footer(complete: boolean): void {
    const known = this.#known;
    const counts = Array.from(this.#counts, (n, opcode) => [this.#types[opcode] ?? '', n] as const);
    const footer: LogFooter = {
      firstEvent: this.#firstEvent,
      firstOperation: this.#firstOperation,
      events: this.#events,
      operations: this.#operations,
      digest: this.#digest,
      chunks: this.#chunks,
      operationFrames: this.#operationFrames,
      keyframes: this.#keyframes,
      counts: complete && known !== null ? known.counts : Object.fromEntries(counts.filter(([, n]) => n > 0)),
      source: known?.source ?? { bytes: 0, crc32: 0, lines: 0 },
      summary: known?.summary ?? {},
      ...(complete ? {} : { incomplete: true }),
    };
    this.#write(frameBytes(FrameKind.footer, 0, this.#seq, pack(footer), this.#io));
    this.#write(MAGIC);
  }

  #copy({ kind, flags, payload }: Frame): void {
    this.#write(frameBytes(kind, flags, this.#seq++, payload, this.#io));
  }

  #write(bytes: Uint8Array): void {
    this.#sink.write(bytes);
    this.#written += bytes.length;
  }
}

/** What `read` gives; null if that is damaged. */
function sound<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof InputError) return null;
    throw error;
  }
}
