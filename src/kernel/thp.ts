// Where transparent huge pages are wanted: the files below /sys/kernel/mm/transparent_hugepage, and thp_vma_allowable_orders().
import type { VmaView } from '../../reducers/state.js';
import { HPAGE_PMD_ORDER } from '../../reducers/state.js';
import { VM_HUGEPAGE, VM_NOHUGEPAGE } from '../../reducers/vma.js';
import type { Kernel } from './kernel.js';
import { PAGE_SIZE } from './kernel.js';

/** Bytes that one huge entry maps. */
export const HPAGE_PMD_SIZE = 2 * 1024 * 1024;
/** The same in pages. */
export const HPAGE_PMD_PAGES = HPAGE_PMD_SIZE / PAGE_SIZE;

const FOLDER = 'transparent_hugepage/';
const WORDS: readonly string[] = ['always', 'madvise', 'never'];
const SIZE_WORDS: readonly string[] = [...WORDS, 'inherit'];
/** Which files in memory get large folios. */
const SHMEM_WORDS: readonly string[] = ['always', 'within_size', 'advise', 'never', 'deny', 'force'];
const SHMEM_SIZE_WORDS: readonly string[] = ['always', 'inherit', 'within_size', 'advise', 'never'];
export const SHMEM_ENABLED = `${FOLDER}shmem_enabled`;
const FLAGS: readonly string[] = ['0', '1'];
/** Entries of one kind among 512. */
const COUNTS: readonly string[] = Array.from({ length: HPAGE_PMD_PAGES }, (_, i) => String(i));
/** The smallest order that large folios of anonymous memory have: what must be known of one needs a third page. */
export const MIN_ANON_ORDER = 2;
/** Orders with a folder of their own. */
const ANON_ORDERS: readonly number[] = Array.from(
  { length: HPAGE_PMD_ORDER - MIN_ANON_ORDER + 1 },
  (_, i) => MIN_ANON_ORDER + i,
);
const sizeFile = (order: number): string => `${FOLDER}hugepages-${2 ** order * 4}kB/enabled`;
/** Orders that large folios of files have. */
export const FILE_ORDERS: readonly number[] = Array.from({ length: HPAGE_PMD_ORDER }, (_, i) => i + 1);
/** The setting of shared anonymous memory for folios of `order`. */
export const shmemSizeFile = (order: number): string => `${FOLDER}hugepages-${2 ** order * 4}kB/shmem_enabled`;

interface Setting {
  /** What it says where nobody wrote to it: that of the machine the model was measured on. */
  readonly first: string;
  /** What may be written. */
  readonly values: readonly string[];
}

/** Settings that the model knows, by name below /sys/kernel/mm. */
export const SETTINGS: Readonly<Record<string, Setting>> = {
  [`${FOLDER}enabled`]: { first: 'madvise', values: WORDS },
  [SHMEM_ENABLED]: { first: 'never', values: SHMEM_WORDS },
  [`${FOLDER}use_zero_page`]: { first: '1', values: FLAGS },
  [`${FOLDER}khugepaged/max_ptes_none`]: { first: '511', values: COUNTS },
  [`${FOLDER}khugepaged/max_ptes_swap`]: { first: '64', values: COUNTS },
  [`${FOLDER}khugepaged/max_ptes_shared`]: { first: '256', values: COUNTS },
  ...Object.fromEntries(
    FILE_ORDERS.map((order) => [
      shmemSizeFile(order),
      { first: order === HPAGE_PMD_ORDER ? 'inherit' : 'never', values: SHMEM_SIZE_WORDS },
    ]),
  ),
  ...Object.fromEntries(
    ANON_ORDERS.map((order) => [
      sizeFile(order),
      { first: order === HPAGE_PMD_ORDER ? 'inherit' : 'never', values: SIZE_WORDS },
    ]),
  ),
};

/** What the file `name` says now. */
export const settingOf = (k: Kernel, name: string): string =>
  k.view.settings[name] ?? (SETTINGS[name] as Setting).first;

/** The same of a file that holds a number, named below transparent_hugepage. */
export const numberOf = (k: Kernel, name: string): number => Number(settingOf(k, FOLDER + name));

/** Orders as a set of bits: those wanted everywhere, and those wanted where advice asks for huge pages. */
interface WantedOrders {
  readonly always: number;
  readonly advised: number;
}

const PMD_BIT = 1 << HPAGE_PMD_ORDER;
/** Kept with the settings they were read from, as every fault asks: written settings are another object. */
const WANTED = new WeakMap<Kernel['view']['settings'], WantedOrders>();

function wantedOrders(k: Kernel): WantedOrders {
  const known = WANTED.get(k.view.settings);
  if (known !== undefined) return known;
  const bits = (wanted: string): number =>
    ANON_ORDERS.reduce((set, order) => {
      const word = settingOf(k, sizeFile(order));
      const says = word === 'inherit' ? settingOf(k, `${FOLDER}enabled`) : word;
      return says === wanted ? set | (1 << order) : set;
    }, 0);
  const found = { always: bits('always'), advised: bits('madvise') };
  WANTED.set(k.view.settings, found);
  return found;
}

/**
 * `thp_vma_allowable_orders()` of a page fault in anonymous memory with `flags`: the orders from 2 to 9 that settings and advice want,
 * as a set of bits. Before 6.8 there was but one size, and one setting.
 */
function ordersWanted(k: Kernel, flags: number): number {
  if ((flags & VM_NOHUGEPAGE) !== 0) return 0;
  const advised = (flags & VM_HUGEPAGE) !== 0;
  if (k.behaviours['anon-large-folios']) {
    const wanted = wantedOrders(k);
    return advised ? wanted.always | wanted.advised : wanted.always;
  }
  const word = settingOf(k, `${FOLDER}enabled`);
  return word === 'always' || (word === 'madvise' && advised) ? PMD_BIT : 0;
}

/** Do settings and advice want huge entries in the VMA? */
export const hugePageWanted = (k: Kernel, { flags }: VmaView): boolean => (ordersWanted(k, flags) & PMD_BIT) !== 0;

/**
 * Orders below that of a huge entry, largest first, of which a fault at page `vpn` may take a folio: those that settings and advice
 * want and whose naturally aligned pages lie in the VMA (`thp_vma_allowable_orders()`, `thp_vma_suitable_orders()`).
 */
export function anonOrders(k: Kernel, { flags, start, end }: VmaView, vpn: number): number[] {
  const wanted = ordersWanted(k, flags);
  const orders: number[] = [];
  if ((wanted & ~PMD_BIT) === 0) return orders;
  for (let order = HPAGE_PMD_ORDER - 1; order >= MIN_ANON_ORDER; order--) {
    const first = vpn - (vpn % 2 ** order);
    const fits = first * PAGE_SIZE >= start && (first + 2 ** order) * PAGE_SIZE <= end;
    if (fits && (wanted & (1 << order)) !== 0) orders.push(order);
  }
  return orders;
}

/** `thp_vma_suitable_order()`: does the whole aligned 2 MiB around `addr` lie in the VMA? */
export function hugePageFits({ start, end }: VmaView, addr: number): boolean {
  const block = addr - (addr % HPAGE_PMD_SIZE);
  return block >= start && block + HPAGE_PMD_SIZE <= end;
}

/** `huge_zero_page` may be mapped by read faults. */
export const usesHugeZeroPage = (k: Kernel): boolean => settingOf(k, `${FOLDER}use_zero_page`) === '1';
