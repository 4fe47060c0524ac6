// Rules on what a userfaultfd's monitor puts into mappings, and on faults on what a file has: the install step, minor faults, poison.
import { PTE_DIRTY, isPoisonedPteMarker } from '../../reducers/pte.js';
import { InodeKind, PG_ANON, pageAt } from '../../reducers/state.js';
import { VM_SHARED } from '../../reducers/vma.js';
import type { VmaFacts } from '../facts/vmas.js';
import type { Audited, EventInvariant, Report } from './invariant.js';
import { byIoctl } from './userfaultfd.js';

const rule = { about: 'event', since: '4.3', aliases: [], needs: [], knownBroken: [], at: 'event' } as const;

const UFFD_PAGEFAULT_FLAG_MINOR = 4;
const UFFDIO_CONTINUE = 0xc020aa07;

/** `linear_page_index()`. */
const pageIndex = ({ start, pgoff }: VmaFacts, vpn: number): number => vpn - start / 4096 + pgoff;

/** Frame `pfn`, which a monitor mapped as a page of the file at (mm, vpn): is it that very page? One that is new in a private mapping is no file's. */
function isFilesPage(mm: number, vpn: number, pfn: number, fresh: boolean, { view, facts }: Audited): boolean {
  const vma = facts.vmas.at(mm, vpn * 4096);
  if (vma === undefined || pfn >= view.maxPfn) return true;
  const { flags, mapping, index } = pageAt(view, pfn);
  if (fresh && (vma.flags & VM_SHARED) === 0) return false;
  return (flags & PG_ANON) === 0 && mapping === vma.inode && index === pageIndex(vma, vpn);
}

/** Is it a fill that maps a page of a file, and not the fault in which a copy reads its source? What is new has no reference to give (`ref` 0); CONTINUE takes no faults. */
const fills = ({ operation }: Audited, ref: number): boolean => ref === 0 || operation?.args[1] === UFFDIO_CONTINUE;

/** Something came to (mm, vpn) where a poison marker was, by a fault. */
function afterPoison(mm: number, vpn: number, audited: Audited, report: Report): void {
  const space = audited.facts.mappings.of(mm);
  if (byIoctl(audited) || space === undefined || !isPoisonedPteMarker(audited.facts.mappings.at(space, vpn))) return;
  report({ kind: 'entry', mm, vpn }, { expected: 'a poison marker', found: 'a page in its place' });
}

const clean = { expected: 'a dirty entry', found: 'a clean one' } as const;

export const uffdFillInvariants: readonly EventInvariant[] = [
  {
    ...rule,
    name: 'uffd-fill-fresh',
    aliases: ['fill-fresh', 'private-fill-no-file'],
    formula:
      'what a monitor maps as a page of a file is the file’s page at that place; what it brings to a private mapping is anonymous',
    source: 'mfill_atomic_install_pte(): page_in_cache',
    severity: 1,
    after: {
      FilePagesMapped({ mm, runs, ref }, audited, report) {
        if (!byIoctl(audited) || !fills(audited, ref)) return;
        for (let i = 0; i + 2 < runs.length; i += 3)
          for (let j = 0; j < runs[i + 2]!; j++) {
            const [vpn, pfn] = [runs[i]! + j, runs[i + 1]! + j];
            if (!isFilesPage(mm, vpn, pfn, ref === 0, audited))
              report({ kind: 'entry', mm, vpn }, { expected: 'the file’s page there', found: `frame ${pfn}` });
          }
      },
    },
  },
  {
    ...rule,
    name: 'uffd-fill-dirty',
    aliases: ['dirty-fill'],
    formula: 'UFFDIO_COPY and UFFDIO_CONTINUE install dirty entries',
    source: 'mfill_atomic_install_pte(): pte_mkdirty()',
    severity: 1,
    since: '5.16',
    needs: ['uffd-install-pte-dirty'],
    after: {
      AnonPageMapped({ mm, vpn, entry }, audited, report) {
        if (byIoctl(audited) && (entry & PTE_DIRTY) === 0) report({ kind: 'entry', mm, vpn }, clean);
      },
      FilePagesMapped({ mm, runs, flags, ref }, audited, report) {
        if (byIoctl(audited) && fills(audited, ref) && (flags & PTE_DIRTY) === 0)
          report({ kind: 'entry', mm, vpn: runs[0] ?? 0 }, clean);
      },
    },
  },
  {
    ...rule,
    name: 'uffd-minor-has-page',
    aliases: ['minor-implies-cache'],
    formula: 'a task sleeps in a minor fault only where the file has a page, be it swapped out',
    source: 'shmem_get_folio_gfp(): userfaultfd_minor()',
    severity: 2,
    since: '5.14',
    after: {
      UffdFaultQueued({ uffd, tid, addr, flags }, { view, facts }, report) {
        const mm = view.uffds[uffd]?.mm ?? 0;
        const vma = facts.vmas.at(mm, addr);
        if ((flags & UFFD_PAGEFAULT_FLAG_MINOR) === 0 || view.inodes[vma?.inode ?? 0]?.kind !== InodeKind.shmem) return;
        const { inode = 0 } = vma ?? {};
        const index = vma === undefined ? 0 : pageIndex(vma, Math.floor(addr / 4096));
        if (facts.inodes.get(inode)?.pages.has(index) || facts.shmem.get(inode)?.swapped.has(index)) return;
        report(
          { kind: 'machine', what: `task ${tid}, which sleeps` },
          { expected: `page ${index} of the file`, found: 'none' },
        );
      },
    },
  },
  {
    ...rule,
    name: 'uffd-poison-stays',
    aliases: ['poison-sticky'],
    formula: 'no fault brings a page to where UFFDIO_POISON put a marker',
    source: 'handle_pte_marker(): VM_FAULT_HWPOISON',
    severity: 1,
    since: '6.6',
    before: {
      AnonPageMapped: ({ mm, vpn }, audited, report) => afterPoison(mm, vpn, audited, report),
      ZeroPageMapped: ({ mm, vpn }, audited, report) => afterPoison(mm, vpn, audited, report),
      FilePagesMapped({ mm, runs }, audited, report) {
        for (let i = 0; i + 2 < runs.length; i += 3)
          for (let j = 0; j < runs[i + 2]!; j++) afterPoison(mm, runs[i]! + j, audited, report);
      },
    },
  },
];
