// Catalogues of earlier versions, frozen as they were, and how their events become those of the version after. A log of each is kept
// in test/logs.
import type { FieldKind, KernelEvent } from './index.js';

/** An event of any version. */
export type PlainEvent = { readonly type: string } & Readonly<Record<string, number | string | readonly number[]>>;

/** Shape of an event type in its version. */
export interface OldShape {
  readonly opcode: number;
  readonly type: string;
  /** In the order of the log's columns. */
  readonly fields: readonly (readonly [name: string, kind: FieldKind])[];
}

/** The vocabulary of one version. */
export interface OldCatalogue {
  readonly version: number;
  readonly shapes: readonly OldShape[];
  /** How its events become those of the next version; types that are not here stayed as they were. */
  readonly upcast: Readonly<Record<string, (event: PlainEvent) => PlainEvent>>;
}

/** Reads `OPCODE Type field:kind ...`; a field that is called as its kind stands alone. */
export function shapeOf(line: string): OldShape {
  const [opcode = '', type = '', ...fields] = line.split(' ');
  return {
    opcode: Number(opcode),
    type,
    fields: fields.map((field) => {
      const [name = '', kind = name] = field.split(':');
      return [name, kind as FieldKind] as const;
    }),
  };
}

const CATALOGUE_1: OldCatalogue = {
  version: 1,
  shapes: [
    '1 TaskCreated tid tgid:tid parent:tid mm cpu',
    '2 TaskMoved tid cpu',
    '3 TaskMmSwitched tid mm',
    '4 FaultAccounted tid major:int',
    '5 SignalSent tid signal:int code:int addr',
    '6 TaskExited tid mm',
    '7 TaskReaped tid',
    '8 MmCreated mm parent:mm mmapBase:addr startBrk:addr brk:addr defFlags:int foreignLayout:int',
    '9 MmUsersChanged mm users:int',
    '10 MmFreed mm',
    '11 BrkSet mm startBrk:addr brk:addr',
    '12 DefFlagsSet mm defFlags:int',
    '13 HiwaterRssRaised mm pages:int',
    '14 ArgPagesAccounted mm rssAnon:int',
    '15 VmAccounted mm total:int data:int stack:int exec:int locked:int committed:int',
    '16 VmaInserted mm start:addr end:addr flags:int pgoff:int inode anonVma chain:ints',
    '17 VmaRemoved mm start:addr',
    '18 VmaSplit mm start:addr at:addr',
    '19 VmaResized mm start:addr newStart:addr newEnd:addr newPgoff:int',
    '20 VmaMerged mm start:addr absorbed:addr anonVma chain:ints',
    '21 VmaFlagsChanged mm start:addr flags:int',
    '22 VmaAnonVmaSet mm start:addr anonVma chain:ints',
    '23 AnonVmaCreated anonVma root:anonVma parent:anonVma',
    '24 AnonVmaLinked anonVma activeVmas:int children:int links:int',
    '25 AnonVmaFreed anonVma',
    '26 PageTableAllocated mm vpn bytes:int',
    '27 PageTablesFreed mm vpn vpnEnd:vpn bytes:int',
    '28 ZeroPageMapped mm vpn entry:int',
    '29 SpecialPfnMapped mm vpn entry:int',
    '30 AnonPageMapped mm vpn pfn entry:int anonVma index:int ref:int mapcount:int exclusive:int rssAnon:int lruCpu:cpu',
    '31 CowPageMapped mm vpn oldPfn:pfn oldMapcount:int pfn entry:int anonVma index:int ref:int mapcount:int exclusive:int rssFile:int rssAnon:int rssShmem:int lruCpu:cpu',
    '32 PageReused mm vpn pfn entry:int exclusive:int anonVma',
    '33 PteFlagsSet mm vpn entry:int',
    '34 FilePagesMapped mm runs:pteRuns3 flags:int ref:int mapcount:int rssFile:int rssShmem:int',
    '35 PtesCopied mm child:mm anon:pteRuns5 file:pteRuns5 special:pteRuns5 ref:int mapcount:int exclusive:int rssFile:int rssAnon:int rssShmem:int',
    '36 PtesProtected mm runs:pteRuns4',
    '37 PtesZapped mm runs:pteRuns4 special:pteRuns4 mapcount:int rssFile:int rssAnon:int rssShmem:int',
    '38 GatherFlushed mm ref:int runs:pfnRuns freed:pfnRuns',
    '39 PtesMoved mm vpn newVpn:vpn runs:ints',
    '40 PagesLazyfreed mm runs:pteRuns4 ref:int lruCpu:cpu',
    '41 FolioAllocated pfn',
    '42 PageCopied pfn from:pfn',
    '43 FolioReleased pfn ref:int freed:int',
    '44 PageWritten pfn offset:int length:int byte:int',
    '45 FolioDirtied pfn',
    '46 LruAddDrained cpu ref:int freed:pfnRuns',
    '47 LruLazyfreeDrained cpu ref:int freed:pfnRuns',
    '48 InodeCreated inode name:text kind:int size:int resident:int',
    '49 InodeResized inode size:int',
    '50 PageCacheHolesNoted inode runs:ints',
    '51 PageCacheAdded inode runs:cacheRuns swapbacked:int ref:int lruCpu:cpu',
    '52 PageCacheRemoved inode runs:cacheRuns ref:int freed:pfnRuns',
    '53 FdInstalled tgid:tid fd:int inode flags:int',
    '54 FdClosed tgid:tid fd:int',
    '55 FdTableCopied tgid:tid from:tid',
    '56 ExecMmPrepared tid mm',
    '57 PageCacheHolesForgotten inode runs:ints',
  ].map(shapeOf),
  upcast: {
    // Nobody knew where what was written first on the disk ends.
    InodeResized: (event) => ({ ...event, data: -1 }),
    // Open file descriptions were not told apart; none is known.
    FdInstalled: (event) => ({ ...event, file: -1 }),
    VmaInserted: ({ anonVma, chain, ...event }) => ({ ...event, file: -1, anonVma: anonVma!, chain: chain! }),
  },
};

/** Every catalogue before today's, oldest first. */
export const HISTORY: readonly OldCatalogue[] = [CATALOGUE_1];

/** How an event of version `version` becomes one of today, through all versions between. */
export function upcasterFrom(
  version: number,
  history: readonly OldCatalogue[] = HISTORY,
): (event: PlainEvent) => KernelEvent {
  const steps = history.filter((each) => each.version >= version).map(({ upcast }) => upcast);
  return (event) => {
    let now = event;
    for (const step of steps) if (Object.hasOwn(step, now.type)) now = step[now.type]!(now);
    return now as unknown as KernelEvent;
  };
}
