// ptrace(2) as far as it moves memory: PEEKDATA and POKEDATA, kernel/ptrace.c. One word of another process, by force (FOLL_FORCE): what is not
// readable is read, what is not writable is written to privately.
import { HolderKind } from '../../reducers/state.js';
import { NotModelledError } from '../lib/errors.js';
import type { Call, Got } from './call.js';
import { cIntArg, fromKernel, intArg } from './call.js';
import { createHolder, keepAllocated, removeHolder } from './holders.js';
import type { Kernel, KernelThread } from './kernel.js';
import { EFAULT, EIO, EPERM, ESRCH, currentTask } from './kernel.js';
import { markDirty } from './filemap.js';
import { allocPage } from './page-alloc.js';
import { accessRemoteVm } from './proc-mem.js';
import { copyToUser, emitCopy } from './uaccess.js';

const PTRACE_PEEKTEXT = 1;
const PTRACE_PEEKDATA = 2;
const PTRACE_POKETEXT = 4;
const PTRACE_POKEDATA = 5;
const WORD = 8;

/**
 * `generic_ptrace_peekdata()`, `generic_ptrace_pokedata()`: ptrace(PTRACE_PEEKDATA, pid, addr, to) and ptrace(PTRACE_POKEDATA, pid, addr, word).
 * The other process is taken to be attached and stopped before, and let go afterwards. -EPERM for one's own process, -EIO where the word cannot be
 * had whole; of one that lies in two pages the first part is written all the same.
 */
export function* doPtrace(k: Kernel, call: Call): KernelThread<Got> {
  const request = cIntArg(call, 0);
  const peeks = request === PTRACE_PEEKDATA || request === PTRACE_PEEKTEXT;
  if (!peeks && request !== PTRACE_POKEDATA && request !== PTRACE_POKETEXT)
    throw new NotModelledError('ptrace but for PEEKDATA and POKEDATA');
  const task = k.view.tasks[cIntArg(call, 1)];
  if (task === undefined || task.mm === 0 || task.exited === 1) return fromKernel(-ESRCH);
  if (task.tgid === currentTask(k, call.tid).tgid) return fromKernel(-EPERM);
  const { tid } = call;
  const { mm } = task;
  const addr = intArg(call, 2);
  return fromKernel(peeks ? yield* peek(k, tid, mm, addr, intArg(call, 3, 0)) : yield* poke(k, tid, mm, addr, call));
}

/** The word goes through the kernel's stack, for which a page of nobody's stands here, and from there to the caller. */
function* peek(k: Kernel, tid: number, mm: number, addr: number, to: number): KernelThread<number> {
  const holder = createHolder(k, HolderKind.pin, tid, 0);
  const word = allocPage(k);
  keepAllocated(k, holder, word, WORD);
  const got = yield* accessRemoteVm(k, { tid, mm, write: false }, addr, WORD, ({ pfn, offset, length }, at) =>
    emitCopy(k, word, at, pfn, offset, length),
  );
  let result = got === WORD ? 0 : -EIO;
  if (result === 0 && (yield* copyToUser(k, tid, to, WORD, { from: word, offset: 0 })).kind === 'signal')
    result = -EFAULT;
  removeHolder(k, holder);
  return result;
}

function* poke(k: Kernel, tid: number, mm: number, addr: number, call: Call): KernelThread<number> {
  const bytes = wordBytes(call);
  const got = yield* accessRemoteVm(k, { tid, mm, write: true }, addr, WORD, ({ pfn, offset, length }, at) => {
    if (pfn < 0) return;
    for (let from = at; from < at + length;) {
      let to = from + 1;
      while (to < at + length && bytes[to] === bytes[from]) to++;
      const byte = bytes[from] as number;
      k.emit({ type: 'PageWritten', pfn, offset: offset + from - at, length: to - from, byte });
      from = to;
    }
    markDirty(k, pfn);
  });
  return got === WORD ? 0 : -EIO;
}

/** Argument 3 as the bytes of a word, lowest first. */
function wordBytes(call: Call): readonly number[] {
  const value = call.args[3];
  // As a double -1 would lose its low bits.
  const exact = typeof value === 'bigint' || typeof value === 'number' ? BigInt(value) : BigInt(intArg(call, 3, 0));
  const word = BigInt.asUintN(64, exact);
  return Array.from({ length: WORD }, (_, i) => Number((word >> BigInt(8 * i)) & 0xffn));
}
