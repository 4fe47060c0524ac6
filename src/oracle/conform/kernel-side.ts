// The native agent's answer to one operation as an observation. The lines are described in agent/observe.c.
import { errnoName } from '../../lib/errno.js';
import type { Fields, Observation, Scalar } from './observation.js';
import { UNTOUCHED } from './commands.js';
import { MACHINE, Naming, OPERATION, fdKey, messagesText, resumedKey, taskKey, vmaKey } from './observation.js';
import { NAMED, PageRuns } from './page-runs.js';
import { knownCodes } from './vm-flags.js';

const SMAPS = (
  'Rss Pss Shared_Clean Shared_Dirty Private_Clean Private_Dirty Anonymous KSM LazyFree AnonHugePages ShmemPmdMapped ' +
  'FilePmdMapped Shared_Hugetlb Private_Hugetlb Swap SwapPss Locked'
).split(' ');

const KPF_DIRTY = 4;
const KPF_ANON = 12;
const KPF_SWAPCACHE = 13;
const KPF_SWAPBACKED = 14;
const KPF_KSM = 21;
const KPF_ZERO_PAGE = 24;
const KPF_UNEVICTABLE = 18;
const KPF_MLOCKED = 33;
const KPF_ANON_EXCLUSIVE = 34;
const KPF_COMPOUND_TAIL = 16;
const PM_SWAPPED = 62;
const PM_GUARD = 58;
const PM_SOFT_DIRTY = 55;
const PM_UFFD_WP = 57;
const PM_EXCLUSIVE = 56;
const PM_PRESENT = 63;
/** `SWP_PTE_MARKER` as pagemap shows it. */
const MARKER_TYPE = 31;
const SWAP_TYPES = 32;
/** No swap area has as many. */
const SWAP_SLOTS_MAX = 2 ** 46;
const PTE_PRESENT = 0;
const PTE_WRITE = 1;
const PTE_DIRTY = 6;
/** Of a swap entry. */
const PTE_SWP_EXCLUSIVE = 3;
const PTE_SAVED_DIRTY = 58;
/** Flags as the agent orders them. */
const DEEP_ANON_EXCLUSIVE = 1;
const DEEP_DIRTY = 2;

/** A 64-bit word in hexadecimal: exact below 2^53, and each bit. */
class Word {
  readonly #high: number;
  readonly #low: number;
  constructor(hex: string) {
    this.#high = hex.length > 8 ? parseInt(hex.slice(0, -8), 16) : 0;
    this.#low = parseInt(hex.slice(-8), 16);
  }
  bit(n: number): boolean {
    return n >= 32 ? ((this.#high >>> (n - 32)) & 1) === 1 : ((this.#low >>> n) & 1) === 1;
  }
  /** Bits 0 to 54 of pagemap. */
  get frame(): number {
    return (this.#high & 0x7fffff) * 2 ** 32 + this.#low;
  }
}

/** What a task showed before anything was mapped: its runtime. Taken off. */
export interface Baseline {
  readonly rssAnon: number;
  readonly rssFile: number;
  readonly rssShmem: number;
  readonly swap: number;
  readonly pageTables: number;
  readonly size: number;
}

interface Accumulated {
  readonly subjects: Map<string, Fields>;
  readonly pages: PageRuns;
  readonly files: Naming<string>;
  /** Messages that were read, four numbers each, until it is told by whom. */
  readonly messages: number[];
  /** Is a fork under way, or was until now? Then the agent's own memory is shared, and faults as well. */
  forking: boolean;
  /** Who sleeps in the operation; it counts as done if others ended that at once. 0: nobody. */
  slept: number;
}

/** Reads the agent's answers to one workload, in order. */
export class KernelSide {
  #baseline: Baseline | null = null;
  /** The pool of huge pages at the start: the machine may have inherited any numbers. */
  #hugePages: readonly number[] | null = null;
  #ksm: readonly number[] | null = null;
  readonly #faults = new Map<number, number>();
  /** Operations that tasks sleep in. */
  readonly #asleep = new Map<number, string>();

  /**
   * The observation in `lines`, the agent's answer to `operation`; of the answer to `start` the baseline is taken.
   * @throws Error for a line that is none of the agent's.
   */
  read(lines: readonly string[], operation: string): Observation {
    const into: Accumulated = {
      subjects: new Map(),
      pages: new PageRuns(),
      files: new Naming(),
      messages: [],
      slept: 0,
      forking: [...this.#asleep.values()].includes('fork'),
    };
    for (const line of lines) this.#line(line, operation, into);
    for (const task of this.#asleep.keys()) if (!into.subjects.has(taskKey(task))) this.#asleep.delete(task);
    return { subjects: into.subjects, pages: into.pages.runs };
  }

  #line(line: string, operation: string, into: Accumulated): void {
    const words = line.split(' ');
    switch (words[0]) {
      case 'R':
        into.subjects.set(OPERATION, outcome(words, operation, into.messages.splice(0)));
        break;
      case 'E':
        into.messages.push(...words.slice(1).map((word) => parseInt(word, 16)));
        break;
      case 'W':
        into.slept = Number(words[1]);
        this.#asleep.set(into.slept, operation);
        into.subjects.set(OPERATION, { waits: true });
        break;
      case 'U': {
        const task = Number(words[1]);
        const slept = this.#asleep.get(task) ?? '';
        const key = into.slept === task ? OPERATION : resumedKey(task);
        into.subjects.set(key, outcome(words.slice(1), slept, into.messages.splice(0)));
        this.#asleep.delete(task);
        into.forking ||= slept === 'fork';
        break;
      }
      case 'X': {
        const [, task = '', fd = '', pending = '', total = '', features = '0'] = words;
        const key = fdKey(Number(task), Number(fd));
        // Bit 31 says that there was a handshake.
        const uffd_features = parseInt(features, 16) % 2 ** 31;
        const fields = { uffd_pending: Number(pending), uffd_total: Number(total), uffd_features };
        into.subjects.set(key, { ...into.subjects.get(key), ...fields });
        break;
      }
      case 'B':
        into.subjects.set(OPERATION, { blocked: true });
        break;
      case '!':
        into.subjects.set(OPERATION, { refused: line.slice(2) });
        break;
      case 'T':
        this.#task(words.slice(1).map(Number), operation, into);
        break;
      case 'S': {
        const [task = 0, owner = 0, faults = 0] = words.slice(1).map(Number);
        const delta = this.#delta(task, faults, operation, into);
        into.subjects.set(taskKey(task), { shares_mm_of: taskKey(owner), faults: delta });
        break;
      }
      case 'F':
        descriptor(words, into);
        break;
      case 'V':
        vma(line, into);
        break;
      case 'P':
        page(words, into);
        break;
      case 'K': {
        const [task = 0, ksm_rmap_items = 0, ksm_zero_pages = 0, ksm_merging_pages = 0] = words.slice(1).map(Number);
        const key = taskKey(task);
        const counters = { ksm_rmap_items, ksm_zero_pages, ksm_merging_pages };
        into.subjects.set(key, { ...into.subjects.get(key), ...counters });
        break;
      }
      case 'M':
        this.#merged(words.slice(1).map(Number), into);
        break;
      case 'H':
        this.#machine(words.slice(1).map(Number), into);
        break;
      default:
        throw new Error(`the native agent said: ${line}`);
    }
  }

  #machine(numbers: readonly number[], { subjects }: Accumulated): void {
    this.#hugePages ??= numbers;
    const [total = 0, free = 0, rsvd = 0, surp = 0] = numbers.map((now, i) => now - (this.#hugePages?.[i] ?? 0));
    subjects.set(MACHINE, { huge_total: total, huge_free: free, huge_rsvd: rsvd, huge_surp: surp });
  }

  /** Totals of KSM. The kernel's count of zero pages may keep what children of earlier programs never had. */
  #merged(numbers: readonly number[], { subjects }: Accumulated): void {
    this.#ksm ??= numbers;
    const [shared = 0, sharing = 0, unshared = 0, zero = 0] = numbers.map((now, i) => now - (this.#ksm?.[i] ?? 0));
    const counters = { pages_shared: shared, pages_sharing: sharing, pages_unshared: unshared, ksm_zero_pages: zero };
    subjects.set(MACHINE, { ...subjects.get(MACHINE), ...counters });
  }

  #delta(task: number, faults: number, operation: string, { forking }: Accumulated): number | undefined {
    const before = this.#faults.get(task);
    this.#faults.set(task, faults);
    return before === undefined || operation === 'fork' || forking ? undefined : faults - before;
  }

  #task(numbers: readonly number[], operation: string, into: Accumulated): void {
    const [
      task = 0,
      rssAnon = 0,
      rssFile = 0,
      rssShmem = 0,
      swap = 0,
      locked = 0,
      pageTables = 0,
      size = 0,
      faults = 0,
    ] = numbers;
    this.#baseline ??= { rssAnon, rssFile, rssShmem, swap, pageTables, size };
    const base = this.#baseline;
    into.subjects.set(taskKey(task), {
      faults: this.#delta(task, faults, operation, into),
      rss_anon: rssAnon - base.rssAnon,
      rss_file: rssFile - base.rssFile,
      rss_shmem: rssShmem - base.rssShmem,
      swap: swap - base.swap,
      locked_vm: locked,
      page_tables: pageTables - base.pageTables,
      total_vm: size - base.size,
    });
  }
}

/** Calls that return an address or a number that may look negative as a long. */
function outcome(words: readonly string[], operation: string, messages: readonly number[]): Fields {
  const [, ret = '0', errno = '0', signal = '0', code = '0', addr = '0', extra = '0'] = words;
  if (signal !== '0') {
    if (signal === '9') return { killed: true };
    return { signal: parseInt(signal, 16), si_code: parseInt(code, 16), si_addr: parseInt(addr, 16) };
  }
  if (errno !== '0') {
    const number = parseInt(errno, 16);
    return { errno: errnoName(number) ?? `E${number}`, ...outField(operation, extra) };
  }
  // What the machine does has no result.
  if (operation.startsWith('ksm_')) return {};
  if (operation === 'move_pages') return { ret: parseInt(ret, 16), statuses: statusText(extra) };
  if (messages.length > 0) return { ret: parseInt(ret, 16), messages: messagesText(messages) };
  if (operation === 'load') return { ret: extra === '1' ? 'mixed' : parseInt(ret, 16) };
  return { ret: parseInt(ret, 16), ...outField(operation, extra) };
}

/** What the kernel wrote to the structure of an ioctl, as a signed number; nothing where it did not. */
function outField(operation: string, extra: string): Fields {
  if (operation === 'poll') return { out: parseInt(extra, 16) };
  if (operation !== 'ioctl' || BigInt(`0x${extra}`) === UNTOUCHED) return {};
  return { out: Number(BigInt.asIntN(64, BigInt(`0x${extra}`))) };
}

/** Statuses of four pages, 16 bits each, those beyond the count 0. */
function statusText(extra: string): string {
  const words = extra.padStart(16, '0').match(/.{4}/g) ?? [];
  return words
    .map((word) => (parseInt(word, 16) << 16) >> 16)
    .toReversed()
    .join();
}

function descriptor(words: readonly string[], { subjects, files }: Accumulated): void {
  const [, task = '', fd = '', device = '', inode = '', size = '', blocks = '-', free = '-'] = words;
  const key = fdKey(Number(task), Number(fd));
  const file = { file: files.of(`${device} ${inode}`, key), size: Number(size) };
  subjects.set(key, {
    ...file,
    ...(blocks === '-' ? {} : { blocks: Number(blocks) }),
    ...(free === '-' ? {} : { sb_free: Number(free) }),
  });
}

function vma(line: string, { subjects, files }: Accumulated): void {
  const [head = '', values = '', flags = ''] = splitFromEnd(line);
  const [, task = '', start = '', end = '', , pgoff = '', device = '', inode = ''] = head.split(' ');
  const key = vmaKey(Number(task), parseInt(start, 16));
  const fields: Record<string, Scalar> = {
    end: parseInt(end, 16),
    ...(inode === '0' ? {} : { pgoff: parseInt(pgoff, 16) }),
    file: inode === '0' ? 'none' : files.of(`${deviceText(device)} ${inode}`, key),
    flags: knownCodes(flags),
  };
  values.split(' ').forEach((value, i) => (fields[SMAPS[i] as string] = Number(value)));
  subjects.set(key, fields);
}

/** smaps pads device numbers with zeros. */
const deviceText = (text: string): string =>
  text
    .split(':')
    .map((part) => parseInt(part, 16).toString(16))
    .join(':');

/** A mapping's name may hold bars. */
function splitFromEnd(line: string): string[] {
  const last = line.lastIndexOf('|');
  const middle = line.lastIndexOf('|', last - 1);
  return [line.slice(0, middle), line.slice(middle + 1, last), line.slice(last + 1)];
}

function page(words: readonly string[], { pages }: Accumulated): void {
  const [, task = '', place = '', pagemapHex = '0', flagsHex = '-', count = '-', ...deep] = words;
  const [addr = '', row = '1'] = place.split('+');
  const pagemap = new Word(pagemapHex);
  const entry = deep.length === 0 ? null : new Word(deep[0] as string);
  const fields = pageFields(pagemap, flagsHex, count, entry, deep);
  const first = fields['slot'] === NAMED ? slotOf(pagemap) : pagemap.frame;
  pages.add(Number(task), parseInt(addr, 16), parseInt(row, 16), fields, first);
}

function pageFields(
  pagemap: Word,
  flagsHex: string,
  count: string,
  entry: Word | null,
  deep: readonly string[],
): Fields {
  if (!pagemap.bit(PM_PRESENT)) return absent(pagemap, entry);
  const flags = new Word(flagsHex);
  const uffd_wp = pagemap.bit(PM_UFFD_WP);
  const writable = entry?.bit(PTE_WRITE);
  if (flags.bit(KPF_ZERO_PAGE)) return { kind: 'zero', writable, uffd_wp, level: LEVELS[Number(deep[1] ?? '0')] };
  const anon = flags.bit(KPF_ANON);
  const seen = deepFields(deep, entry, flags);
  const inMemory = anon || flags.bit(KPF_SWAPBACKED);
  return {
    kind: 'present',
    frame: NAMED,
    backing: backingOf(flags),
    // Of a tail page these flags are its head's.
    anon_exclusive: anon
      ? (seen.anonExclusive ?? (flags.bit(KPF_COMPOUND_TAIL) ? undefined : flags.bit(KPF_ANON_EXCLUSIVE)))
      : undefined,
    single_map: pagemap.bit(PM_EXCLUSIVE),
    mapcount: parseInt(count, 16),
    writable,
    protnone: entry === null ? undefined : !entry.bit(PTE_PRESENT),
    dirty: seen.dirty,
    swapcache: anon ? flags.bit(KPF_SWAPCACHE) : undefined,
    mlocked: flags.bit(KPF_MLOCKED),
    unevictable: flags.bit(KPF_UNEVICTABLE),
    uffd_wp,
    soft_dirty: pagemap.bit(PM_SOFT_DIRTY),
    // What else holds a page of a disk's file, and how large its folios are, is the file system's affair.
    refcount: inMemory ? seen.refcount : undefined,
    content: seen.content,
    ...(inMemory ? seen.folio : {}),
  };
}

function backingOf(kpageflags: Word): string {
  if (kpageflags.bit(KPF_ANON)) return kpageflags.bit(KPF_KSM) ? 'ksm' : 'anon';
  return kpageflags.bit(KPF_SWAPBACKED) ? 'shmem' : 'file';
}

interface Deep {
  readonly anonExclusive?: boolean;
  readonly dirty?: boolean;
  readonly refcount?: number;
  readonly content?: number;
  /** Of the folio that the page belongs to, and of the entry that maps it. */
  readonly folio?: Readonly<
    Record<'level' | 'order' | 'large_mapcount' | 'entire_mapcount' | 'pincount' | 'mapped_shared', Scalar | undefined>
  >;
}

/** What only the kernel's own memory shows: `entry level flags order refcount mapcount large entire pincount shared digest`. */
function deepFields(deep: readonly string[], entry: Word | null, kpageflags: Word): Deep {
  const [, level = '-', flags = '-', order = '-', refcount = '-', , large = '-', entire = '-', pins = '-', ...more] =
    deep;
  const [shared = '-', content = '-'] = more;
  if (entry === null || flags === '-') return {};
  const bits = parseInt(flags, 16);
  return {
    anonExclusive: (bits & DEEP_ANON_EXCLUSIVE) !== 0,
    dirty: entry.bit(PTE_DIRTY) || entry.bit(PTE_SAVED_DIRTY) || (bits & DEEP_DIRTY) !== 0 || kpageflags.bit(KPF_DIRTY),
    ...(refcount === '-' ? {} : { refcount: Number(refcount) }),
    folio: {
      level: LEVELS[Number(level)],
      order: seenNumber(order),
      // Of a page of its own there is nothing to tell.
      large_mapcount: seenNumber(large),
      entire_mapcount: seenNumber(entire),
      pincount: seenNumber(pins),
      mapped_shared: shared === '-' ? undefined : shared === '1',
    },
    ...(content === '-' ? {} : { content: parseInt(content, 16) }),
  };
}

/** Levels as the model calls them. */
const LEVELS: readonly (string | undefined)[] = [undefined, 'pte', 'pmd'];
const seenNumber = (text: string): number | undefined => (text === '-' ? undefined : Number(text));

function absent(pagemap: Word, entry: Word | null): Fields {
  if (pagemap.bit(PM_GUARD)) return { kind: 'marker', guard: true, uffd_wp: false, poison: false };
  const uffd_wp = pagemap.bit(PM_UFFD_WP);
  if (!pagemap.bit(PM_SWAPPED)) return { kind: 'marker', guard: false, uffd_wp };
  // Entries that lead to no slot count as of one more type of swap area.
  if (pagemap.frame % SWAP_TYPES === MARKER_TYPE) {
    const marker = Math.floor(pagemap.frame / SWAP_TYPES);
    return { kind: 'marker', guard: false, uffd_wp: (marker & 1) !== 0, poison: (marker & 2) !== 0 };
  }
  return { kind: 'swap', uffd_wp, slot: NAMED, excl_entry: entry?.bit(PTE_SWP_EXCLUSIVE) };
}

/** What tells slots apart: bits 0 to 4 are the number of the swap area, the others the slot. Slots in a row follow each other. */
const slotOf = ({ frame }: Word): number => (frame % SWAP_TYPES) * SWAP_SLOTS_MAX + Math.floor(frame / SWAP_TYPES);
