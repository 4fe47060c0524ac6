// Bytes in and out, behind interfaces: whoever uses them runs in Node and in a browser.

/** Where bytes go, in order. Nothing is visible under the final name before `commit()`. */
export interface ByteSink {
  /** Takes `bytes` at once: the caller may reuse the array afterwards. Throws if not all could be written. */
  write(bytes: Uint8Array): void;
  /** Makes what was written durable and visible. */
  commit(): void;
  /** Removes what was written. May be called at any time, also twice, and never throws. */
  abort(): void;
}

/** Bytes of known size, read at any place. */
export interface ByteSource {
  /** What to call it in messages. */
  readonly name: string;
  readonly size: number;
  /** Exactly `length` bytes at `offset`, valid until the next read; throws if they are not there. */
  read(offset: number, length: number): Uint8Array;
  close(): void;
}

/** What a platform computes faster than we could. */
export interface ByteTools {
  /** CRC-32 as in zlib, of `bytes` after what gave `before`. */
  crc32(bytes: Uint8Array, before?: number): number;
  /** Raw deflate (RFC 1951), the same bytes for the same input. */
  deflate(bytes: Uint8Array): Uint8Array;
  /** Raw inflate; throws on damage and on more than `sizeMax` bytes. */
  inflate(bytes: Uint8Array, sizeMax: number): Uint8Array;
}

/** A sink that keeps what it gets. */
export class MemorySink implements ByteSink {
  /** True once committed. */
  committed = false;
  #parts: Uint8Array[] = [];
  #size = 0;

  write(bytes: Uint8Array): void {
    this.#parts.push(bytes.slice());
    this.#size += bytes.length;
  }
  commit(): void {
    this.committed = true;
  }
  abort(): void {
    this.#parts = [];
    this.#size = 0;
  }
  /** All bytes written so far. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.#size);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

/** A source over bytes that are in memory already. */
export function memorySource(bytes: Uint8Array, name = 'log'): ByteSource {
  return {
    name,
    size: bytes.length,
    read(offset, length) {
      if (offset < 0 || offset + length > bytes.length)
        throw new RangeError(`read of ${length} bytes at ${offset} of ${bytes.length}`);
      return bytes.subarray(offset, offset + length);
    },
    close() {},
  };
}
