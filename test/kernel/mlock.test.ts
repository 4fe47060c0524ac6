import { describe, expect, it } from 'vitest';
import { MLOCK_COUNT_SHIFT, MlockKind, PG_LRU, PG_MLOCKED, PG_UNEVICTABLE, cpuAt } from '../../reducers/state.js';
import type { PageView } from '../../reducers/state.js';
import { VM_LOCKED } from '../../reducers/vma.js';
import { ranWell } from '../support/workload.js';

const A = '1 mmap(NULL, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = A\n';
const HOLE = `${A}1 munmap(A+0x2000, 0x1000) = 0\n`;

describe('mlock', () => {
  it('writes to private writable pages, reads others, and counts them', () => {
    const ran = ranWell(`${A}
1 mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = R
1 mlock(A, 0x4000) = 0
1 mlock(R, 0x1000) = 0
`);
    expect(ran.mm(1)).toMatchObject({ lockedVm: 5, rss: [0, 4, 0, 0] });
    expect(ran.count('ZeroPageMapped')).toBe(1);
  });
  it('breaks copy-on-write', () => {
    const ran = ranWell(`${A}1 store(A, 1)\n1 fork() = 2\n1 mlock(A, 0x1000) = 0`);
    expect(ran.exclusive(1, ran.addr('A'))).toBe(true);
  });
  it('takes whole pages for any start and length, and nothing for none', () => {
    expect(ranWell(`${A}1 mlock(A+0xfff, 2) = 0`).mm(1).lockedVm).toBe(2);
    expect(ranWell(`${A}1 mlock(A, 0) = 0\n1 mlock(A+0x9000, 0) = 0`).mm(1).lockedVm).toBe(0);
  });
  it('stops at a hole with ENOMEM; what came before stays locked, but is not faulted in', () => {
    const ran = ranWell(`${HOLE}1 mlock(A, 0x4000) = -1 ENOMEM`);
    expect(ran.mm(1)).toMatchObject({ lockedVm: 2, rss: [0, 0, 0, 0] });
  });
  it('locks PROT_NONE, but says ENOMEM', () => {
    expect(ranWell(`${A}1 mprotect(A, 0x1000, PROT_NONE) = 0\n1 mlock(A, 0x1000) = -1 ENOMEM`).mm(1).lockedVm).toBe(1);
  });
  it('heeds RLIMIT_MEMLOCK', () => {
    ranWell(`${A}1 mlock(A, 0x2000) = 0\n1 mlock(A+0x2000, 0x1000) = -1 ENOMEM`, { machine: { memlockLimit: 0x2000 } });
  });
  it('on fault locks without faulting in, and knows no other flags', () => {
    expect(ranWell(`${A}1 mlock2(A, 0x1000, 1) = 0\n1 mlock2(A, 0x1000, 2) = -1 EINVAL`).mm(1)).toMatchObject({
      lockedVm: 1,
      rss: [0, 0, 0, 0],
    });
  });
  it('is undone by munlock, which merges again', () => {
    const ran = ranWell(
      `${A}1 mlock(A+0x1000, 0x1000) = 0\n1 munlock(A, 0x4000) = 0\n1 munlock(A, 0x9000) = -1 ENOMEM`,
    );
    expect(ran.vmas(1)).toHaveLength(1);
    expect(ran.mm(1).lockedVm).toBe(0);
  });
});

describe('mlockall', () => {
  it('locks what is there, or what will come, or both', () => {
    const current = ranWell(
      `${A}1 mlockall(MCL_CURRENT) = 0\n1 mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)`,
    );
    expect(current.mm(1)).toMatchObject({ lockedVm: 4, rss: [0, 4, 0, 0] });
    const future = ranWell(
      `${A}1 mlockall(MCL_FUTURE) = 0\n1 mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)`,
    );
    expect(future.mm(1).lockedVm).toBe(1);
  });
  it('refuses no flags, unknown flags, and MCL_ONFAULT alone', () => {
    ranWell('1 mlockall(0) = -1 EINVAL\n1 mlockall(8) = -1 EINVAL\n1 mlockall(MCL_ONFAULT) = -1 EINVAL');
  });
  it('is undone by munlockall', () => {
    const ran = ranWell(`${A}1 mlockall(MCL_CURRENT|MCL_FUTURE) = 0\n1 munlockall() = 0`);
    expect(ran.mm(1)).toMatchObject({ lockedVm: 0, defFlags: 0 });
    expect(ran.vmas(1).some((vma) => (vma.flags & VM_LOCKED) !== 0)).toBe(false);
  });
});

describe('msync', () => {
  it('refuses unknown flags, both kinds of sync, and an unaligned start', () => {
    ranWell(`${A}
1 msync(A, 0x1000, 8) = -1 EINVAL
1 msync(A, 0x1000, MS_ASYNC|MS_SYNC) = -1 EINVAL
1 msync(A+8, 0x1000, MS_SYNC) = -1 EINVAL
1 msync(A, 0x1000, 0) = 0
1 msync(A, 0x4000, MS_SYNC|MS_INVALIDATE) = 0
`);
  });
  it('says ENOMEM for a hole and for a range that wraps, and nothing for none', () => {
    ranWell(`${HOLE}
1 msync(A, 0x4000, MS_ASYNC) = -1 ENOMEM
1 msync(A, 0x4000, MS_SYNC) = -1 ENOMEM
1 msync(A, 0xfffffffffffff000, MS_SYNC) = -1 ENOMEM
1 msync(A+0x2000, 0, MS_SYNC) = 0
`);
  });
  it('cannot invalidate locked pages, even behind a hole', () => {
    ranWell(`${HOLE}1 mlock(A+0x3000, 0x1000) = 0\n1 msync(A, 0x4000, MS_INVALIDATE) = -1 EBUSY`);
  });
});

describe('mincore', () => {
  it('refuses an unaligned start and says ENOMEM for a hole', () => {
    ranWell(`${HOLE}
1 mincore(A+8, 0x1000) = -1 EINVAL
1 mincore(A, 0x4000) = -1 ENOMEM
1 mincore(A, 0x2000) = 0
1 mincore(A+0x2000, 0) = 0
`);
  });
});

describe('the mlock batch', () => {
  const ONFAULT = `${A}1 mlock2(A, 0x4000, 1) = 0\n`;
  const SHARED = '1 mmap(NULL, 0x2000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = S\n';
  const lockState = ({ flags }: PageView): string =>
    [
      (flags & PG_LRU) === 0 ? 'off' : 'lru',
      (flags & PG_MLOCKED) === 0 ? '' : 'mlocked',
      (flags & PG_UNEVICTABLE) === 0 ? '' : `unevictable ${flags >>> MLOCK_COUNT_SHIFT}`,
    ]
      .filter((word) => word !== '')
      .join(' ');

  it('takes a new page of a locked mapping instead of the batch of new pages, with a reference', () => {
    const waiting = ranWell(`${ONFAULT}1 store(A, 1)`);
    const pfn = waiting.pfn(1, waiting.addr('A'));
    expect(cpuAt(waiting.run.view, 0)).toEqual({ lruAdd: [], lruLazyfree: [], mlock: [pfn, MlockKind.mlockNew] });
    expect(waiting.page(1, waiting.addr('A')).ref).toBe(2);
    expect(lockState(waiting.page(1, waiting.addr('A')))).toBe('off mlocked');
    const drained = ranWell(`${ONFAULT}1 store(A, 1)\n1 lru_add_drain()`);
    expect(drained.page(1, drained.addr('A')).ref).toBe(1);
    expect(lockState(drained.page(1, drained.addr('A')))).toBe('lru mlocked unevictable 1');
  });
  it('counts the mlocks of a page, and lets go with the last', () => {
    const both = `${SHARED}1 mlock(S, 0x1000) = 0\n1 fork() = 2\n2 mlock(S, 0x1000) = 0\n`;
    const twice = ranWell(both);
    expect(lockState(twice.page(1, twice.addr('S')))).toBe('lru mlocked unevictable 2');
    const once = ranWell(`${both}1 munlock(S, 0x1000) = 0`);
    expect(lockState(once.page(1, once.addr('S')))).toBe('lru mlocked unevictable 1');
    const none = ranWell(`${both}1 munlock(S, 0x1000) = 0\n2 munmap(S, 0x1000) = 0\n2 lru_add_drain()`);
    expect(lockState(none.page(1, none.addr('S')))).toBe('lru');
  });
  it('leaves a page that was unlocked and locked in one batch evictable', () => {
    const ran = ranWell(`${SHARED}1 mlock2(S, 0x1000, 1) = 0\n1 load(S)\n1 lru_add_drain()
1 madvise(S, 0x1000, MADV_DONTNEED_LOCKED) = 0\n1 load(S)\n1 lru_add_drain()`);
    expect(lockState(ran.page(1, ran.addr('S')))).toBe('lru');
  });
  it('does not count a page that is off the LRU: it is unevictable by none when it comes there', () => {
    const text = `1 mmap(NULL, 0x1e000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = B
${SHARED}1 mlock2(S, 0x1000, 1) = 0\n1 mlock2(B, 0x1e000, 1) = 0\n1 store(S, 1)\n`;
    const stores = Array.from({ length: 30 }, (_, i) => `1 store(B+${i * 4096}, 1)\n`).join('');
    const full = ranWell(text + stores);
    expect(cpuAt(full.run.view, 0)).toMatchObject({ lruAdd: [full.pfn(1, full.addr('S'))], mlock: [] });
    expect(lockState(full.page(1, full.addr('S')))).toBe('off mlocked');
    const drained = ranWell(`${text}${stores}1 lru_add_drain()`);
    expect(lockState(drained.page(1, drained.addr('S')))).toBe('lru mlocked unevictable 0');
    expect(drained.count('FoliosUnevictable')).toBe(1);
  });
  it('holds a page that nobody maps any more until it is emptied; a free one is not mlocked', () => {
    const text = `${ONFAULT}1 store(A, 1)\n1 munmap(A, 0x4000) = 0\n`;
    expect(ranWell(text).run.view.freeHead).toBe(-1);
    const drained = ranWell(`${text}1 lru_add_drain()`);
    expect(drained.run.view.freeHead).toBeGreaterThanOrEqual(0);
    expect(drained.events.at(-1)).toMatchObject({
      type: 'MlockBatchDrained',
      pages: [],
      freed: [expect.any(Number), 1],
    });
  });
  it('is emptied by a write fault on a page in it', () => {
    const ran = ranWell(`${ONFAULT}1 store(A, 1)\n1 fork() = 2\n2 exit_group(0)\n1 store(A, 2)`);
    expect(ran.count('CowPageMapped')).toBe(0);
    expect(cpuAt(ran.run.view, 0).mlock).toEqual([]);
  });
  it('is not there where nothing is locked', () => {
    const ran = ranWell(`${A}1 store(A, 1)\n1 fork() = 2\n2 store(A, 2)\n1 munmap(A, 0x4000) = 0`);
    expect(ran.count('MlockBatched') + ran.count('MlockBatchDrained')).toBe(0);
  });
});
