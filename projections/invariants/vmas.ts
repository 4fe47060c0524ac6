// Rules on mappings: how stacks grow, what mremap hands on, and that sealed ones stay as they are.
import { VM_ACCESS, VM_GROWSDOWN, VM_SEALED, VM_SHARED, VM_WRITE, findVmaIndex } from '../../reducers/vma.js';
import { FrameKind } from '../facts/frames.js';
import type { Audited, EventInvariant, Report } from './invariant.js';

const rule = { about: 'event', since: 'all', aliases: [], needs: [], knownBroken: [], at: 'event' } as const;
const sealed = { ...rule, since: '6.10', needs: ['mseal'] } as const;

/** What CVE-2017-1000364 was mended with: bytes that stay free below a growing mapping. */
const STACK_GUARD_GAP = 256 * 4096;
/** vm.mmap_min_addr as distributions have it. */
const MMAP_MIN_ADDR = 65_536;

/** mremap(2) with old size 0 made `flags` of a mapping at `start` grow or come into being. */
function duplicated(
  { mm, start }: { readonly mm: number; readonly start: number },
  flags: number,
  { operation }: Audited,
  report: Report,
): void {
  if (operation?.name === 'mremap' && operation.args[1] === 0 && (flags & VM_SHARED) === 0)
    report(
      { kind: 'vma', mm, start },
      { expected: 'a second view of shared memory', found: 'private memory that shows other bytes' },
    );
}

/** Calls after which nothing of an address space is left. */
const TAKE_ALL: ReadonlySet<string> = new Set(['exit', 'exit_group', 'exit_mm', 'execve', 'begin_new_exec']);

/** Reports that the sealed VMA at `start` is changed by something that leaves the address space. */
function stays(
  { mm, start }: { readonly mm: number; readonly start: number },
  { facts, operation }: Audited,
  report: Report,
  change: (flags: number, end: number) => string | null,
): void {
  if (operation === null || TAKE_ALL.has(operation.name)) return;
  const vma = facts.vmas.at(mm, start);
  if (vma === undefined || (vma.flags & VM_SEALED) === 0) return;
  const found = change(vma.flags, vma.end);
  if (found !== null) report({ kind: 'vma', mm, start }, { expected: 'a sealed mapping that stays as it is', found });
}

export const vmaInvariants: readonly EventInvariant[] = [
  {
    ...rule,
    name: 'growsdown-keeps-gap',
    formula: 'a mapping that grows down stays 256 pages away from what is accessible below it and does not grow itself',
    source: 'expand_downwards(): stack_guard_gap; CVE-2017-1000364',
    severity: 1,
    after: {
      VmaResized({ mm, start, newStart }, { view }, report) {
        const vmas = view.mms[mm]?.vmas ?? [];
        const at = newStart < start && view.mms[mm] ? findVmaIndex(view.mms[mm], newStart) : -1;
        const below = vmas[at - 1];
        if (below === undefined || ((vmas[at]?.flags ?? 0) & VM_GROWSDOWN) === 0) return;
        if ((below.flags & VM_GROWSDOWN) !== 0 || (below.flags & VM_ACCESS) === 0) return;
        if (newStart - below.end < STACK_GUARD_GAP)
          report({ kind: 'vma', mm, start: newStart }, { expected: '256 pages', found: (newStart - below.end) / 4096 });
      },
    },
  },
  {
    ...rule,
    name: 'no-growth-below-min-addr',
    aliases: ['no-vma-below-min-addr'],
    formula: 'no mapping grows down below vm.mmap_min_addr',
    source: 'expand_downwards(); CVE-2019-9213',
    severity: 1,
    after: {
      VmaResized({ mm, start, newStart }, _audited, report) {
        if (newStart < start && newStart < MMAP_MIN_ADDR)
          report({ kind: 'vma', mm, start: newStart }, { expected: `at least ${MMAP_MIN_ADDR}`, found: newStart });
      },
    },
  },
  {
    ...rule,
    name: 'moved-mapping-shows-old-contents',
    formula: 'mremap with old size 0 duplicates shared mappings only: a private one would show other bytes',
    source: 'check_prep_vma(), vma_to_resize(): "old_len == 0"',
    severity: 3,
    after: {
      VmaInserted: (event, audited, report) => duplicated(event, event.flags, audited, report),
    },
    before: {
      VmaResized(event, audited, report) {
        const vma = audited.facts.vmas.at(event.mm, event.start);
        if (vma !== undefined) duplicated(event, vma.flags, audited, report);
      },
    },
  },
  {
    ...sealed,
    name: 'sealed-mapping-stays',
    formula:
      'until its address space goes a sealed mapping is not removed or made smaller, keeps its rights, and stays sealed',
    source: 'mseal(2); vma_is_sealed()',
    severity: 1,
    before: {
      VmaRemoved: (event, audited, report) => stays(event, audited, report, () => 'it is removed'),
      VmaResized: (event, audited, report) =>
        stays(event, audited, report, (_flags, end) =>
          event.newStart > event.start || event.newEnd < end ? 'it is made smaller' : null,
        ),
      VmaFlagsChanged: (event, audited, report) =>
        stays(event, audited, report, (flags) =>
          ((flags ^ event.flags) & (VM_ACCESS | VM_SEALED)) === 0 ? null : 'other rights',
        ),
    },
  },
  {
    ...sealed,
    name: 'sealed-contents-stay',
    aliases: ['sealed-mapping-contents-constant'],
    formula: 'advice takes no private page away from a sealed mapping that may not be written to',
    source: 'mseal(2): "destructive" advice; can_madvise_modify()',
    severity: 2,
    knownBroken: ['6.10 and later, on purpose: private mappings of files that were written to'],
    before: {
      PtesZapped({ mm, runs }, { facts, operation }, report) {
        if (operation?.name !== 'madvise') return;
        for (let i = 0; i + 3 < runs.length; i += 4) {
          const [vpn, pfn] = [runs[i] as number, runs[i + 1] as number];
          const vma = facts.vmas.at(mm, vpn * 4096);
          if (vma === undefined || (vma.flags & (VM_SEALED | VM_WRITE | VM_SHARED)) !== VM_SEALED) continue;
          if (facts.frames.kind[pfn] === FrameKind.anon)
            report({ kind: 'entry', mm, vpn }, { expected: `frame ${pfn}`, found: 'none: it is given up' });
        }
      },
    },
  },
];
