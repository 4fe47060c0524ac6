// What KSM knows of pages, from its events alone: rmap items by process, and how many of them each merged page has.
import type { KernelView } from '../../reducers/state.js';

interface Item {
  node: number;
  unstable: boolean;
}

const NO_ITEMS: ReadonlyMap<number, Item> = new Map();

/** Rmap items. Counts follow from them. */
export class KsmFacts {
  /** By mm and vpn. */
  readonly #items = new Map<number, Map<number, Item>>();
  /** Items of each node that has any. */
  readonly #linked = new Map<number, number>();
  /** Items in the unstable tree. */
  unshared = 0;

  add(mm: number, vpn: number): void {
    const items = this.#items.get(mm);
    if (items === undefined) this.#items.set(mm, new Map([[vpn, { node: 0, unstable: false }]]));
    else items.set(vpn, { node: 0, unstable: false });
  }

  remove(mm: number, vpn: number): void {
    this.link(mm, vpn, 0);
    this.setUnstable(mm, vpn, false);
    const items = this.#items.get(mm);
    items?.delete(vpn);
    if (items?.size === 0) this.#items.delete(mm);
  }

  /** The item belongs to `node` of the stable tree, 0 to none. */
  link(mm: number, vpn: number, node: number): void {
    const item = this.#items.get(mm)?.get(vpn);
    if (item === undefined) return;
    const others = (this.#linked.get(item.node) ?? 0) - 1;
    if (item.node !== 0 && others > 0) this.#linked.set(item.node, others);
    else this.#linked.delete(item.node);
    item.node = node;
    if (node !== 0) this.#linked.set(node, (this.#linked.get(node) ?? 0) + 1);
  }

  setUnstable(mm: number, vpn: number, unstable: boolean): void {
    const item = this.#items.get(mm)?.get(vpn);
    if (item === undefined || item.unstable === unstable) return;
    item.unstable = unstable;
    this.unshared += unstable ? 1 : -1;
  }

  /** ksm_rmap_items. */
  items(mm: number): number {
    return (this.#items.get(mm) ?? NO_ITEMS).size;
  }
  /** ksm_merging_pages. */
  merging(mm: number): number {
    let count = 0;
    for (const { node } of (this.#items.get(mm) ?? NO_ITEMS).values()) if (node !== 0) count++;
    return count;
  }
  /** pages_shared: merged pages. */
  get shared(): number {
    return this.#linked.size;
  }
  /** pages_sharing: how many pages they save. */
  get sharing(): number {
    let count = 0;
    for (const items of this.#linked.values()) count += items - 1;
    return count;
  }

  /** Takes in all that stands in `state`. */
  read({ ksm }: KernelView): void {
    for (const { mm, items } of ksm.slots)
      for (const { vpn, node, unstable } of items) {
        this.add(mm, vpn);
        this.link(mm, vpn, node);
        this.setUnstable(mm, vpn, unstable === 1);
      }
  }
}
