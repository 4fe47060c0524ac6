// The catalogue: every event type with its opcode and the kinds of its fields. Opcodes are append-only.
import type { AddressSpaceEvent } from './address-space.js';
import type { FolioEvent } from './folio.js';
import type { GupEvent } from './gup.js';
import type { CollapseEvent } from './collapse.js';
import { COLLAPSE_SHAPES } from './collapse.js';
import type { HugeEvent } from './huge.js';
import type { LargeFolioEvent } from './large-folio.js';
import { LARGE_FOLIO_SHAPES } from './large-folio.js';
import type { MigrateEvent } from './migrate.js';
import type { KsmEvent } from './ksm.js';
import type { PageTableEvent } from './page-table.js';
import type { SplitEvent } from './split.js';
import { SPLIT_SHAPES } from './split.js';
import type { SwapEvent } from './swap.js';
import type { TaskEvent } from './task.js';

export type * from './address-space.js';
export type * from './folio.js';
export type * from './gup.js';
export type * from './collapse.js';
export type * from './huge.js';
export type * from './large-folio.js';
export type * from './migrate.js';
export type * from './ksm.js';
export type * from './page-table.js';
export type * from './split.js';
export type * from './swap.js';
export type * from './task.js';

/** Everything that can happen. */
export type KernelEvent =
  | TaskEvent
  | AddressSpaceEvent
  | PageTableEvent
  | FolioEvent
  | GupEvent
  | SwapEvent
  | MigrateEvent
  | KsmEvent
  | CollapseEvent
  | HugeEvent
  | LargeFolioEvent
  | SplitEvent;
export type EventType = KernelEvent['type'];
/** The event with that `type`. */
export type EventOf<T extends EventType> = Extract<KernelEvent, { type: T }>;

/**
 * Raised whenever the meaning of a field or the set of types changes after logs were written for others: the catalogue as it was goes to
 * history.ts, with the upcasters that older logs then pass through.
 */
export const CATALOGUE_VERSION = 2;

/**
 * What a field holds. The log's column codec and the rolling digest are driven by it.
 * Numbers: `int` and subjects (`mm`, `tid`, `vpn`, `pfn`, `inode`, `anonVma`, `addr`, `cpu`).
 * Lists of numbers, with the meaning of their stride: `pfnRuns` [pfn,n], `vpnRuns` [vpn,n], `pteRuns3` [vpn,pfn,n],
 * `pteRuns4` [vpn,pfn,n,flags], `pteRuns5` [vpn,pfn,n,flags,flags], `cacheRuns` [index,pfn,n], `ints`. `text` is a string.
 */
export type FieldKind =
  | 'int'
  | 'mm'
  | 'tid'
  | 'vpn'
  | 'pfn'
  | 'inode'
  | 'anonVma'
  | 'addr'
  | 'cpu'
  | 'pfnRuns'
  | 'vpnRuns'
  | 'pteRuns3'
  | 'pteRuns4'
  | 'pteRuns5'
  | 'cacheRuns'
  | 'ints'
  | 'text';

/** Field kinds whose column is a list of numbers per event. */
export const LIST_KINDS: ReadonlySet<FieldKind> = new Set<FieldKind>([
  'pfnRuns',
  'vpnRuns',
  'pteRuns3',
  'pteRuns4',
  'pteRuns5',
  'cacheRuns',
  'ints',
]);

/** Kind of each field of an event type. */
export type FieldsOf<T extends EventType> = { readonly [K in Exclude<keyof EventOf<T>, 'type'>]: FieldKind };
export interface EventShape {
  readonly opcode: number;
  readonly fields: Readonly<Record<string, FieldKind>>;
}

/** Shape of every event type. The compiler checks that the fields are exactly those of the type. */
export const CATALOGUE: { readonly [T in EventType]: { readonly opcode: number; readonly fields: FieldsOf<T> } } = {
  TaskCreated: {
    opcode: 1,
    fields: { tid: 'tid', tgid: 'tid', parent: 'tid', mm: 'mm', cpu: 'cpu' },
  },
  TaskMoved: { opcode: 2, fields: { tid: 'tid', cpu: 'cpu' } },
  TaskMmSwitched: { opcode: 3, fields: { tid: 'tid', mm: 'mm' } },
  FaultAccounted: { opcode: 4, fields: { tid: 'tid', major: 'int' } },
  SignalSent: { opcode: 5, fields: { tid: 'tid', signal: 'int', code: 'int', addr: 'addr' } },
  TaskExited: { opcode: 6, fields: { tid: 'tid', mm: 'mm' } },
  TaskReaped: { opcode: 7, fields: { tid: 'tid' } },
  MmCreated: {
    opcode: 8,
    fields: {
      mm: 'mm',
      parent: 'mm',
      mmapBase: 'addr',
      startBrk: 'addr',
      brk: 'addr',
      defFlags: 'int',
      foreignLayout: 'int',
    },
  },
  MmUsersChanged: { opcode: 9, fields: { mm: 'mm', users: 'int' } },
  MmFreed: { opcode: 10, fields: { mm: 'mm' } },
  BrkSet: { opcode: 11, fields: { mm: 'mm', startBrk: 'addr', brk: 'addr' } },
  DefFlagsSet: { opcode: 12, fields: { mm: 'mm', defFlags: 'int' } },
  HiwaterRssRaised: { opcode: 13, fields: { mm: 'mm', pages: 'int' } },
  ArgPagesAccounted: { opcode: 14, fields: { mm: 'mm', rssAnon: 'int' } },
  VmAccounted: {
    opcode: 15,
    fields: {
      mm: 'mm',
      total: 'int',
      data: 'int',
      stack: 'int',
      exec: 'int',
      locked: 'int',
      committed: 'int',
    },
  },
  VmaInserted: {
    opcode: 16,
    fields: {
      mm: 'mm',
      start: 'addr',
      end: 'addr',
      flags: 'int',
      pgoff: 'int',
      inode: 'inode',
      file: 'int',
      anonVma: 'anonVma',
      chain: 'ints',
    },
  },
  VmaRemoved: { opcode: 17, fields: { mm: 'mm', start: 'addr' } },
  VmaSplit: { opcode: 18, fields: { mm: 'mm', start: 'addr', at: 'addr' } },
  VmaResized: {
    opcode: 19,
    fields: { mm: 'mm', start: 'addr', newStart: 'addr', newEnd: 'addr', newPgoff: 'int' },
  },
  VmaMerged: {
    opcode: 20,
    fields: { mm: 'mm', start: 'addr', absorbed: 'addr', anonVma: 'anonVma', chain: 'ints' },
  },
  VmaFlagsChanged: { opcode: 21, fields: { mm: 'mm', start: 'addr', flags: 'int' } },
  VmaAnonVmaSet: {
    opcode: 22,
    fields: { mm: 'mm', start: 'addr', anonVma: 'anonVma', chain: 'ints' },
  },
  AnonVmaCreated: { opcode: 23, fields: { anonVma: 'anonVma', root: 'anonVma', parent: 'anonVma' } },
  AnonVmaLinked: {
    opcode: 24,
    fields: { anonVma: 'anonVma', activeVmas: 'int', children: 'int', links: 'int' },
  },
  AnonVmaFreed: { opcode: 25, fields: { anonVma: 'anonVma' } },
  PageTableAllocated: { opcode: 26, fields: { mm: 'mm', vpn: 'vpn', bytes: 'int' } },
  PageTablesFreed: { opcode: 27, fields: { mm: 'mm', vpn: 'vpn', vpnEnd: 'vpn', bytes: 'int' } },
  ZeroPageMapped: { opcode: 28, fields: { mm: 'mm', vpn: 'vpn', entry: 'int' } },
  SpecialPfnMapped: { opcode: 29, fields: { mm: 'mm', vpn: 'vpn', entry: 'int' } },
  AnonPageMapped: {
    opcode: 30,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      anonVma: 'anonVma',
      index: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      rssAnon: 'int',
      lruCpu: 'cpu',
    },
  },
  CowPageMapped: {
    opcode: 31,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      oldPfn: 'pfn',
      oldMapcount: 'int',
      pfn: 'pfn',
      entry: 'int',
      anonVma: 'anonVma',
      index: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      rssFile: 'int',
      rssAnon: 'int',
      rssShmem: 'int',
      lruCpu: 'cpu',
    },
  },
  PageReused: {
    opcode: 32,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', entry: 'int', exclusive: 'int', anonVma: 'anonVma' },
  },
  PteFlagsSet: { opcode: 33, fields: { mm: 'mm', vpn: 'vpn', entry: 'int' } },
  FilePagesMapped: {
    opcode: 34,
    fields: {
      mm: 'mm',
      runs: 'pteRuns3',
      flags: 'int',
      ref: 'int',
      mapcount: 'int',
      rssFile: 'int',
      rssShmem: 'int',
    },
  },
  PtesCopied: {
    opcode: 35,
    fields: {
      mm: 'mm',
      child: 'mm',
      anon: 'pteRuns5',
      file: 'pteRuns5',
      special: 'pteRuns5',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      rssFile: 'int',
      rssAnon: 'int',
      rssShmem: 'int',
    },
  },
  PtesProtected: { opcode: 36, fields: { mm: 'mm', runs: 'pteRuns4' } },
  PtesZapped: {
    opcode: 37,
    fields: {
      mm: 'mm',
      runs: 'pteRuns4',
      special: 'pteRuns4',
      mapcount: 'int',
      rssFile: 'int',
      rssAnon: 'int',
      rssShmem: 'int',
    },
  },
  GatherFlushed: { opcode: 38, fields: { mm: 'mm', ref: 'int', runs: 'pfnRuns', freed: 'pfnRuns' } },
  PtesMoved: { opcode: 39, fields: { mm: 'mm', vpn: 'vpn', newVpn: 'vpn', runs: 'ints' } },
  PagesLazyfreed: { opcode: 40, fields: { mm: 'mm', runs: 'pteRuns4', ref: 'int', lruCpu: 'cpu' } },
  FolioAllocated: { opcode: 41, fields: { pfn: 'pfn' } },
  PageCopied: { opcode: 42, fields: { pfn: 'pfn', from: 'pfn' } },
  FolioReleased: { opcode: 43, fields: { pfn: 'pfn', ref: 'int', freed: 'int' } },
  PageWritten: {
    opcode: 44,
    fields: { pfn: 'pfn', offset: 'int', length: 'int', byte: 'int' },
  },
  FolioDirtied: { opcode: 45, fields: { pfn: 'pfn' } },
  FolioCleaned: { opcode: 58, fields: { pfn: 'pfn' } },
  MlockBatched: { opcode: 64, fields: { cpu: 'cpu', kind: 'int', runs: 'pfnRuns', set: 'int', ref: 'int' } },
  MlockBatchDrained: { opcode: 65, fields: { cpu: 'cpu', ref: 'int', pages: 'ints', freed: 'pfnRuns' } },
  FoliosUnevictable: { opcode: 66, fields: { runs: 'pfnRuns' } },
  LruAddDrained: { opcode: 46, fields: { cpu: 'cpu', ref: 'int', freed: 'pfnRuns' } },
  LruLazyfreeDrained: { opcode: 47, fields: { cpu: 'cpu', ref: 'int', freed: 'pfnRuns' } },
  InodeCreated: {
    opcode: 48,
    fields: { inode: 'inode', name: 'text', kind: 'int', size: 'int', resident: 'int' },
  },
  InodeResized: { opcode: 49, fields: { inode: 'inode', size: 'int', data: 'int' } },
  PageCacheHolesNoted: { opcode: 50, fields: { inode: 'inode', runs: 'ints' } },
  PageCacheAdded: {
    opcode: 51,
    fields: { inode: 'inode', runs: 'cacheRuns', swapbacked: 'int', ref: 'int', lruCpu: 'cpu' },
  },
  PageCacheRemoved: {
    opcode: 52,
    fields: { inode: 'inode', runs: 'cacheRuns', ref: 'int', freed: 'pfnRuns' },
  },
  FdInstalled: {
    opcode: 53,
    fields: { tgid: 'tid', fd: 'int', inode: 'inode', flags: 'int', file: 'int' },
  },
  FdClosed: { opcode: 54, fields: { tgid: 'tid', fd: 'int' } },
  PageCacheHolesForgotten: { opcode: 57, fields: { inode: 'inode', runs: 'ints' } },
  ExecMmPrepared: { opcode: 56, fields: { tid: 'tid', mm: 'mm' } },
  BytesCopied: {
    opcode: 59,
    fields: { pfn: 'pfn', offset: 'int', from: 'pfn', fromOffset: 'int', length: 'int' },
  },
  FolioUptodateSet: { opcode: 60, fields: { pfn: 'pfn', uptodate: 'int' } },
  FilePositionSet: { opcode: 61, fields: { file: 'int', position: 'int' } },
  FdTableCopied: { opcode: 55, fields: { tgid: 'tid', from: 'tid' } },
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
  FolioSwapAllocated: { opcode: 80, fields: { slot: 'int', pfn: 'pfn', ref: 'int' } },
  PageSwappedOut: {
    opcode: 81,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      slot: 'int',
      entry: 'int',
      count: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      dirty: 'int',
      rssAnon: 'int',
      rssSwap: 'int',
    },
  },
  SwapWritten: { opcode: 82, fields: { slot: 'int', pfn: 'pfn' } },
  SwapRead: { opcode: 83, fields: { slot: 'int', pfn: 'pfn', ref: 'int', lruCpu: 'cpu' } },
  SwapCacheRemoved: {
    opcode: 84,
    fields: { slot: 'int', pfn: 'pfn', ref: 'int', dirty: 'int', freed: 'int', slotFreed: 'int' },
  },
  PageSwappedIn: {
    opcode: 85,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      slot: 'int',
      entry: 'int',
      count: 'int',
      uncached: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      anonVma: 'anonVma',
      index: 'int',
      rssAnon: 'int',
      rssSwap: 'int',
    },
  },
  SwapEntryCopied: {
    opcode: 86,
    fields: { mm: 'mm', child: 'mm', vpn: 'vpn', slot: 'int', entry: 'int', count: 'int', rssSwap: 'int' },
  },
  SwapEntryFreed: {
    opcode: 87,
    fields: { mm: 'mm', vpn: 'vpn', slot: 'int', count: 'int', rssSwap: 'int', slotFreed: 'int' },
  },
  LazyfreeDiscarded: {
    opcode: 88,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', ref: 'int', mapcount: 'int', rssAnon: 'int', freed: 'int' },
  },
  LazyfreeRevoked: { opcode: 89, fields: { pfn: 'pfn' } },
  GuardMarkersInstalled: { opcode: 110, fields: { mm: 'mm', runs: 'vpnRuns', entry: 'int' } },
  GuardMarkersRemoved: { opcode: 111, fields: { mm: 'mm', runs: 'vpnRuns' } },
  FolioIsolated: { opcode: 120, fields: { pfn: 'pfn', ref: 'int' } },
  MigrationPteSet: {
    opcode: 121,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      ref: 'int',
      mapcount: 'int',
      exclusive: 'int',
      dirty: 'int',
    },
  },
  FolioMigrated: {
    opcode: 122,
    fields: {
      pfn: 'pfn',
      from: 'pfn',
      flags: 'int',
      fromFlags: 'int',
      anonVma: 'anonVma',
      inode: 'inode',
      index: 'int',
      cache: 'cacheRuns',
      slot: 'int',
      ref: 'int',
      fromRef: 'int',
    },
  },
  FolioLruAdded: { opcode: 123, fields: { pfn: 'pfn', flags: 'int', ref: 'int', lruCpu: 'cpu' } },
  MigrationPteRemoved: {
    opcode: 124,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', entry: 'int', ref: 'int', mapcount: 'int', exclusive: 'int' },
  },
  KsmMmEntered: { opcode: 140, fields: { mm: 'mm' } },
  KsmMmExited: { opcode: 141, fields: { mm: 'mm' } },
  KsmMmLeft: { opcode: 142, fields: { mm: 'mm' } },
  KsmCountersInherited: {
    opcode: 143,
    fields: { mm: 'mm', merging: 'int', items: 'int', zeroPages: 'int', allZeroPages: 'int' },
  },
  KsmItemAdded: { opcode: 144, fields: { mm: 'mm', vpn: 'vpn', items: 'int' } },
  KsmItemRemoved: { opcode: 145, fields: { mm: 'mm', vpn: 'vpn', items: 'int' } },
  KsmItemChecked: { opcode: 146, fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn' } },
  KsmItemUnstable: { opcode: 147, fields: { mm: 'mm', vpn: 'vpn', unstable: 'int', unshared: 'int' } },
  KsmItemLinked: {
    opcode: 148,
    fields: { mm: 'mm', vpn: 'vpn', node: 'int', merging: 'int', shared: 'int', sharing: 'int' },
  },
  KsmItemUnlinked: {
    opcode: 149,
    fields: { mm: 'mm', vpn: 'vpn', node: 'int', merging: 'int', shared: 'int', sharing: 'int' },
  },
  KsmNodeInserted: { opcode: 150, fields: { node: 'int', pfn: 'pfn' } },
  KsmNodeRemoved: { opcode: 151, fields: { node: 'int' } },
  KsmPageProtected: {
    opcode: 152,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', entry: 'int', exclusive: 'int', dirty: 'int' },
  },
  KsmPageMade: { opcode: 153, fields: { pfn: 'pfn' } },
  KsmPageReplaced: {
    opcode: 154,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      mapcount: 'int',
      kpfn: 'pfn',
      kref: 'int',
      kmapcount: 'int',
      entry: 'int',
      rssAnon: 'int',
    },
  },
  KsmZeroPagesChanged: { opcode: 155, fields: { mm: 'mm', zeroPages: 'int', allZeroPages: 'int' } },
  KsmScanEnded: { opcode: 156, fields: { scans: 'int' } },
  KsmUseZeroPagesSet: { opcode: 157, fields: { on: 'int' } },
  FilePageUnmapped: {
    opcode: 160,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      ref: 'int',
      mapcount: 'int',
      dirty: 'int',
      rssFile: 'int',
      rssShmem: 'int',
    },
  },
  FolioReclaimSet: { opcode: 162, fields: { pfn: 'pfn', reclaim: 'int' } },
  PageCacheReclaimed: {
    opcode: 161,
    fields: { inode: 'inode', runs: 'cacheRuns', ref: 'int', freed: 'pfnRuns' },
  },
  SoftDirtyChanged: { opcode: 195, fields: { mm: 'mm', runs: 'pteRuns4' } },
  LargeFolioAllocated: { opcode: 170, fields: { pfn: 'pfn', order: 'int' } },
  LargeFoliosCounted: { opcode: 171, fields: { folios: 'ints' } },
  HugePageMapped: {
    opcode: 172,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      anonVma: 'anonVma',
      index: 'int',
      ref: 'int',
      entireMapcount: 'int',
      exclusive: 'int',
      rssAnon: 'int',
      bytes: 'int',
      lru: 'int',
    },
  },
  HugeZeroMapped: { opcode: 173, fields: { mm: 'mm', vpn: 'vpn', entry: 'int', bytes: 'int' } },
  PmdSplit: {
    opcode: 174,
    fields: {
      mm: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      ref: 'int',
      mapcount: 'int',
      entireMapcount: 'int',
      exclusive: 'int',
      dirty: 'int',
    },
  },
  PmdZapped: {
    opcode: 175,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', entireMapcount: 'int', rssAnon: 'int', bytes: 'int' },
  },
  PmdCopied: {
    opcode: 176,
    fields: {
      mm: 'mm',
      child: 'mm',
      vpn: 'vpn',
      pfn: 'pfn',
      entry: 'int',
      childEntry: 'int',
      ref: 'int',
      entireMapcount: 'int',
      exclusive: 'int',
      rssAnon: 'int',
      bytes: 'int',
    },
  },
  PmdProtected: { opcode: 177, fields: { mm: 'mm', vpn: 'vpn', entry: 'int' } },
  PmdFlagsSet: { opcode: 178, fields: { mm: 'mm', vpn: 'vpn', entry: 'int' } },
  PmdMoved: { opcode: 179, fields: { mm: 'mm', vpn: 'vpn', newVpn: 'vpn', entry: 'int' } },
  PmdReused: {
    opcode: 180,
    fields: { mm: 'mm', vpn: 'vpn', pfn: 'pfn', entry: 'int', exclusive: 'int', anonVma: 'anonVma' },
  },
  ...LARGE_FOLIO_SHAPES,
  SettingWritten: { opcode: 181, fields: { name: 'text', value: 'text' } },
  ...COLLAPSE_SHAPES,
  ...SPLIT_SHAPES,
};

/** Event types by opcode. */
export const TYPE_BY_OPCODE: readonly (EventType | undefined)[] = (() => {
  const types: (EventType | undefined)[] = [];
  for (const type of Object.keys(CATALOGUE) as EventType[]) types[CATALOGUE[type].opcode] = type;
  return types;
})();

/** The catalogue seen without the types, for code that treats all events alike. */
export const SHAPES = CATALOGUE as Readonly<Record<EventType, EventShape>>;
