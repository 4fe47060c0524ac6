// What disks hold of files, and reducers for events/disk.ts.
import type { DiskEvent } from '../events/index.js';
import { PAGE_SIZE, copiedContent, writtenContent } from './content.js';
import type { Reducers } from './index.js';
import type { Content, KernelState, KernelView } from './state.js';
import { InodeKind, PG_ANON, pageOf } from './state.js';

/** Was page `index` of the file written to its disk since it came into view? */
export const wasWritten = (state: KernelView, inode: number, index: number): boolean =>
  state.disks[inode]?.[index] !== undefined;

/** Bytes of page `index` as the disk of the file has them: what was written last, or what it held at first; zeros behind that. */
export function diskContent(state: KernelView, inode: number, index: number): Content | null {
  const written = state.disks[inode]?.[index];
  if (written !== undefined) return written;
  const data = state.inodes[inode]?.data ?? -1;
  const first: Content = { fill: 0, inode, index, runs: [] };
  const known = data < 0 ? PAGE_SIZE : data - index * PAGE_SIZE;
  if (known <= 0) return null;
  return known >= PAGE_SIZE ? first : writtenContent(first, known, PAGE_SIZE - known, 0);
}

const write = (state: KernelState, inode: number, index: number, content: Content | null): void => {
  (state.disks[inode] ??= {})[index] = content;
};

/** A page of the cache went to its disk. */
export function writeBack(state: KernelState, pfn: number): void {
  const page = pageOf(state, pfn);
  if (!page || (page.flags & PG_ANON) !== 0 || state.inodes[page.mapping]?.kind !== InodeKind.file) return;
  write(state, page.mapping, page.index, page.content);
}

/** The file became so short: what lies behind is no longer its own. */
export function cutDisk(state: KernelState, inode: number, size: number): void {
  const pages = state.disks[inode];
  if (pages === undefined) return;
  for (const index of Object.keys(pages)) if (Number(index) * PAGE_SIZE >= size) delete pages[Number(index)];
  if (Object.keys(pages).length === 0) delete state.disks[inode];
}

export const diskReducers: Reducers<DiskEvent['type']> = {
  DirectRead(state, { inode, index, offset, length, pfn, pfnOffset }) {
    const page = pageOf(state, pfn);
    if (page) page.content = copiedContent(page.content, pfnOffset, diskContent(state, inode, index), offset, length);
  },
  DirectWritten(state, { inode, index, offset, length, from, fromOffset }) {
    const source = from < 0 ? null : (pageOf(state, from)?.content ?? null);
    write(state, inode, index, copiedContent(diskContent(state, inode, index), offset, source, fromOffset, length));
  },
};
