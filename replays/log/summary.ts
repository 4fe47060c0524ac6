// Header and footer as they come out of a file: checked before anybody trusts them.
import { MalformedError } from './columns.js';
import { arrayOf, isCount } from './event-codec.js';
import type { FrameIndexEntry, KeyframeEntry, LogFooter, LogHeader, ParentLog, SourceInfo } from './format.js';

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MalformedError(`${what} is not a set of fields`);
  return value as Fields;
}
function textOf(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new MalformedError(`${what} is not a text`);
  return value;
}
function countOf(value: unknown, what: string): number {
  if (!isCount(value, Number.MAX_SAFE_INTEGER)) throw new MalformedError(`${what} is not a count`);
  return value;
}

/** Sets of fields and lists in each other that a summary may hold. */
const PLAIN_DEPTH_MAX = 32;

/** Numbers, texts, yes and no, in lists and fields: what JSON holds too. */
function isPlain(value: unknown, depth = 0): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number')
    return true;
  if (typeof value !== 'object' || value instanceof Uint8Array || depth === PLAIN_DEPTH_MAX) return false;
  return Object.values(value).every((each) => isPlain(each, depth + 1));
}

function plainFieldsOf(value: unknown, what: string): Fields {
  const fields = fieldsOf(value, what);
  if (!isPlain(fields)) throw new MalformedError(`${what} holds what is not plain data`);
  return fields;
}

function behavioursIn(value: unknown): LogHeader['behaviours'] {
  const behaviours = fieldsOf(value, 'behaviours');
  for (const each of Object.values(behaviours))
    if (typeof each !== 'boolean' && typeof each !== 'string')
      throw new MalformedError('a behaviour is neither on, nor off, nor a name');
  return behaviours as LogHeader['behaviours'];
}

/** The header in a frame's data. Throws MalformedError. */
export function headerIn(data: unknown): LogHeader {
  const header = fieldsOf(data, 'the header');
  const { recorded } = header;
  if (typeof recorded !== 'boolean') throw new MalformedError('recorded is neither true nor false');
  return {
    format: countOf(header['format'], 'format'),
    catalogue: countOf(header['catalogue'], 'catalogue'),
    types: arrayOf(header['types'], 'types').map((type) => textOf(type, 'a type')),
    tool: textOf(header['tool'], 'tool'),
    kernel: textOf(header['kernel'], 'kernel'),
    behaviours: behavioursIn(header['behaviours']),
    machine: plainFieldsOf(header['machine'], 'machine'),
    seed: countOf(header['seed'], 'seed'),
    recorded,
    sourceName: textOf(header['sourceName'], 'sourceName'),
    ...(header['parent'] === undefined ? {} : { parent: parentOf(header['parent']) }),
  };
}

function parentOf(value: unknown): ParentLog {
  const parent = fieldsOf(value, 'parent');
  return { digest: textOf(parent['digest'], 'parent.digest'), event: countOf(parent['event'], 'parent.event') };
}

/** An index whose entries follow each other, both in number and in the file. */
function indexOf(value: unknown, begin: number, total: number, what: string): FrameIndexEntry[] {
  let next = begin;
  let end = 0;
  const index = arrayOf(value, what).map((item): FrameIndexEntry => {
    const [offset, first, n] = arrayOf(item, what).map((part) => countOf(part, what)) as [number, number, number];
    if (first !== next || n === 0 || n === undefined || offset < end)
      throw new MalformedError(`${what} is out of order`);
    next = first + n;
    end = offset + 1;
    return [offset, first, n];
  });
  if (next !== total) throw new MalformedError(`${what} leads to ${next} of ${total}`);
  return index;
}

/** Keyframes in order, the first of which is whole. */
function keyframesOf(value: unknown, events: number): KeyframeEntry[] {
  let after = -1;
  let end = 0;
  return arrayOf(value, 'the index of keyframes').map((item): KeyframeEntry => {
    const [offset, at, whole] = arrayOf(item, 'a keyframe');
    const first = after < 0;
    if (!isCount(offset, Number.MAX_SAFE_INTEGER) || offset < end || !isCount(at, events) || at <= after)
      throw new MalformedError('the index of keyframes is out of order');
    if (whole !== 1 && (whole !== 0 || first)) throw new MalformedError('keyframes that build on none');
    after = at;
    end = offset + 1;
    return [offset, at, whole];
  });
}

function sourceOf(value: unknown): SourceInfo {
  const source = fieldsOf(value, 'source');
  return {
    bytes: countOf(source['bytes'], 'source.bytes'),
    crc32: countOf(source['crc32'], 'source.crc32'),
    lines: countOf(source['lines'], 'source.lines'),
  };
}

/** The footer in a frame's data. Throws MalformedError. */
export function footerOf(data: unknown): LogFooter {
  const footer = fieldsOf(data, 'the footer');
  const firstEvent = countOf(footer['firstEvent'], 'firstEvent');
  const firstOperation = countOf(footer['firstOperation'], 'firstOperation');
  const events = countOf(footer['events'], 'events');
  const operations = countOf(footer['operations'], 'operations');
  const counts = fieldsOf(footer['counts'], 'counts');
  return {
    firstEvent,
    firstOperation,
    events,
    operations,
    digest: textOf(footer['digest'], 'digest'),
    chunks: indexOf(footer['chunks'], firstEvent, events, 'the index of chunks'),
    operationFrames: indexOf(footer['operationFrames'], firstOperation, operations, 'the index of operations'),
    keyframes: keyframesOf(footer['keyframes'], events),
    counts: Object.fromEntries(Object.entries(counts).map(([type, n]) => [type, countOf(n, `counts.${type}`)])),
    source: sourceOf(footer['source']),
    summary: plainFieldsOf(footer['summary'], 'summary'),
    ...(footer['incomplete'] === true ? { incomplete: true } : {}),
  };
}
