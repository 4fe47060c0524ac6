// Files in memory whose blocks are accounted: what there is of each to be counted.
import type { InodeFacts } from './facts.js';

/** What of a file in memory is neither cached nor nothing. */
export interface ShmemFile {
  /** The tmpfs that it lies in, -1 for none of a name. */
  readonly sb: number;
  /** It pays for each page; otherwise for its size. */
  readonly noreserve: boolean;
  /** Clean holes that reclaim dropped, still accounted until somebody counts. */
  readonly dropped: Set<number>;
  /** Slots of pages swapped out, by index. */
  readonly swapped: Map<number, number>;
}

/** Pages of the file that are accounted: cached, swapped out, dropped unnoticed. */
export const shmemPages = (file: ShmemFile, { pages }: Pick<InodeFacts, 'pages'>): number =>
  pages.size + file.swapped.size + file.dropped.size;

/** Pages that the file is charged with against the commit limit. */
export const shmemCommitted = (file: ShmemFile, inode: Pick<InodeFacts, 'pages' | 'size'>): number =>
  file.noreserve ? shmemPages(file, inode) : Math.ceil(Math.max(inode.size, 0) / 4096);
