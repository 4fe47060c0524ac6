// What rss_stat would print for the model's events: one point per counter change, in the kernel's order.
import type { KernelEvent } from '../../events/index.js';
import { MM_ANONPAGES, MM_FILEPAGES, MM_SHMEMPAGES } from '../../reducers/state.js';

/** A counter of an address space changed by `delta` pages; `vpn` is a page concerned, -1 for none. */
export interface RssPoint {
  readonly mm: number;
  readonly type: number;
  readonly delta: number;
  readonly vpn: number;
  /** From a walk over a page table, which Linux may interrupt and resume: its change may come in several parts. */
  readonly divisible: boolean;
}

/** Appends the points of `event` to `points`. */
export function appendRssPoints(points: RssPoint[], event: KernelEvent): void {
  switch (event.type) {
    case 'AnonPageMapped':
      add(points, event.mm, MM_ANONPAGES, event.rssAnon, event.vpn);
      return;
    case 'AnonPagesMapped':
      add(points, event.mm, MM_ANONPAGES, event.rssAnon, event.runs[0] ?? -1);
      return;
    case 'HugePageMapped':
    case 'HugePageCollapsed':
    case 'PmdZapped':
      add(points, event.mm, MM_ANONPAGES, event.rssAnon, event.vpn);
      return;
    case 'PmdCopied':
      add(points, event.child, MM_ANONPAGES, event.rssAnon, event.vpn, true);
      return;
    case 'ArgPagesAccounted':
      add(points, event.mm, MM_ANONPAGES, event.rssAnon, -1);
      return;
    case 'CowPageMapped':
      // The old page's counter first: dec_mm_counter(), then inc_mm_counter().
      add(points, event.mm, MM_FILEPAGES, event.rssFile, event.vpn);
      add(points, event.mm, MM_SHMEMPAGES, event.rssShmem, event.vpn);
      add(points, event.mm, MM_ANONPAGES, event.rssAnon, event.vpn);
      return;
    case 'FilePagesMapped':
      add(points, event.mm, MM_FILEPAGES, event.rssFile, event.runs[0] ?? -1);
      add(points, event.mm, MM_SHMEMPAGES, event.rssShmem, event.runs[0] ?? -1);
      return;
    case 'PtesCopied':
    case 'PtesZapped': {
      const mm = event.type === 'PtesCopied' ? event.child : event.mm;
      const vpn = (event.type === 'PtesCopied' ? (event.file[0] ?? event.anon[0]) : event.runs[0]) ?? -1;
      add(points, mm, MM_FILEPAGES, event.rssFile, vpn, true);
      add(points, mm, MM_ANONPAGES, event.rssAnon, vpn, true);
      add(points, mm, MM_SHMEMPAGES, event.rssShmem, vpn, true);
      return;
    }
    default:
      return;
  }
}

function add(points: RssPoint[], mm: number, type: number, delta: number, vpn: number, divisible = false): void {
  if (delta !== 0) points.push({ mm, type, delta, vpn, divisible });
}
