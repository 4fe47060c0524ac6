// What happened to references that user pages are held by: get_user_pages() and pin_user_pages() of mm/gup.c, and those who keep what
// they got: drivers, pipes (fs/splice.c, fs/pipe.c), registered buffers (io_uring/rsrc.c).
import type { ShapesOf } from './shapes.js';

/** Somebody who will hold pages came into being. Ids count up from 1 and are never used again. */
export interface HolderCreated {
  readonly type: 'HolderCreated';
  readonly holder: number;
  /** One of reducers/state.ts HolderKind. */
  readonly kind: number;
  /** The task that took a pin, the inode of a pipe or of an io_uring instance. */
  readonly owner: number;
  /** FOLL_* with which its pages are taken, 0 for pipes. */
  readonly flags: number;
}
/** `free_pipe_info()`, the end of a pin: it holds nothing and is gone. */
export interface HolderRemoved {
  readonly type: 'HolderRemoved';
  readonly holder: number;
}
/**
 * `try_grab_folio()`: a page is held from now on, behind those that the holder has. `pfn` -1 is the zero page. (`mm`, `vpn`) is where
 * it was looked up, 0 for a page that the holder allocated itself; `length` bytes from `offset` on are what the holder has it for.
 * `ref` is what the page's count gains, `bias` for how many references the holder stands: 1 for FOLL_GET, 1024 for FOLL_PIN.
 */
export interface PageGrabbed {
  readonly type: 'PageGrabbed';
  readonly holder: number;
  readonly pfn: number;
  readonly mm: number;
  readonly vpn: number;
  readonly offset: number;
  readonly length: number;
  readonly ref: number;
  readonly bias: number;
}
/** Page number `at` of the holder is now held for other bytes: a pipe was read in part, or written to. */
export interface HeldBytesChanged {
  readonly type: 'HeldBytesChanged';
  readonly holder: number;
  readonly at: number;
  readonly offset: number;
  readonly length: number;
}
/** `gup_put_folio()`, `generic_pipe_buf_release()`: page number `at` of the holder goes; `freed` 1 if nobody else had a reference. */
export interface HeldPageReleased {
  readonly type: 'HeldPageReleased';
  readonly holder: number;
  readonly at: number;
  readonly pfn: number;
  readonly ref: number;
  readonly bias: number;
  readonly freed: number;
}
/** `mm_set_has_pinned_flag()`: MMF_HAS_PINNED, which stays for as long as the address space. */
export interface MmHasPinnedSet {
  readonly type: 'MmHasPinnedSet';
  readonly mm: number;
}
/**
 * `raw_write_seqcount_begin()` and `_end()` of mm->write_protect_seq, which is `seq` now: odd while fork write-protects. Told only where other
 * CPUs run meanwhile.
 */
export interface WriteProtectSeqRaised {
  readonly type: 'WriteProtectSeqRaised';
  readonly mm: number;
  readonly seq: number;
}

export type GupEvent =
  | HolderCreated
  | HolderRemoved
  | PageGrabbed
  | HeldBytesChanged
  | HeldPageReleased
  | MmHasPinnedSet
  | WriteProtectSeqRaised;

/** Opcodes and kinds of fields. */
export const GUP_SHAPES: ShapesOf<GupEvent> = {
  HolderCreated: { opcode: 70, fields: { holder: 'int', kind: 'int', owner: 'int', flags: 'int' } },
  HolderRemoved: { opcode: 71, fields: { holder: 'int' } },
  PageGrabbed: {
    opcode: 72,
    fields: {
      holder: 'int',
      pfn: 'pfn',
      mm: 'mm',
      vpn: 'vpn',
      offset: 'int',
      length: 'int',
      ref: 'int',
      bias: 'int',
    },
  },
  HeldBytesChanged: { opcode: 73, fields: { holder: 'int', at: 'int', offset: 'int', length: 'int' } },
  HeldPageReleased: {
    opcode: 74,
    fields: { holder: 'int', at: 'int', pfn: 'pfn', ref: 'int', bias: 'int', freed: 'int' },
  },
  MmHasPinnedSet: { opcode: 75, fields: { mm: 'mm' } },
  WriteProtectSeqRaised: { opcode: 76, fields: { mm: 'mm', seq: 'int' } },
};
