import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fileSink, fileSource, nodeTools } from '../../src/cli/node-io.js';
import { EXIT, UserError } from '../../src/lib/errors.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'folioscope-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const thrown = (action: () => unknown): UserError => {
  try {
    action();
  } catch (error) {
    return error as UserError;
  }
  return expect.fail('nothing was thrown');
};

describe('a file sink', () => {
  it('shows the file only once it is whole', () => {
    const path = join(folder, 'a.fsl');
    const sink = fileSink(path);
    sink.write(Uint8Array.of(1, 2, 3));
    expect(readdirSync(folder)).toEqual(['a.fsl.partial']);
    sink.commit();
    sink.abort();
    expect(readdirSync(folder)).toEqual(['a.fsl']);
    expect([...readFileSync(path)]).toEqual([1, 2, 3]);
  });
  it('leaves the old file as it was when given up', () => {
    const path = join(folder, 'a.fsl');
    writeFileSync(path, 'old');
    const sink = fileSink(path);
    sink.write(Uint8Array.of(1));
    sink.abort();
    sink.abort();
    expect(readdirSync(folder)).toEqual(['a.fsl']);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });
  it('keeps a second writer out, and does not harm the first', () => {
    const path = join(folder, 'a.fsl');
    const sink = fileSink(path);
    const error = thrown(() => fileSink(path));
    expect(error).toBeInstanceOf(UserError);
    expect(error.exitCode).toBe(EXIT.io);
    expect(error.message).toBe(
      `${path}.partial: another run is writing it, or a crash left it: remove it or choose another -o`,
    );
    sink.write(Uint8Array.of(7));
    sink.commit();
    expect([...readFileSync(path)]).toEqual([7]);
  });
  it('follows a link and replaces what it leads to', () => {
    const path = join(folder, 'a.fsl');
    writeFileSync(path, 'old');
    symlinkSync('a.fsl', join(folder, 'link'));
    const sink = fileSink(join(folder, 'link'));
    sink.write(Uint8Array.of(7));
    sink.commit();
    expect([...readFileSync(path)]).toEqual([7]);
  });
  it('never replaces a device', () => {
    const sink = fileSink('/dev/null');
    sink.write(Uint8Array.of(7));
    sink.commit();
    expect(existsSync('/dev/null.partial')).toBe(false);
    expect(() => fileSource('/dev/null')).toThrow('not a regular file');
  });
  it.each([
    [
      'a full disk',
      () => fileSink('/dev/full').write(Uint8Array.of(1)),
      /^\/dev\/full: ENOSPC: no space left on device$/,
    ],
    ['a folder that is not there', () => fileSink(join(folder, 'no/a.fsl')), /a\.fsl\.partial: ENOENT: no such file/],
    ['a folder as the file', () => fileSink(folder), /: is a directory$/],
    ['a source that is not there', () => fileSource(join(folder, 'b')), /: ENOENT: no such file or directory$/],
    ['a folder as the source', () => fileSource(folder), /: not a regular file$/],
  ])('%s is one line and exit code 5', (_, action, message) => {
    const error = thrown(action);
    expect(error.message).toMatch(message);
    expect(error.exitCode).toBe(EXIT.io);
  });
});

describe('a file source', () => {
  it('reads at any place, and no further than the end', () => {
    const path = join(folder, 'a');
    writeFileSync(path, 'hello world');
    const source = fileSource(path);
    expect(source.size).toBe(11);
    expect(Buffer.from(source.read(6, 5)).toString()).toBe('world');
    expect(() => source.read(6, 6)).toThrow('became shorter');
    source.close();
    source.close();
  });
});

describe('the tools of Node', () => {
  it('inflate what they deflated, up to a bound', () => {
    const bytes = new Uint8Array(10_000).fill(7);
    const deflated = nodeTools.deflate(bytes);
    expect(new Uint8Array(nodeTools.inflate(deflated, 10_000))).toEqual(bytes);
    expect(() => nodeTools.inflate(deflated, 9_999)).toThrow();
  });
  it('compute the CRC of zlib', () => {
    expect(nodeTools.crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
  });
});
