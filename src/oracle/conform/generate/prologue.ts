// Files and memory objects that areas need before anything else.
import type { Draft } from './picture.js';
import { PAGE } from './places.js';
import type { Backing } from './space.js';

const AT_FDCWD = -100;
const O_RDONLY = 0;
const O_RDWR = 2;
/** Seven pages, the last one partly. */
export const FILE_BYTES = 6 * PAGE + 100;
const MEMFD_BYTES = 4 * PAGE;

function openFile(draft: Draft, name: string, flags: number): void {
  const { first } = draft;
  // Kind 0 is a file; 1: all of its pages are in the page cache.
  draft.add(null, 'inode', { text: name }, 0, FILE_BYTES, 1);
  draft.add(first, 'openat', AT_FDCWD, { text: name }, flags);
  first.files.set(draft.freeFd(first), {
    backing: { kind: 'file', bytes: FILE_BYTES, dense: FILE_BYTES },
    writable: flags === O_RDWR,
  });
}

/** A file open for reading and writing. */
export const openData = (draft: Draft): void => openFile(draft, '/data', O_RDWR);

/** Another file, open for reading only. */
export const openReadOnly = (draft: Draft): void => openFile(draft, '/readonly', O_RDONLY);

/** A memory object of four pages. */
export function openMemory(draft: Draft): void {
  const { first } = draft;
  draft.add(first, 'memfd_create', { text: 'm' }, 0);
  const fd = draft.freeFd(first);
  const backing: Backing = { kind: 'memfd', bytes: MEMFD_BYTES, dense: 0 };
  first.files.set(fd, { backing, writable: true });
  draft.add(first, 'ftruncate', fd, MEMFD_BYTES);
}

const O_CREAT = 0o100;
const TMPFS_PAGES = 8;

/** Two files in a tmpfs that has no room for all of both. */
export function openTmpfs(draft: Draft): void {
  const { first } = draft;
  draft.add(first, 'mount', { text: 'tmpfs' }, { text: 't' }, { text: 'tmpfs' }, 0, {
    text: `size=${TMPFS_PAGES * 4}k`,
  });
  for (const name of ['t/f', 't/g']) {
    draft.add(first, 'openat', AT_FDCWD, { text: name }, O_RDWR | O_CREAT, 0o600);
    const fd = draft.freeFd(first);
    first.files.set(fd, { backing: { kind: 'memfd', bytes: MEMFD_BYTES, dense: 0 }, writable: true });
    draft.add(first, 'ftruncate', fd, MEMFD_BYTES);
  }
}
