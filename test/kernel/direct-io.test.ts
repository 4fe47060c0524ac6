// Direct reads and writes on the model alone: older kernels, recordings, what is refused, and what the disk keeps.
import { describe, expect, it } from 'vitest';
import { contentText } from '../../reducers/content.js';
import { diskContent } from '../../reducers/disk.js';
import { behavioursOf, withBehaviours } from '../../src/kernel/behaviours.js';
import { NotModelledError } from '../../src/lib/errors.js';
import { auditOf } from '../support/audited.js';
import { runOperations } from '../support/projected.js';
import { parseWorkload, ranWell, runWorkload } from '../support/workload.js';

const OPEN = `inode("f", 0, 0x4000, 1)
1 openat(AT_FDCWD, "f", O_RDWR) = 3
1 openat(AT_FDCWD, "f", O_RDWR|O_DIRECT) = 4
1 mmap(NULL, 0x4000, RW, PRIV|ANON, -1, 0) = A
1 mmap(NULL, 0x4000, RW, SH, 3, 0) = F
`;

describe('a direct write', () => {
  it('leaves its bytes on the disk, which whoever maps the file reads', () => {
    const ran = ranWell(`${OPEN}1 store(A, 0x11, P)
1 pwrite64(4, A, 1024, 512) = 1024
1 load(F+512, 1024) = 0x11
1 store(F, 0x22, 512)
1 pread64(4, A+P, P, 0) = 4096
1 load(A+P, 512) = 0x22
1 load(A+P+512, 1024) = 0x11
`);
    expect(contentText(diskContent(ran.run.view, 1, 0))).toBe('file(1,0)+0:512=0x22+512:1024=0x11');
    expect(contentText(diskContent(ran.run.view, 1, 1))).toBe('file(1,1)');
  });
  it('is forgotten where the file was cut, and zeros come in its place', () => {
    const ran = ranWell(`${OPEN}1 store(A, 0x11, 2*P)
1 pwrite64(4, A, 2*P, 2*P) = 8192
1 ftruncate(3, 0x3000) = 0
1 ftruncate(3, 0x4000) = 0
1 pread64(4, A+2*P, 2*P, 2*P) = 8192
1 load(A+2*P, P) = 0x11
1 load(A+3*P, P) = 0
`);
    expect(Object.keys(ran.run.view.disks[1] ?? {})).toEqual(['2']);
  });
  it('copied no shared page before it took pins', () => {
    const text = `${OPEN}1 store(A, 0x11)\n1 fork() = 2\n1 pwrite64(4, A, P, 0) = 4096`;
    const now = ranWell(text);
    expect(now.exclusive(1, now.addr('A'))).toBe(true);
    const before = runWorkload(text, { without: ['direct-io-pins'] });
    expect(before.exclusive(1, before.addr('A'))).toBe(false);
    expect(behavioursOf('6.4')['direct-io-pins']).toBe(false);
    expect(behavioursOf('6.5')['direct-io-pins']).toBe(true);
  });
});

describe('a direct read', () => {
  it('is no leak, nor breaks any other rule, with pins or plain references', () => {
    const text = `${OPEN}1 store(A, 0x11, 4*P)\n1 fork() = 2\n1 pread64(4, A, 4*P, 0) = 16384\n2 load(A, 4*P) = 0x11`;
    for (const behaviours of [behavioursOf('6.18'), withBehaviours(behavioursOf('6.18'), [], ['direct-io-pins'])])
      expect(auditOf(runOperations(parseWorkload(text), behaviours), behaviours)).toEqual([]);
  });
  it('gives all references back, also where it fails', () => {
    const ran = ranWell(`${OPEN}1 munmap(A+P, P) = 0
1 pread64(4, A, 2*P, 0) = EFAULT
1 pread64(4, A, 100, 0) = EINVAL
1 pwrite64(4, A, 2*P, 0) = EFAULT
`);
    expect(ran.run.view.holders.filter((each) => each !== null)).toEqual([]);
    expect(ran.count('PageGrabbed')).toBe(ran.count('HeldPageReleased'));
  });
  it('is refused by name where the layout on the disk decides how much of it is done', () => {
    expect(() => runWorkload(`${OPEN}1 pread64(4, A, 5000, 0)`)).toThrow(NotModelledError);
    expect(() => runWorkload(`${OPEN}1 pread64(4, A+100, 2*P, 0)`)).toThrow('no multiples of 512');
  });
});

it('shared memory takes O_DIRECT and goes on as ever', () => {
  ranWell(`1 openat(AT_FDCWD, "/dev/shm/x", O_RDWR|O_DIRECT) = 3
1 ftruncate(3, 0x2000) = 0
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11, P)
1 pwrite64(3, A, 100, 7) = 100
`);
});
