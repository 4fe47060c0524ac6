// The bytes of a log: magic, frames, header and footer. Little endian throughout.
//
//   file   := magic frame* magic           the first frame is the HEADER, the last one the FOOTER
//   frame  := u32 len | u8 kind | u8 flags | u16 0 | u32 seq | payload[len] | u32 crc32(kind..payload) | u32 len
//
// Every byte is covered: kind to payload by the CRC, each len by the other one, the rest by having one value only.
import { CATALOGUE_VERSION, TYPE_BY_OPCODE } from '../../events/index.js';
import type { ByteSource, ByteTools } from '../../src/lib/bytes.js';
import { InputError } from '../../src/lib/errors.js';
import { Packr } from 'msgpackr';

/** First and last eight bytes. Text-mode transfers damage it. */
export const MAGIC: Uint8Array = Uint8Array.of(0x89, 0x46, 0x53, 0x4c, 0x0d, 0x0a, 0x1a, 0x0a);
/** Version of this file's layout. */
export const FORMAT_VERSION = 1;
/** What wrote the log. */
export const TOOL = 'folioscope 0.1.0';

/** Kinds of frames. Readers skip those they do not know. */
export const FrameKind = {
  header: 1,
  events: 2,
  operations: 3,
  keyframe: 4,
  schedule: 5,
  findings: 6,
  footer: 7,
} as const;

export const FRAME_HEAD = 12;
export const FRAME_TAIL = 8;
/** Bytes of a payload, stored and inflated. */
export const PAYLOAD_MAX = 64 * 1024 * 1024;
/** Flag: the payload is deflated. */
export const FLAG_DEFLATED = 1;
/** Payloads shorter than this stay as they are. */
export const DEFLATE_MIN = 128;

/** What a run was, as the caller tells it. Plain data. */
export interface RunDescription {
  /** Version of the kernel whose behaviour is modelled: `6.18`. */
  readonly kernel: string;
  readonly behaviours: Readonly<Record<string, boolean | string>>;
  /** The machine's settings. */
  readonly machine: Readonly<Record<string, unknown>>;
  readonly seed: number;
  /** True for a recording: its results are the truth to follow. */
  readonly recorded: boolean;
  /** Base name of the source; never a path. */
  readonly sourceName: string;
}

/** The log that this one was cut out of. */
export interface ParentLog {
  /** Its digest. */
  readonly digest: string;
  /** Events before the cut: the state after them is in the keyframe behind the header. Numbers go on from it. */
  readonly event: number;
}

export interface LogHeader extends RunDescription {
  /** Only of a log that was cut out of another one. */
  readonly parent?: ParentLog;
  readonly format: number;
  /** Version of the event catalogue. */
  readonly catalogue: number;
  /** Event types by opcode; '' where there is none. */
  readonly types: readonly string[];
  readonly tool: string;
}

/** What the workload was made of. */
export interface SourceInfo {
  readonly bytes: number;
  readonly crc32: number;
  readonly lines: number;
}

/** Where a frame of numbered things begins: [byte offset, first number, how many]. */
export type FrameIndexEntry = readonly [offset: number, first: number, n: number];

/** A keyframe: [byte offset, events before it, 1 if it holds the whole state, else 0]. */
export type KeyframeEntry = readonly [offset: number, at: number, whole: 0 | 1];

export interface LogFooter {
  /** Number of the first event and operation; not 0 only in a log that was cut out of another one. */
  readonly firstEvent: number;
  readonly firstOperation: number;
  /** Number behind the last event. */
  readonly events: number;
  /** Number behind the last operation. */
  readonly operations: number;
  /** Digest after the last event. */
  readonly digest: string;
  readonly chunks: readonly FrameIndexEntry[];
  readonly operationFrames: readonly FrameIndexEntry[];
  readonly keyframes: readonly KeyframeEntry[];
  /** Events by type. */
  readonly counts: Readonly<Record<string, number>>;
  readonly source: SourceInfo;
  /** What the caller of close() had to say. */
  readonly summary: Readonly<Record<string, unknown>>;
  /** Of a recovered log whose end is lost: events may be of operations that are not there, and the other way round. */
  readonly incomplete?: true;
}

/** The header of a log that this version writes. */
export function headerOf(run: RunDescription, parent?: ParentLog): LogHeader {
  const { kernel, behaviours, machine, seed, recorded, sourceName } = run;
  return {
    format: FORMAT_VERSION,
    catalogue: CATALOGUE_VERSION,
    types: Array.from(TYPE_BY_OPCODE, (type) => type ?? ''),
    tool: TOOL,
    kernel,
    behaviours,
    machine,
    seed,
    recorded,
    sourceName,
    ...(parent === undefined ? {} : { parent }),
  };
}

// No records and no shared structures: a frame must be readable on its own.
const packr = new Packr({ useRecords: false, moreTypes: false, useBigIntExtension: true });

/** Plain data as msgpack. The result is the caller's. */
export const pack = (value: unknown): Uint8Array => packr.pack(value);

/** The data in `bytes`; what it holds may lie in `bytes`. Throws an Error if they are no msgpack, whatever the decoder stumbled over. */
export function unpack(bytes: Uint8Array): unknown {
  try {
    return packr.unpack(bytes);
  } catch (error) {
    throw new Error(`no msgpack: ${(error as Error).message}`, { cause: error });
  }
}

/** One whole frame around `payload`. */
export function frameBytes(kind: number, flags: number, seq: number, payload: Uint8Array, io: ByteTools): Uint8Array {
  const { length } = payload;
  const frame = new Uint8Array(FRAME_HEAD + length + FRAME_TAIL);
  const view = new DataView(frame.buffer);
  view.setUint32(0, length, true);
  view.setUint8(4, kind);
  view.setUint8(5, flags);
  view.setUint32(8, seq, true);
  frame.set(payload, FRAME_HEAD);
  view.setUint32(FRAME_HEAD + length, io.crc32(frame.subarray(4, FRAME_HEAD + length)), true);
  view.setUint32(FRAME_HEAD + length + 4, length, true);
  return frame;
}

/** A frame as it stands in the file, its CRC checked. */
export interface Frame {
  readonly offset: number;
  /** Where the next one begins. */
  readonly end: number;
  readonly kind: number;
  readonly flags: number;
  readonly seq: number;
  /** As stored. */
  readonly payload: Uint8Array;
}

/** The frame at `offset`. Throws InputError, with the offset, unless it is whole and sound. */
export function readFrame(source: ByteSource, offset: number, io: ByteTools): Frame {
  const wrong = (problem: string, at = offset): InputError =>
    new InputError({ file: source.name, offset: at }, problem);
  const rest = source.size - offset;
  if (offset < 0 || rest < FRAME_HEAD + FRAME_TAIL)
    throw wrong(`truncated: a frame takes ${FRAME_HEAD + FRAME_TAIL} bytes or more, ${Math.max(rest, 0)} are left`);
  const head = source.read(offset, FRAME_HEAD);
  const length = new DataView(head.buffer, head.byteOffset).getUint32(0, true);
  if (length > PAYLOAD_MAX) throw wrong(`the length of the frame, ${length}, is more than a frame may have`);
  const end = offset + FRAME_HEAD + length + FRAME_TAIL;
  if (end > source.size)
    throw wrong(`truncated, or a damaged length: the frame takes ${end - offset} bytes, ${rest} are left`);
  const bytes = source.read(offset, end - offset);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const crcAt = FRAME_HEAD + length;
  if (view.getUint32(crcAt + 4, true) !== length)
    throw wrong(`the length behind the frame is not the one before it, ${length}`, offset + crcAt + 4);
  if (io.crc32(bytes.subarray(4, crcAt)) !== view.getUint32(crcAt, true)) throw wrong('the CRC of the frame is wrong');
  const flags = view.getUint8(5);
  if (view.getUint16(6, true) !== 0 || (flags & ~FLAG_DEFLATED) !== 0)
    throw wrong('the frame has flags that this version does not know');
  return {
    offset,
    end,
    kind: view.getUint8(4),
    flags,
    seq: view.getUint32(8, true),
    payload: bytes.subarray(FRAME_HEAD, crcAt),
  };
}

/** What a frame holds. Throws InputError with the frame's offset. */
export function frameData(source: ByteSource, frame: Frame, io: ByteTools): unknown {
  try {
    const stored = frame.payload;
    return unpack((frame.flags & FLAG_DEFLATED) !== 0 ? io.inflate(stored, PAYLOAD_MAX) : stored);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError({ file: source.name, offset: frame.offset }, `the frame cannot be decoded: ${reason}`);
  }
}

/** Whether `source` has the magic at `offset`. */
export function magicAt(source: ByteSource, offset: number): boolean {
  if (offset < 0 || offset + MAGIC.length > source.size) return false;
  return source.read(offset, MAGIC.length).every((byte, i) => byte === MAGIC[i]);
}

/** `source` with a sound beginning, to see whether what follows it is a log. */
export function withMagic(source: ByteSource): ByteSource {
  return {
    ...source,
    name: source.name,
    size: source.size,
    close: () => {},
    read: (offset, length) => (offset === 0 && length === MAGIC.length ? MAGIC : source.read(offset, length)),
  };
}
