// Damaged logs: bytes, frames or the data in them, with checksums and index made right again so that the damage is found late.
import { FLAG_DEFLATED, FrameKind, MAGIC, frameBytes, frameData, pack, readFrame } from '../../replays/log/format.js';
import type { LogFooter } from '../../replays/log/format.js';
import { nodeTools } from '../../src/cli/node-io.js';
import { memorySource } from '../../src/lib/bytes.js';
import type { Random } from '../../src/lib/random.js';
import { anyValue, otherValue } from './values.js';

/** A frame of a sound log, taken apart. */
interface Part {
  readonly kind: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly data: unknown;
  /** Where it stood. */
  readonly offset: number;
}

/** A sound log, ready to be damaged. */
export interface SoundLog {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly parts: readonly Part[];
}

/** Takes a sound log apart. */
export function soundLog(name: string, bytes: Uint8Array): SoundLog {
  const source = memorySource(bytes);
  const parts: Part[] = [];
  for (let offset = MAGIC.length; offset < bytes.length - MAGIC.length;) {
    const frame = readFrame(source, offset, nodeTools);
    const { kind, flags, payload } = frame;
    parts.push({ kind, flags, payload: payload.slice(), data: frameData(source, frame, nodeTools), offset });
    offset = frame.end;
  }
  return { name, bytes, parts };
}

/** What is written of a part: its own payload, or other data. */
interface Draft extends Part {
  readonly seq?: number;
  readonly changed: boolean;
}

function payloadOf(data: unknown): Uint8Array | null {
  try {
    return pack(data);
  } catch {
    // Nested deeper than the encoder goes.
    return null;
  }
}

/** The log of these frames. With `indexed` the footer leads to where they now stand. */
function assembled(drafts: readonly Draft[], indexed: boolean): Uint8Array {
  const frames: Uint8Array[] = [MAGIC];
  const moved = new Map<number, number>();
  let at = MAGIC.length;
  drafts.forEach((draft, i) => {
    let { payload } = draft;
    if (draft.kind === FrameKind.footer && indexed) payload = payloadOf(movedFooter(draft.data, moved)) ?? payload;
    const frame = frameBytes(draft.kind, draft.flags, draft.seq ?? i, payload, nodeTools);
    if (!moved.has(draft.offset)) moved.set(draft.offset, at);
    at += frame.length;
    frames.push(frame);
  });
  frames.push(MAGIC);
  return Uint8Array.from(Buffer.concat(frames));
}

/** The footer with the new places of frames, as far as it still is one. */
function movedFooter(data: unknown, moved: ReadonlyMap<number, number>): unknown {
  if (typeof data !== 'object' || data === null) return data;
  const footer = { ...data } as Record<string, unknown>;
  for (const index of ['chunks', 'operationFrames', 'keyframes'] satisfies (keyof LogFooter)[]) {
    const entries = footer[index];
    if (!Array.isArray(entries)) continue;
    footer[index] = entries.map((entry: unknown) =>
      Array.isArray(entry) ? [moved.get(entry[0] as number) ?? entry[0], ...entry.slice(1)] : entry,
    );
  }
  return footer;
}

function withData(random: Random, draft: Draft, data: unknown): Draft {
  const payload = payloadOf(data);
  if (payload === null) return draft;
  // Deflated or not is told by the flag alone.
  const deflated = random.below(8) === 0;
  return {
    ...draft,
    data,
    payload: deflated ? nodeTools.deflate(payload) : payload,
    flags: deflated ? FLAG_DEFLATED : 0,
    changed: true,
  };
}

/** Bytes anywhere: flips, holes, insertions, other numbers, an end too early. */
function damagedBytes(random: Random, sound: Uint8Array): Uint8Array {
  const at = random.below(sound.length);
  switch (random.below(6)) {
    case 0:
      return sound.slice(0, at);
    case 1:
      return Uint8Array.from(Buffer.concat([sound.subarray(0, at), sound.subarray(at + 1 + random.below(40))]));
    case 2: {
      const inserted = Uint8Array.from({ length: 1 + random.below(40) }, () => random.below(256));
      return Uint8Array.from(Buffer.concat([sound.subarray(0, at), inserted, sound.subarray(at)]));
    }
    case 3: {
      const other = sound.slice();
      if (other.length >= 4) new DataView(other.buffer).setUint32(Math.min(at, other.length - 4), random.next(), true);
      return other;
    }
    default: {
      const other = sound.slice();
      for (let n = 1 + random.below(4); n > 0; n--) {
        const where = random.below(other.length);
        other[where] = other[where]! ^ (1 << random.below(8));
      }
      return other;
    }
  }
}

/** Frames in another order, twice, missing, of another kind, or of another log. */
function damagedOrder(random: Random, drafts: readonly Draft[], other: SoundLog): readonly Draft[] {
  const at = random.below(drafts.length);
  const draft = drafts[at]!;
  switch (random.below(7)) {
    case 0:
      return drafts.toSpliced(at, 1);
    case 1:
      return drafts.toSpliced(random.below(drafts.length + 1), 0, draft);
    case 2: {
      const to = random.below(drafts.length);
      return drafts.with(at, drafts[to]!).with(to, draft);
    }
    case 3:
      return drafts.with(at, { ...draft, kind: random.below(10) });
    case 4:
      return drafts.with(at, { ...draft, flags: random.below(256) });
    case 5:
      return drafts.with(at, { ...draft, seq: random.below(2) === 0 ? random.below(12) : random.next() });
    default:
      return drafts.with(at, { ...random.pick(other.parts), changed: true });
  }
}

/** A damaged log; `other` may lend frames. The same random numbers give the same bytes. */
export function damagedLog(random: Random, sound: SoundLog, other: SoundLog): Uint8Array {
  const way = random.below(10);
  if (way < 2) return damagedBytes(random, sound.bytes);
  let drafts: readonly Draft[] = sound.parts.map((part) => ({ ...part, changed: false }));
  if (way < 4) drafts = damagedOrder(random, drafts, other);
  else {
    for (let n = random.below(4) === 0 ? 1 + random.below(4) : 1; n > 0; n--) {
      const at = random.below(drafts.length);
      const draft = drafts[at]!;
      if (random.below(10) === 0) {
        const payload = random.below(2) === 0 ? damagedBytes(random, draft.payload) : new Uint8Array(0);
        drafts = drafts.with(at, { ...draft, payload, changed: true });
      } else {
        const data = random.below(40) === 0 ? anyValue(random) : otherValue(random, draft.data);
        drafts = drafts.with(at, withData(random, draft, data));
      }
    }
  }
  const bytes = assembled(drafts, random.below(8) !== 0);
  return random.below(20) === 0 ? damagedBytes(random, bytes) : bytes;
}
