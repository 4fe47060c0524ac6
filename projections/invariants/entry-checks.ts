// Running the rules on entries: one entry when it is written, a range of them when what they are checked against changed.
import { PTE_SPECIAL, PTE_WRITE, PTRS_PER_PTE, isHugePte, isSwapPte } from '../../reducers/pte.js';
import type { VmaView } from '../../reducers/state.js';
import { PG_ANON } from '../../reducers/state.js';
import { vmaLookup } from '../../reducers/vma.js';
import { mappedPfn } from '../facts/mappings.js';
import type { Findings } from './findings.js';
import type { Audited, EntryClass, EntryInvariant, EntrySite } from './invariant.js';

export class EntryChecks {
  readonly #audited: Audited;
  readonly #findings: Findings;
  readonly #rules: Readonly<Record<EntryClass, readonly EntryInvariant[]>>;
  /** VMA of the last entry of this event. */
  #vma: VmaView | null = null;
  readonly #site: EntrySite = { mm: 0, vpn: 0, entry: 0, pfn: -1, page: null, vma: null };

  constructor(audited: Audited, rules: readonly EntryInvariant[], findings: Findings) {
    this.#audited = audited;
    this.#findings = findings;
    const of = (wanted: EntryClass): readonly EntryInvariant[] => rules.filter((rule) => rule.of === wanted);
    this.#rules = {
      any: of('any'),
      writable: of('writable'),
      special: of('special'),
      anon: of('anon'),
      swap: of('swap'),
    };
  }

  /** An event was applied: VMAs are looked up anew. */
  begin(): void {
    this.#vma = null;
  }

  /** Checks `entry` at `vpn`, not empty. Where it only got other flags (not `whole`), what concerns its page and place still holds. */
  one(mm: number, vpn: number, entry: number, whole: boolean, cause: number): void {
    const site = this.#site;
    const pfn = mappedPfn(entry);
    site.vma = this.#vmaAt(mm, vpn * 4096);
    site.mm = mm;
    site.vpn = vpn;
    site.entry = entry;
    site.pfn = pfn;
    site.page = pfn < 0 ? null : (this.#audited.view.memMap[pfn >>> 8]?.[pfn & 255] ?? null);
    if ((entry & PTE_WRITE) !== 0) this.#run(this.#rules.writable, cause);
    else this.#cease(this.#rules.writable);
    if ((entry & PTE_SPECIAL) !== 0) this.#run(this.#rules.special, cause);
    else this.#cease(this.#rules.special);
    if (isSwapPte(entry)) this.#run(this.#rules.swap, cause);
    else this.#cease(this.#rules.swap);
    if (!whole) return;
    this.#run(this.#rules.any, cause);
    if (site.page !== null && (site.page.flags & PG_ANON) !== 0) this.#run(this.#rules.anon, cause);
    else this.#cease(this.#rules.anon);
  }

  /** The entry at `vpn` is empty now: no rule speaks of it. */
  emptied(mm: number, vpn: number): void {
    const site = this.#site;
    site.mm = mm;
    site.vpn = vpn;
    for (const rules of Object.values(this.#rules)) this.#cease(rules);
  }

  /** Checks all entries in [from, to) vpns. */
  range(mm: number, from: number, to: number, cause: number): void {
    const { facts } = this.#audited;
    const space = facts.mappings.of(mm);
    if (space === undefined) return;
    this.begin();
    facts.mappings.forEachEntry(space, from, to, (vpn, entry) => {
      // A huge entry is looked at as one.
      if (!isHugePte(entry) || vpn % PTRS_PER_PTE === 0) this.one(mm, vpn, entry, true, cause);
    });
  }

  /** The VMA at `addr`; most often the one of the entry before. */
  #vmaAt(mm: number, addr: number): VmaView | null {
    const last = this.#vma;
    if (last !== null && this.#site.mm === mm && addr >= last.start && addr < last.end) return last;
    const space = this.#audited.view.mms[mm];
    this.#vma = space ? vmaLookup(space, addr) : null;
    return this.#vma;
  }

  /** `rules` do not speak of the entry as it is now. */
  #cease(rules: readonly EntryInvariant[]): void {
    if (!this.#findings.someOpen) return;
    const { mm, vpn } = this.#site;
    for (const rule of rules)
      if (this.#findings.isOpen(rule)) this.#findings.checked(rule, { kind: 'entry', mm, vpn }, null, 0);
  }

  #run(rules: readonly EntryInvariant[], cause: number): void {
    const site = this.#site;
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i] as EntryInvariant;
      const finding = rule.check(site, this.#audited);
      if (finding !== null || this.#findings.isOpen(rule))
        this.#findings.checked(rule, { kind: 'entry', mm: site.mm, vpn: site.vpn }, finding, cause);
    }
  }
}
