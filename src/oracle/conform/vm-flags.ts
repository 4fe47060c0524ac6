// The two-letter codes of a mapping's flags in /proc/PID/smaps, as far as the model has the flags.
import {
  VM_ACCOUNT,
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_DONTEXPAND,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_IO,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MAYBE_GUARD,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_MIXEDMAP,
  VM_PFNMAP,
  VM_RAND_READ,
  VM_READ,
  VM_SEALED,
  VM_SEQ_READ,
  VM_SHARED,
  VM_SOFTDIRTY,
  VM_UFFD_MINOR,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
  VM_WIPEONFORK,
  VM_WRITE,
} from '../../../reducers/vma.js';

/** As `show_smap_vma_flags()` prints them. */
const CODES: readonly (readonly [number, string])[] = [
  [VM_READ, 'rd'],
  [VM_WRITE, 'wr'],
  [VM_EXEC, 'ex'],
  [VM_SHARED, 'sh'],
  [VM_MAYREAD, 'mr'],
  [VM_MAYWRITE, 'mw'],
  [VM_MAYEXEC, 'me'],
  [VM_MAYSHARE, 'ms'],
  [VM_GROWSDOWN, 'gd'],
  [VM_PFNMAP, 'pf'],
  [VM_MAYBE_GUARD, 'gu'],
  [VM_LOCKED, 'lo'],
  [VM_IO, 'io'],
  [VM_SEQ_READ, 'sr'],
  [VM_RAND_READ, 'rr'],
  [VM_DONTCOPY, 'dc'],
  [VM_DONTEXPAND, 'de'],
  [VM_LOCKONFAULT, 'lf'],
  [VM_ACCOUNT, 'ac'],
  [VM_NORESERVE, 'nr'],
  [VM_HUGETLB, 'ht'],
  [VM_WIPEONFORK, 'wf'],
  [VM_MIXEDMAP, 'mm'],
  [VM_DONTDUMP, 'dd'],
  [VM_SOFTDIRTY, 'sd'],
  [VM_MERGEABLE, 'mg'],
  [VM_HUGEPAGE, 'hg'],
  [VM_NOHUGEPAGE, 'nh'],
  [VM_SEALED, 'sl'],
  [VM_UFFD_MISSING, 'um'],
  [VM_UFFD_WP, 'uw'],
  [VM_UFFD_MINOR, 'ui'],
];
const KNOWN: ReadonlySet<string> = new Set(CODES.map(([, code]) => code));

/** The codes of `flags`, in a fixed order. */
export const flagCodes = (flags: number): string =>
  CODES.filter(([flag]) => (flags & flag) !== 0)
    .map(([, code]) => code)
    .join(' ');

/** Those of the kernel's codes that the model has, in the same order. */
export function knownCodes(text: string): string {
  const have = new Set(text.trim().split(' '));
  return CODES.filter(([, code]) => KNOWN.has(code) && have.has(code))
    .map(([, code]) => code)
    .join(' ');
}
