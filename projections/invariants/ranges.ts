// Ranges of addresses whose entries must be looked at again when an operation ends, because what they are checked against changed:
// a VMA went, shrank, lost rights, or came to belong to another anon_vma or offset; a file in memory became shorter.
import type { KernelEvent } from '../../events/index.js';
import { InodeKind } from '../../reducers/state.js';
import { VM_SHARED, VM_WRITE } from '../../reducers/vma.js';
import type { Facts } from '../facts/facts.js';
import type { VmaFacts } from '../facts/vmas.js';

interface Range {
  readonly mm: number;
  /** Bytes. */
  readonly from: number;
  readonly to: number;
  readonly cause: number;
}

/** Where the page of offset 0 would be: entries keep their index as long as it stays. */
const origin = ({ start, pgoff }: VmaFacts): number => start - pgoff * 4096;

export class RangesToCheck {
  readonly #facts: Facts;
  #ranges: Range[] = [];

  constructor(facts: Facts) {
    this.#facts = facts;
  }

  /** Event `number` is about to be folded: the facts are still those before it. */
  note(event: KernelEvent, number: number): void {
    switch (event.type) {
      case 'VmaRemoved': {
        const old = this.#vma(event.mm, event.start);
        if (old) this.#add(event.mm, old.start, old.end, number);
        break;
      }
      case 'VmaResized': {
        const old = this.#vma(event.mm, event.start);
        if (!old) break;
        const { mm, newStart, newEnd, newPgoff } = event;
        this.#add(mm, old.start, Math.min(newStart, old.end), number);
        this.#add(mm, Math.max(newEnd, old.start), old.end, number);
        if (newStart - newPgoff * 4096 !== origin(old)) this.#add(mm, newStart, newEnd, number);
        break;
      }
      case 'VmaFlagsChanged': {
        const old = this.#vma(event.mm, event.start);
        const lost = old ? (old.flags & ~event.flags & VM_WRITE) | ((old.flags ^ event.flags) & VM_SHARED) : 0;
        if (old && lost !== 0) this.#add(event.mm, old.start, old.end, number);
        break;
      }
      case 'VmaAnonVmaSet': {
        const old = this.#vma(event.mm, event.start);
        if (old && old.anonVma !== 0) this.#add(event.mm, old.start, old.end, number);
        break;
      }
      case 'VmaMerged': {
        const [low, high] = this.#facts.vmas.pair(event.mm, event.start);
        if (!low || !high) break;
        const whole = origin(low) === origin(high);
        if (!whole || (high.anonVma !== 0 && high.anonVma !== event.anonVma))
          this.#add(event.mm, high.start, high.end, number);
        if (low.anonVma !== 0 && low.anonVma !== event.anonVma) this.#add(event.mm, low.start, low.end, number);
        break;
      }
      case 'InodeResized': {
        const inode = this.#facts.inodes.get(event.inode);
        if (inode?.kind === InodeKind.shmem && event.size < inode.size) this.#addMappings(event.inode, number);
        break;
      }
      default:
    }
  }

  /** Hands out all ranges (in vpns), and forgets them. */
  atRest(check: (mm: number, from: number, to: number, cause: number) => void): void {
    if (this.#ranges.length === 0) return;
    for (const { mm, from, to, cause } of this.#ranges) check(mm, from / 4096, to / 4096, cause);
    this.#ranges = [];
  }

  /** All that maps the file. */
  #addMappings(inode: number, number: number): void {
    for (const [mm, { list }] of this.#facts.vmas.mms)
      for (const vma of list) if (vma.inode === inode) this.#add(mm, vma.start, vma.end, number);
  }

  #vma(mm: number, start: number): VmaFacts | undefined {
    return this.#facts.vmas.pair(mm, start)[0];
  }

  #add(mm: number, from: number, to: number, cause: number): void {
    if (from < to) this.#ranges.push({ mm, from, to, cause });
  }
}
