// System calls on mappings: mmap(2) and its kin.
import { InodeKind } from '../../../reducers/state.js';
import { NotModelledError } from '../../lib/errors.js';
import type { Call, Handler } from '../call.js';
import { cIntArg, fromKernel, intArg } from '../call.js';
import { NO_FILE, fileArg } from '../files.js';
import { doMadvise } from '../madvise.js';
import { doMincore, doMlock, doMlockall, doMsync, doMunlock, doMunlockall } from '../mlock.js';
import { doBrk, doMmap, vmMunmap } from '../mmap.js';
import { doMprotect } from '../mprotect.js';
import { doMremap } from '../mremap.js';
import { doMseal } from '../mseal.js';

function mlockArgs(call: Call): readonly [number, number] {
  return [intArg(call, 0), intArg(call, 1)];
}

/** Handlers by name. */
export const MEMORY_CALLS: Readonly<Record<string, Handler>> = {
  *mmap(k, call) {
    const flags = cIntArg(call, 3);
    const anonymous = (flags & 0x20) !== 0;
    const file = anonymous ? null : fileArg(k, call, 4);
    const kind = file === null ? 0 : (k.view.inodes[file.inode]?.kind ?? 0);
    if (kind >= InodeKind.pipe && kind !== InodeKind.ring && kind !== InodeKind.hugetlbfs)
      throw new NotModelledError('mmap of a pipe or /proc/PID/mem');
    const zero = file !== null && k.view.inodes[file.inode]?.name === '/dev/zero' && (flags & 0xf) === 2;
    return fromKernel(
      yield* doMmap(k, call.tid, {
        addr: intArg(call, 0),
        length: intArg(call, 1),
        prot: cIntArg(call, 2),
        flags: zero ? flags | 0x20 : flags,
        // Recordings do not show every open: what maps the same file is taken to map it through the same one.
        file: zero || file === null ? null : call.recorded ? { ...file, file: NO_FILE } : file,
        offset: intArg(call, 5, 0),
        recorded: call.recorded,
      }),
    );
  },
  *munmap(k, call) {
    return fromKernel(yield* vmMunmap(k, call.tid, intArg(call, 0), intArg(call, 1)));
  },
  *mprotect(k, call) {
    return fromKernel(yield* doMprotect(k, call.tid, intArg(call, 0), intArg(call, 1), cIntArg(call, 2)));
  },
  *pkey_mprotect(k, call) {
    if (cIntArg(call, 3) !== -1) throw new NotModelledError('protection keys');
    return fromKernel(yield* doMprotect(k, call.tid, intArg(call, 0), intArg(call, 1), cIntArg(call, 2)));
  },
  *mremap(k, call) {
    return fromKernel(
      yield* doMremap(k, call.tid, {
        addr: intArg(call, 0),
        oldLength: intArg(call, 1),
        newLength: intArg(call, 2),
        flags: cIntArg(call, 3, 0),
        newAddr: intArg(call, 4, 0),
      }),
    );
  },
  *brk(k, call) {
    return fromKernel(yield* doBrk(k, call.tid, intArg(call, 0)));
  },
  *madvise(k, call) {
    return fromKernel(yield* doMadvise(k, call.tid, intArg(call, 0), intArg(call, 1), cIntArg(call, 2)));
  },
  *mseal(k, call) {
    return fromKernel(doMseal(k, call.tid, intArg(call, 0), intArg(call, 1), intArg(call, 2)));
  },
  *mlock(k, call) {
    return fromKernel(yield* doMlock(k, call.tid, ...mlockArgs(call), 0));
  },
  *mlock2(k, call) {
    return fromKernel(yield* doMlock(k, call.tid, ...mlockArgs(call), cIntArg(call, 2)));
  },
  *munlock(k, call) {
    return fromKernel(doMunlock(k, call.tid, ...mlockArgs(call)));
  },
  *mlockall(k, call) {
    return fromKernel(yield* doMlockall(k, call.tid, cIntArg(call, 0)));
  },
  *munlockall(k, call) {
    return fromKernel(doMunlockall(k, call.tid));
  },
  *msync(k, call) {
    return fromKernel(doMsync(k, call.tid, intArg(call, 0), intArg(call, 1), cIntArg(call, 2)));
  },
  *mincore(k, call) {
    return fromKernel(doMincore(k, call.tid, intArg(call, 0), intArg(call, 1)));
  },
};
