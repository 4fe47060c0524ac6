// Files, CRC-32 and deflate as Node has them.
import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';
import type { ByteSink, ByteSource, ByteTools } from '../lib/bytes.js';
import { EXIT, UserError } from '../lib/errors.js';

/** zlib of this Node. Level 1: measured, the higher ones take longer than the run itself. */
export const nodeTools: ByteTools = {
  crc32: (bytes, before = 0) => crc32(bytes, before),
  deflate: (bytes) => deflateRawSync(bytes, { level: 1 }),
  inflate: (bytes, sizeMax) => inflateRawSync(bytes, { maxOutputLength: sizeMax }),
};

const ioError = (path: string, error: unknown): UserError =>
  error instanceof UserError ? error : new UserError(`${path}: ${reason(error)}`, EXIT.io);

function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  // Node: "ENOSPC: no space left on device, write"
  return message.replace(/, \w+( '.*')?$/, '');
}

/** What stands at `path` now, links followed; null for nothing. */
function standing(path: string): { readonly path: string; readonly regular: boolean } | null {
  try {
    const real = realpathSync(path);
    const stat = statSync(real);
    if (stat.isDirectory()) throw new UserError(`${path}: is a directory`, EXIT.io);
    return { path: real, regular: stat.isFile() };
  } catch (error) {
    if (error instanceof UserError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw ioError(path, error);
  }
}

/**
 * A file that appears whole or not at all: written as `PATH.partial`, synced and renamed by `commit()`. Only one writer at
 * a time can have the partial file, which may be given another name. A device or pipe is written directly.
 */
export function fileSink(path: string, partial?: string): ByteSink {
  const found = standing(path);
  const target = found?.path ?? path;
  const direct = found !== null && !found.regular;
  const written = direct ? target : (partial ?? `${target}.partial`);
  let fd = open(written, direct ? 'w' : 'wx');

  const close = (): void => {
    if (fd < 0) return;
    const open = fd;
    fd = -1;
    closeSync(open);
  };
  let ours = !direct;
  const abort = (): void => {
    try {
      close();
    } catch {
      // The file goes anyway.
    }
    if (!ours) return;
    ours = false;
    try {
      unlinkSync(written);
    } catch {
      // Somebody else removed it.
    }
  };
  return {
    write(bytes) {
      try {
        for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
      } catch (error) {
        throw ioError(target, error);
      }
    },
    commit() {
      try {
        if (!direct) fsyncSync(fd);
        close();
        if (direct) return;
        renameSync(written, target);
        ours = false;
        syncFolder(dirname(target));
      } catch (error) {
        throw ioError(target, error);
      }
    },
    abort,
  };
}

function open(path: string, flags: 'w' | 'wx'): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new UserError(
        `${path}: another run is writing it, or a crash left it: remove it or choose another -o`,
        EXIT.io,
      );
    throw ioError(path, error);
  }
}

/** Makes a rename in it durable, where the file system can. */
function syncFolder(path: string): void {
  try {
    const fd = openSync(path, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // Not every file system syncs folders; the file itself is safe.
  }
}

/** A regular file, read with pread. */
export function fileSource(path: string): ByteSource {
  let fd: number;
  let size: number;
  try {
    fd = openSync(path, 'r');
    const stat = fstatSync(fd);
    if (!stat.isFile()) {
      closeSync(fd);
      throw new UserError(`${path}: not a regular file`, EXIT.io);
    }
    size = stat.size;
  } catch (error) {
    throw ioError(path, error);
  }
  return {
    name: path,
    size,
    read(offset, length) {
      const bytes = Buffer.allocUnsafe(length);
      let at = 0;
      try {
        while (at < length) {
          const got = readSync(fd, bytes, at, length - at, offset + at);
          if (got === 0) break;
          at += got;
        }
      } catch (error) {
        throw ioError(path, error);
      }
      if (at < length) throw new UserError(`${path}: became shorter while it was read`, EXIT.io);
      return bytes;
    },
    close() {
      if (fd >= 0) closeSync(fd);
      fd = -1;
    },
  };
}

/** Writes `text` to the file `path` whole; one that stood there stays if that cannot be. @throws UserError (io). */
export function writeWhole(path: string, text: string): void {
  const sink = fileSink(path);
  try {
    sink.write(Buffer.from(text));
    sink.commit();
  } catch (error) {
    sink.abort();
    throw error;
  }
}
