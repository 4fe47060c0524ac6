// Where transparent huge pages are wanted: the files below /sys/kernel/mm/transparent_hugepage, and thp_vma_allowable_orders().
import type { VmaView } from '../../reducers/state.js';
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
const FLAGS: readonly string[] = ['0', '1'];
/** Entries of one kind among 512. */
const COUNTS: readonly string[] = Array.from({ length: HPAGE_PMD_PAGES }, (_, i) => String(i));
/** Orders that anonymous memory may have, and what their folders are called. */
const ANON_ORDERS: readonly number[] = [2, 3, 4, 5, 6, 7, 8, 9];
const sizeFile = (order: number): string => `${FOLDER}hugepages-${2 ** order * 4}kB/enabled`;
const PMD_SIZE_FILE = sizeFile(9);

interface Setting {
  /** What it says where nobody wrote to it: that of the machine the model was measured on. */
  readonly first: string;
  /** What may be written. */
  readonly values: readonly string[];
}

/** Settings that the model knows, by name below /sys/kernel/mm. */
export const SETTINGS: Readonly<Record<string, Setting>> = {
  [`${FOLDER}enabled`]: { first: 'madvise', values: WORDS },
  [`${FOLDER}use_zero_page`]: { first: '1', values: FLAGS },
  [`${FOLDER}khugepaged/max_ptes_none`]: { first: '511', values: COUNTS },
  [`${FOLDER}khugepaged/max_ptes_swap`]: { first: '64', values: COUNTS },
  [`${FOLDER}khugepaged/max_ptes_shared`]: { first: '256', values: COUNTS },
  ...Object.fromEntries(
    ANON_ORDERS.map((order) => [sizeFile(order), { first: order === 9 ? 'inherit' : 'never', values: SIZE_WORDS }]),
  ),
};

/** What the file `name` says now. */
export const settingOf = (k: Kernel, name: string): string =>
  k.view.settings[name] ?? (SETTINGS[name] as Setting).first;

/** The same of a file that holds a number, named below transparent_hugepage. */
export const numberOf = (k: Kernel, name: string): number => Number(settingOf(k, FOLDER + name));

/** Does the word of a setting ask for huge pages in a VMA with `flags`? */
const wants = (word: string, flags: number): boolean =>
  word === 'always' || (word === 'madvise' && (flags & VM_HUGEPAGE) !== 0);

/** `thp_vma_allowable_order()` of a page fault in anonymous memory, for the order of a huge entry: do settings and advice want it? */
export function hugePageWanted(k: Kernel, { flags }: VmaView): boolean {
  if ((flags & VM_NOHUGEPAGE) !== 0) return false;
  const word = settingOf(k, PMD_SIZE_FILE);
  return wants(word === 'inherit' ? settingOf(k, `${FOLDER}enabled`) : word, flags);
}

/** `thp_vma_suitable_order()`: does the whole aligned 2 MiB around `addr` lie in the VMA? */
export function hugePageFits({ start, end }: VmaView, addr: number): boolean {
  const block = addr - (addr % HPAGE_PMD_SIZE);
  return block >= start && block + HPAGE_PMD_SIZE <= end;
}

/** `huge_zero_page` may be mapped by read faults. */
export const usesHugeZeroPage = (k: Kernel): boolean => settingOf(k, `${FOLDER}use_zero_page`) === '1';
