// Reading inputs: files or standard input, gzip told by its first bytes, line by line and never whole.
import { createReadStream, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { crc32, createGunzip } from 'node:zlib';
import type { SourceInfo } from '../../replays/log/format.js';
import { EXIT, InputError, UserError } from '../lib/errors.js';
import type { Progress } from './progress.js';
import { Breather } from './progress.js';

/** A longer line is no line of any format that is read here. */
export const MAX_LINE = 1024 * 1024;
/** Text looked at to tell the format. */
const HEAD = 64 * 1024;

const GZIP = [0x1f, 0x8b];

/** Takes the lines of an input; `begin` is called first, with the head of the text. */
export interface LineSink {
  begin(head: string): void;
  /** `number` from 1. */
  line(text: string, number: number): void;
}

/**
 * Feeds the lines of `path` ("-": standard input) to `sink`.
 * @returns size and checksum of the decompressed text.
 * @throws InputError for what cannot be text: binary, truncated gzip, a line of over 1 MiB; UserError where reading fails.
 */
export async function readLines(path: string, sink: LineSink, progress: Progress): Promise<SourceInfo> {
  const name = path === '-' ? '<stdin>' : path;
  const input = path === '-' ? process.stdin : openFile(path, progress);
  const state = new LineFeeder(name, sink);
  try {
    const breather = new Breather();
    const feed = async (lines: Iterable<void>): Promise<void> => {
      for (const _line of lines) if (breather.due()) await breather.breathe();
    };
    for await (const chunk of await plain(input, progress, name)) await feed(state.chunk(chunk as Buffer));
    await feed(state.end());
    await breather.breathe();
  } catch (error) {
    throw readError(error, name);
  }
  return state.info();
}

function openFile(path: string, progress: Progress): Readable {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) throw new UserError(`${path}: is a directory`, EXIT.io);
    progress.expect(stat.size);
  } catch (error) {
    throw readError(error, path);
  }
  return createReadStream(path, { highWaterMark: 256 * 1024 });
}

function readError(error: unknown, name: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR') return new InputError({ file: name }, 'the gzip data is cut off');
  if (code?.startsWith('Z_') === true) return new InputError({ file: name }, `damaged gzip data (${message})`);
  if (code === 'ENOENT') return new UserError(`${name}: no such file`, EXIT.io);
  if (code === 'EACCES' || code === 'EPERM') return new UserError(`${name}: permission denied`, EXIT.io);
  if (code !== undefined && /^E[A-Z]+$/.test(code)) return new UserError(`${name}: ${message}`, EXIT.io);
  return error;
}

/** The input, decompressed if its first bytes say gzip. */
async function plain(input: Readable, progress: Progress, name: string): Promise<AsyncIterable<unknown>> {
  const iterator = input[Symbol.asyncIterator]();
  const first = await iterator.next();
  const head: Buffer = first.done === true ? Buffer.alloc(0) : (first.value as Buffer);
  if (head.length === 0) throw new InputError({ file: name }, 'the input is empty');
  async function* all(): AsyncGenerator<Buffer> {
    progress.add(head.length);
    yield head;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      const chunk = next.value as Buffer;
      progress.add(chunk.length);
      yield chunk;
    }
  }
  if (head[0] !== GZIP[0] || head[1] !== GZIP[1]) return all();
  const gunzip = createGunzip({ chunkSize: 256 * 1024 });
  void pump(all(), gunzip);
  return gunzip;
}

async function pump(
  from: AsyncIterable<Buffer>,
  to: NodeJS.WritableStream & { destroy(error: Error): void },
): Promise<void> {
  try {
    for await (const chunk of from) if (!to.write(chunk)) await new Promise((done) => to.once('drain', done));
    to.end();
  } catch (error) {
    to.destroy(error as Error);
  }
}

/** Cuts chunks into lines. What takes lines is a generator that yields after each, so that its caller can pause. */
class LineFeeder {
  readonly #name: string;
  readonly #sink: LineSink;
  readonly #decoder = new TextDecoder('utf-8');
  #rest = '';
  #begun = false;
  #lines = 0;
  #bytes = 0;
  #crc = 0;

  constructor(name: string, sink: LineSink) {
    this.#name = name;
    this.#sink = sink;
  }

  *chunk(bytes: Buffer): Generator<void> {
    this.#bytes += bytes.length;
    this.#crc = crc32(bytes, this.#crc);
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    if (!this.#begun && text.length < HEAD) {
      this.#rest = text;
      return;
    }
    this.#begin(text);
    yield* this.#deliver(text);
  }

  *end(): Generator<void> {
    const text = this.#rest + this.#decoder.decode();
    this.#rest = '';
    this.#begin(text);
    yield* this.#deliver(text);
    if (this.#rest !== '') this.#line(this.#rest);
  }

  info(): SourceInfo {
    return { bytes: this.#bytes, crc32: this.#crc, lines: this.#lines };
  }

  #begin(text: string): void {
    if (this.#begun) return;
    this.#begun = true;
    const head = text.slice(0, HEAD);
    if (head.includes('\0'))
      throw new InputError(
        { file: this.#name, offset: head.indexOf('\0') },
        'this is binary data, not a recording or workload',
      );
    this.#sink.begin(head);
  }

  *#deliver(text: string): Generator<void> {
    let from = 0;
    for (let to = text.indexOf('\n'); to >= 0; to = text.indexOf('\n', from)) {
      this.#line(text.slice(from, to));
      from = to + 1;
      yield;
    }
    this.#rest = from === 0 ? text : text.slice(from);
    if (this.#rest.length > MAX_LINE) throw this.#tooLong();
  }

  #line(text: string): void {
    if (text.length > MAX_LINE) throw this.#tooLong();
    this.#sink.line(text.endsWith('\r') ? text.slice(0, -1) : text, ++this.#lines);
  }

  #tooLong(): InputError {
    return new InputError(
      { file: this.#name, line: this.#lines + 1 },
      'a line of more than 1 MiB: this is no recording or workload',
    );
  }
}
