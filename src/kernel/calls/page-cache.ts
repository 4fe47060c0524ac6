// What a recording tells of files and the page cache.
import { InodeKind } from '../../../reducers/state.js';
import type { Call, Handler } from '../call.js';
import { badArgument, cIntArg, intArg, listArg, textArg } from '../call.js';
import { FILE_PAGES_MAX, grabPage, removeCachedPages } from '../filemap.js';
import { createInode, inodeNamed } from '../files.js';
import type { Kernel } from '../kernel.js';
import { currentTask } from '../kernel.js';
import { growTo } from '../truncate.js';

/** [first page, how many] as arguments `at` and the next one say. */
function pageRange(call: Call, at: number): readonly [index: number, count: number] {
  const [index, count] = [intArg(call, at), intArg(call, at + 1)];
  if (index + count > FILE_PAGES_MAX) throw badArgument(call, at, 'a page of a file of at most 1 TiB');
  return [index, count];
}

function addCachedPages(k: Kernel, inode: number, index: number, count: number, cpu: number): void {
  if (k.view.inodes[inode]?.kind === InodeKind.shmem) {
    growTo(k, inode, (index + count) * 4096);
    for (let i = 0; i < count; i++) grabPage(k, inode, index + i, cpu);
    return;
  }
  // Forgetting a known hole makes the page cached again; its frame comes with the first mapping.
  k.emit({ type: 'PageCacheHolesForgotten', inode, runs: [index, count] });
}

/** Handlers by name. */
export const PAGE_CACHE_CALLS: Readonly<Record<string, Handler>> = {
  *inode(k, call) {
    const name = textArg(call, 0);
    if (k.view.inodeByName[name] === undefined)
      createInode(k, name, intArg(call, 1), cIntArg(call, 2), intArg(call, 3, 1));
    return null;
  },
  *inode_size(k, call) {
    const inode = inodeNamed(k, textArg(call, 0));
    const size = intArg(call, 1);
    if (k.view.inodes[inode]?.size !== size) k.emit({ type: 'InodeResized', inode, size, data: size });
    return null;
  },
  *cache_holes(k, call) {
    const runs = listArg(call, 1);
    const sound = runs.every(
      (each, i) => each >= 0 && (i % 2 === 0 || each + (runs[i - 1] as number) <= FILE_PAGES_MAX),
    );
    if (!sound || runs.length % 2 !== 0)
      throw badArgument(call, 1, 'a list of pages and how many, in a file of at most 1 TiB');
    k.emit({ type: 'PageCacheHolesNoted', inode: inodeNamed(k, textArg(call, 0)), runs: [...runs] });
    return null;
  },
  *cache_add(k, call) {
    // Content the recording does not follow (write, readahead): the pages count as cached from here on.
    const inode = inodeNamed(k, textArg(call, 0));
    const [index, count] = pageRange(call, 1);
    const { cpu } = call.tid === 0 ? { cpu: 0 } : currentTask(k, call.tid);
    addCachedPages(k, inode, index, count, cpu);
    return null;
  },
  *cache_remove(k, call) {
    const [index, count] = pageRange(call, 1);
    removeCachedPages(k, inodeNamed(k, textArg(call, 0)), index, index + count);
    return null;
  },
};
