// Calls on descriptors refuse what Linux 6.18 was seen to refuse, with its errno, before they change anything.
import { describe, expect, it } from 'vitest';
import { ranWell, runWorkload } from '../support/workload.js';

const OPEN = `inode("/data", 0, 20000, 1)
1 openat(AT_FDCWD, "/data", O_RDWR) = 3
1 openat(AT_FDCWD, "/data", O_RDONLY) = 4
1 memfd_create("m", 0) = 5
`;

describe('sizes', () => {
  it('stay as they are where ftruncate is refused', () => {
    const ran = ranWell(`${OPEN}1 ftruncate(4, 100) = -1 EINVAL
1 ftruncate(3, -1) = -1 EINVAL
1 ftruncate(5, -4096) = -1 EINVAL
1 ftruncate(9, -1) = -1 EINVAL
1 ftruncate(9, 0) = -1 EBADF
`);
    expect(ran.count('InodeResized')).toBe(0);
  });
  it('and fallocate: the range is looked at before the way the file was opened', () => {
    const ran = ranWell(`${OPEN}1 fallocate(4, 0, 0, 100) = -1 EBADF
1 fallocate(4, 0, 0, 0) = -1 EINVAL
1 fallocate(4, 0, -1, 1) = -1 EINVAL
1 fallocate(5, 0, -4096, 4096) = -1 EINVAL
1 fallocate(5, 0, 4096, -4096) = -1 EINVAL
1 fallocate(5, 0, 0x4000000000000000, 0x4000000000000000) = -1 EFBIG
1 fallocate(9, 0, 0, 0) = -1 EBADF
`);
    expect(ran.count('InodeResized')).toBe(0);
    expect(ran.count('PageCacheAdded')).toBe(0);
  });
  it('beyond what the model counts are named, not guessed', () => {
    expect(() => runWorkload(`${OPEN}1 ftruncate(5, 0x1000000000000000)`)).toThrow('not modelled: files of 2^53');
    expect(() => runWorkload(`${OPEN}1 fallocate(5, 0, 0, 0x1000000000000)`)).toThrow(
      'not modelled: fallocate of more',
    );
  });
});

describe('dup2 and dup3', () => {
  it('refuse targets that are no descriptors, and dup3 the same one', () => {
    const ran = ranWell(`${OPEN}1 dup2(3, -1) = -1 EBADF
1 dup3(3, -1, 0) = -1 EBADF
1 dup3(3, 3, 0) = -1 EINVAL
1 dup3(9, 9, 0) = -1 EINVAL
1 dup2(9, 9) = -1 EBADF
1 dup2(3, 3) = 3
1 dup3(3, 8, 0) = 8
`);
    expect(Object.keys(ran.run.view.files[1] ?? {}).toSorted()).toEqual(['3', '4', '5', '8']);
  });
});
