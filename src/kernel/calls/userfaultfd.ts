// userfaultfd(2), its ioctls, and poll(2) on it. Structures are as strace prints them, or their numbers one after the other.
import type { OpenFile } from '../../../reducers/state.js';
import type { UffdView } from '../../../reducers/uffd-state.js';
import { InodeKind } from '../../../reducers/state.js';
import { NotModelledError } from '../../lib/errors.js';
import { isStruct, isText } from '../../workload/operation.js';
import type { Value } from '../../workload/operation.js';
import type { Call, Got, Handler } from '../call.js';
import { badArgument, cIntArg, fromKernel, intArg } from '../call.js';
import { createInode, fileArg, installFd } from '../files.js';
import { releaseUnreachable } from '../fput.js';
import type { Kernel, KernelThread } from '../kernel.js';
import { EAGAIN, EBADF, EFAULT, EINVAL, ESRCH, currentTask } from '../kernel.js';
import { isChanging } from '../uffd-events.js';
import { mfillAtomic } from '../uffd-fill.js';
import type { FillMode } from '../uffd-fill.js';
import { movePages } from '../uffd-move.js';
import { pollUserfaultfd, waitForMessage } from '../uffd-read.js';
import { mwriteprotectRange } from '../uffd-wp.js';
import { UFFD_USER_MODE_ONLY, uffdAt, wakeUserfault } from '../userfault.js';
import {
  isAlive,
  uffdOf,
  userfaultfdApi,
  userfaultfdRegister,
  userfaultfdUnregister,
  userfaultfdWake,
  validateRange,
  validateUnalignedRange,
} from '../userfaultfd.js';

const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

const UFFDIO = {
  API: 0xc018aa3f,
  REGISTER: 0xc020aa00,
  UNREGISTER: 0x8010aa01,
  WAKE: 0x8010aa02,
  COPY: 0xc028aa03,
  ZEROPAGE: 0xc020aa04,
  MOVE: 0xc028aa05,
  WRITEPROTECT: 0xc018aa06,
  CONTINUE: 0xc020aa07,
  POISON: 0xc020aa08,
} as const;
const NAMES = new Map<number, keyof typeof UFFDIO>(
  Object.entries(UFFDIO).map(([name, number]) => [number, name as keyof typeof UFFDIO]),
);

/** Fields of each structure that the caller fills, in order. */
const FIELDS: Readonly<Record<keyof typeof UFFDIO, readonly string[]>> = {
  API: ['api', 'features'],
  REGISTER: ['start', 'len', 'mode'],
  UNREGISTER: ['start', 'len'],
  WAKE: ['start', 'len'],
  COPY: ['dst', 'src', 'len', 'mode'],
  ZEROPAGE: ['start', 'len', 'mode'],
  MOVE: ['dst', 'src', 'len', 'mode'],
  WRITEPROTECT: ['start', 'len', 'mode'],
  CONTINUE: ['start', 'len', 'mode'],
  POISON: ['start', 'len', 'mode'],
};

const MODE_DONTWAKE = 1;
const MODE_WP = 2;
const WRITEPROTECT_WP = 1;
const WRITEPROTECT_DONTWAKE = 2;
const MOVE_ALLOW_SRC_HOLES = 2;
/** Modes that each ioctl knows. */
const MODES: Partial<Record<keyof typeof UFFDIO, number>> = {
  COPY: 3,
  ZEROPAGE: 1,
  MOVE: 3,
  WRITEPROTECT: 3,
  CONTINUE: 3,
  POISON: 1,
};

const numberOf = (value: Value): number => {
  if (typeof value === 'number') return value < 0 ? value + 2 ** 64 : value;
  return Number(typeof value === 'bigint' && value < 0n ? value + 2n ** 64n : value);
};

/** The structure of a call: numbers by field; null for a NULL pointer. What is not given is 0. */
function structArg(call: Call, names: readonly string[]): Readonly<Record<string, number>> | null {
  const given: Record<string, number> = {};
  const plain: number[] = [];
  const take = (fields: Readonly<Record<string, Value>>): void => {
    for (const [field, value] of Object.entries(fields)) {
      if (value !== null && isStruct(value)) take(value.fields);
      else if (typeof value === 'number' || typeof value === 'bigint' || value === null)
        given[field] = numberOf(value ?? 0);
    }
  };
  const rest = call.args.slice(2);
  if (rest.length === 1 && rest[0] === null) return null;
  for (const value of rest) {
    if (value !== null && isStruct(value)) take(value.fields);
    else if (typeof value === 'number' || typeof value === 'bigint' || value === null) plain.push(numberOf(value ?? 0));
    else throw badArgument(call, 2, `{${names.join(', ')}}`);
  }
  if (plain.length > 0 && call.recorded) throw new NotModelledError('an ioctl whose structure the trace does not show');
  const open = names.filter((name) => given[name] === undefined);
  plain.forEach((value, i) => {
    const name = open[i];
    if (name === undefined) throw badArgument(call, i + 2, `left out: ${call.name} takes ${names.join(', ')}`);
    given[name] = value;
  });
  return Object.fromEntries(names.map((name) => [name, given[name] ?? 0]));
}

type Fields = Readonly<Record<string, number>>;
const at = (fields: Fields, name: string): number => fields[name] as number;

/** The result of an ioctl that tells in a field how far it came: `out` bytes, or an errno. Less than all of it is EAGAIN. */
function progressed(out: number, length: number): Got {
  if (out === length) return { value: 0, out };
  return { errno: out < 0 ? errnoOf(out) : 'EAGAIN', out };
}
const errnoOf = (error: number): string => {
  const got = fromKernel(error);
  return got !== null && 'errno' in got ? got.errno : '';
};

/** A fill while somebody changes the mappings: nothing else is looked at. */
const whileChanging = (k: Kernel, context: UffdView): Got | undefined =>
  isChanging(k, context) ? { errno: 'EAGAIN', out: -EAGAIN } : undefined;

/** What COPY, ZEROPAGE, POISON and CONTINUE have in common: `userfaultfd_copy()` and its kin. */
function* fill(k: Kernel, call: Call, context: UffdView, name: keyof typeof UFFDIO, fields: Fields): KernelThread<Got> {
  const busy = whileChanging(k, context);
  if (busy !== undefined) return busy;
  const copies = name === 'COPY';
  const [start, length, mode] = [at(fields, copies ? 'dst' : 'start'), at(fields, 'len'), at(fields, 'mode')];
  const source = copies ? at(fields, 'src') : 0;
  const error = (copies ? validateUnalignedRange(source, length) : 0) || validateRange(start, length);
  if (error !== 0) return fromKernel(error);
  if ((mode & ~(MODES[name] as number)) !== 0 || mode > 3) return fromKernel(-EINVAL);
  if (!isAlive(k, context)) return fromKernel(-ESRCH);
  const protect = (mode & MODE_WP) !== 0;
  const kind = name.toLowerCase() as FillMode;
  const out = yield* mfillAtomic(k, call.tid, context, { mode: kind, start, length, source, protect });
  if (out > 0 && (mode & MODE_DONTWAKE) === 0) wakeUserfault(k, uffdAt(k, context.id), start, out);
  return progressed(out, length);
}

/** `userfaultfd_move()`. */
function* move(k: Kernel, call: Call, context: UffdView, fields: Fields): KernelThread<Got> {
  const busy = whileChanging(k, context);
  if (busy !== undefined) return busy;
  const [target, source, length, mode] = [at(fields, 'dst'), at(fields, 'src'), at(fields, 'len'), at(fields, 'mode')];
  if (currentTask(k, call.tid).mm !== context.mm) return fromKernel(-EINVAL);
  const error = validateRange(target, length) || validateRange(source, length);
  if (error !== 0) return fromKernel(error);
  if ((mode & ~(MODES['MOVE'] as number)) !== 0 || mode > 3) return fromKernel(-EINVAL);
  if (!isAlive(k, context)) return fromKernel(-ESRCH);
  const allowHoles = (mode & MOVE_ALLOW_SRC_HOLES) !== 0;
  const out = yield* movePages(k, context, { target, source, length, allowHoles, cpu: currentTask(k, call.tid).cpu });
  if (out > 0 && (mode & MODE_DONTWAKE) === 0) wakeUserfault(k, uffdAt(k, context.id), target, out);
  return progressed(out, length);
}

/** `userfaultfd_writeprotect()`. */
function writeprotect(k: Kernel, context: UffdView, fields: Fields): number {
  if (isChanging(k, context)) return -EAGAIN;
  const [start, length, mode] = [at(fields, 'start'), at(fields, 'len'), at(fields, 'mode')];
  const error = validateRange(start, length);
  if (error !== 0) return error;
  const [protects, dontWake] = [(mode & WRITEPROTECT_WP) !== 0, (mode & WRITEPROTECT_DONTWAKE) !== 0];
  if ((mode & ~3) !== 0 || mode > 3 || (protects && dontWake)) return -EINVAL;
  if (!isAlive(k, context)) return -ESRCH;
  const failed = mwriteprotectRange(k, context, start, start + length, protects);
  if (failed === 0 && !protects && !dontWake) wakeUserfault(k, uffdAt(k, context.id), start, length);
  return failed;
}

/** `userfaultfd_ioctl()`. */
function* ioctl(k: Kernel, call: Call, context: UffdView, command: number): KernelThread<Got> {
  const name = NAMES.get(command);
  if (name !== 'API' && context.features < 0) return fromKernel(-EINVAL);
  if (name === undefined) return fromKernel(-EINVAL);
  const fields = structArg(call, FIELDS[name]);
  // Where somebody changes the mappings that is told before anything is read, but a NULL pointer takes no answer either.
  if (fields === null) return fromKernel(name === 'WRITEPROTECT' && isChanging(k, context) ? -EAGAIN : -EFAULT);
  switch (name) {
    case 'API': {
      const features = userfaultfdApi(k, context, at(fields, 'api'), at(fields, 'features'));
      return features < 0 ? { errno: errnoOf(features), out: 0 } : { value: 0, out: features };
    }
    case 'REGISTER': {
      const ioctls = userfaultfdRegister(k, context, at(fields, 'start'), at(fields, 'len'), at(fields, 'mode'));
      return ioctls < 0 ? fromKernel(ioctls) : { value: 0, out: ioctls };
    }
    case 'UNREGISTER':
      return fromKernel(userfaultfdUnregister(k, context, at(fields, 'start'), at(fields, 'len')));
    case 'WAKE':
      return fromKernel(userfaultfdWake(k, context, at(fields, 'start'), at(fields, 'len')));
    case 'WRITEPROTECT':
      return fromKernel(writeprotect(k, context, fields));
    case 'MOVE':
      return yield* move(k, call, context, fields);
    default:
      return yield* fill(k, call, context, name, fields);
  }
}

/** The one descriptor of a `poll([{fd=U, events=POLLIN}], 1, 0)`. */
function polledFile(k: Kernel, call: Call): OpenFile | null {
  const [list] = call.args;
  const [only] = Array.isArray(list) ? (list as readonly Value[]) : [];
  if (only === undefined || only === null || !isStruct(only) || (list as readonly Value[]).length !== 1)
    throw new NotModelledError('poll of other than one descriptor');
  const fd = only.fields['fd'];
  return fileArg(k, { ...call, args: [fd ?? -1] }, 0);
}

const POLLNVAL = 32;

/** userfaultfd(2): `new_userfaultfd()`. Privileged, as all tasks of the model are. */
function* newUserfaultfd(k: Kernel, tid: number, flags: number): KernelThread<number> {
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)) !== 0) return -EINVAL;
  const inode = createInode(k, `anon_inode:[userfaultfd] ${k.view.inodes.length}`, InodeKind.uffd, 0, 0);
  const { mm } = currentTask(k, tid);
  k.emit({ type: 'UffdCreated', uffd: k.view.uffds.length, inode, mm, flags, features: -1 });
  return yield* installFd(k, tid, inode, flags & ~UFFD_USER_MODE_ONLY);
}

/** Handlers by name. */
export const USERFAULTFD_CALLS: Readonly<Record<string, Handler>> = {
  *userfaultfd(k, call) {
    const [first] = call.args;
    // In short, with features or nothing: the call and its handshake.
    const named = first !== undefined && first !== null && isStruct(first) ? first.fields['features'] : undefined;
    const both = call.args.length === 0 ? 0 : named;
    const flags = both === undefined ? cIntArg(call, 0, 0) : O_NONBLOCK | O_CLOEXEC;
    const fd = yield* newUserfaultfd(k, call.tid, flags);
    if (fd < 0 || both === undefined) return fromKernel(fd);
    const context = uffdOf(k, fileArg(k, { ...call, args: [fd] }, 0) as OpenFile) as UffdView;
    const answered = userfaultfdApi(k, context, 0xaa, Number(both));
    return answered < 0 ? fromKernel(answered) : { value: fd };
  },
  *ioctl(k, call) {
    if (typeof call.args[1] !== 'number' || call.args.some((value) => value !== null && isText(value)))
      throw new NotModelledError('ioctl');
    const file = fileArg(k, call, 0);
    if (file === null) return fromKernel(-EBADF);
    const context = uffdOf(k, file);
    const command = intArg(call, 1);
    if (context !== null) return yield* ioctl(k, call, context, command);
    throw new NotModelledError('ioctl of other than a userfaultfd');
  },
  *poll(k, call) {
    const file = polledFile(k, call);
    if (file === null) return { value: 1, out: POLLNVAL };
    if (uffdOf(k, file) === null) throw new NotModelledError('poll of other than a userfaultfd');
    let events = pollUserfaultfd(k, file);
    const timeout = cIntArg(call, 2, 0);
    if (events === 0 && timeout > 0) throw new NotModelledError('poll that waits for a time');
    if (timeout < 0) {
      for (; events === 0; events = pollUserfaultfd(k, file)) yield* waitForMessage(k, call.tid, file);
      // Somebody may have closed it meanwhile.
      releaseUnreachable(k, file.inode, currentTask(k, call.tid).cpu);
    }
    return { value: events === 0 ? 0 : 1, out: events };
  },
};
