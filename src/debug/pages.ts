// Page-table entries for people: neighbours that agree are one line.
import type { CanonicalPage, CanonicalVma } from '../../projections/canonical.js';

/** Twelve hexadecimal digits, as /proc/PID/maps prints addresses. */
export const addressText = (addr: number): string => addr.toString(16).padStart(12, '0');

/** A line of /proc/PID/maps. */
export const vmaText = (vma: CanonicalVma): string =>
  `${addressText(vma.start)}-${addressText(vma.end)} ${vma.perms} ${vma.pgoff.toString(16).padStart(8, '0')} ${vma.backing}${vma.locked ? ' locked' : ''}`;

/** What a page is, apart from its place: neighbours that agree are printed as one line. */
function pageText(page: CanonicalPage): string {
  if (page.kind === 'swap') return page.excl_entry === true ? 'swapped out, exclusive' : 'swapped out';
  if (page.kind === 'migration')
    return `being migrated, ${page.writable ? 'writable' : page.excl_entry === true ? 'readable-exclusive' : 'readable'}`;
  if (page.kind !== 'present') return page.kind;
  const words = [page.backing ?? '', page.writable ? 'writable' : 'read-only', page.dirty === true ? 'dirty' : 'clean'];
  if (page.anon_exclusive === true) words.push('exclusive');
  if (page.swapcache === true) words.push('in the swap cache');
  if (page.protnone === true) words.push('PROT_NONE');
  words.push(`mapped ${page.mapcount}x`, `refs ${page.refcount}`);
  if (page.backing === 'anon' || page.backing === 'ksm') words.push(`bytes ${page.content}`);
  return words.join(', ');
}

/** Where the run of pages that are alike and stand side by side ends which begins at index `from`. */
export function endOfRun(pages: readonly CanonicalPage[], from: number): number {
  const first = pages[from] as CanonicalPage;
  let end = from + 1;
  while (end < pages.length) {
    const page = pages[end] as CanonicalPage;
    const consecutive = page.addr === first.addr + (end - from) * 4096;
    const sameFrameRun = typeof page.frame !== 'number' || page.frame === (first.frame as number) + (end - from);
    if (!consecutive || !sameFrameRun || pageText(page) !== pageText(first)) break;
    end++;
  }
  return end;
}

/** One line for the pages with indices [from, end), a run. */
export function runText(pages: readonly CanonicalPage[], from: number, end: number): string {
  const first = pages[from] as CanonicalPage;
  const n = end - from;
  const frames =
    typeof first.frame === 'number'
      ? n > 1
        ? ` frames ${first.frame}-${first.frame + n - 1}`
        : ` frame ${first.frame}`
      : '';
  return `${addressText(first.addr)} ${n > 1 ? `${n} pages` : '1 page'}${frames}: ${pageText(first)}`;
}

/** A line for each run of `pages`. */
export function runTexts(pages: readonly CanonicalPage[]): string[] {
  const lines: string[] = [];
  for (let next = 0; next < pages.length;) {
    const end = endOfRun(pages, next);
    lines.push(runText(pages, next, end));
    next = end;
  }
  return lines;
}
