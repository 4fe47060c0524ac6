// What a recording tells of files and the page cache.
import { InodeKind } from '../../../reducers/state.js';
import type { Handler } from '../call.js';
import { cIntArg, intArg, listArg, textArg } from '../call.js';
import { grabPage } from '../filemap.js';
import { createInode, inodeNamed } from '../files.js';
import type { Kernel } from '../kernel.js';
import { currentTask } from '../kernel.js';
import { growTo, removeCachedPages } from '../truncate.js';

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
    k.emit({ type: 'PageCacheHolesNoted', inode: inodeNamed(k, textArg(call, 0)), runs: [...listArg(call, 1)] });
    return null;
  },
  *cache_add(k, call) {
    // Content the recording does not follow (write, readahead): the pages count as cached from here on.
    const inode = inodeNamed(k, textArg(call, 0));
    const [index, count] = [intArg(call, 1), intArg(call, 2)];
    const { cpu } = call.tid === 0 ? { cpu: 0 } : currentTask(k, call.tid);
    addCachedPages(k, inode, index, count, cpu);
    return null;
  },
  *cache_remove(k, call) {
    const index = intArg(call, 1);
    removeCachedPages(k, inodeNamed(k, textArg(call, 0)), index, index + intArg(call, 2));
    return null;
  },
};
