// What went between user pages and disks, past the page cache: fs/iomap/direct-io.c. What the page cache writes to a disk is told by FolioCleaned.
import type { ShapesOf } from './shapes.js';

/** A bio of `iomap_dio_bio_iter()` that reads: `length` bytes at `offset` of page `index` of the file, as its disk has them, came to `pfnOffset` of frame `pfn`. */
export interface DirectRead {
  readonly type: 'DirectRead';
  readonly inode: number;
  readonly index: number;
  readonly offset: number;
  readonly length: number;
  readonly pfn: number;
  readonly pfnOffset: number;
}
/** One that writes: bytes at `fromOffset` of frame `from` (-1: the zero page) went to the disk. */
export interface DirectWritten {
  readonly type: 'DirectWritten';
  readonly inode: number;
  readonly index: number;
  readonly offset: number;
  readonly length: number;
  readonly from: number;
  readonly fromOffset: number;
}

export type DiskEvent = DirectRead | DirectWritten;

/** Opcodes and kinds of fields. */
export const DISK_SHAPES: ShapesOf<DiskEvent> = {
  DirectRead: {
    opcode: 163,
    fields: { inode: 'inode', index: 'int', offset: 'int', length: 'int', pfn: 'pfn', pfnOffset: 'int' },
  },
  DirectWritten: {
    opcode: 164,
    fields: { inode: 'inode', index: 'int', offset: 'int', length: 'int', from: 'pfn', fromOffset: 'int' },
  },
};
