// Syzkaller programs as operations: what the executor does before a call, and the call.
import { InputError } from '../../lib/errors.js';
import { inputError } from '../text/line.js';
import { ScanError } from '../text/scanner.js';
import type { LineParser, Operation, OperationSink, Value } from '../operation.js';
import { NO_RESULT } from '../operation.js';
import type { CallShape, Passing } from './calls.js';
import { SYZ_CALLS } from './calls.js';
import { pointedBytes, storesOf } from './copy-in.js';
import { SyzScanner } from './scanner.js';
import type { Arg, SyzCall } from './syntax.js';

/** What a call gave: its number, of a pipe its two descriptors; null where it failed or nobody knows. */
export interface SyzSink extends OperationSink {
  operation(operation: Operation): readonly number[] | null;
}

/** Addresses in a program are written from here on; where they are the executor decides. */
const WRITTEN_BASE = 0x7f0000000000n;
const WRITTEN_SIZE = 0x1000000n;
/** Where its data area is, as in programs in C; a page without access stands on either side. */
const DATA = 0x20000000;
const DATA_SIZE = 0x1000000;
const PAGE = 4096;
const MAP_FLAGS = 0x32;

const PID = 1;
/** Bytes of a name that matter: a longer one is refused before it is read. */
const TEXT_MAX = 256;
const INT_BYTES = 4;
/** What a resource is that no call gave. */
const NO_RESOURCE = 2n ** 64n - 1n;
const CLONE_VM = 0x100;
const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

const asValue = (value: bigint): number | bigint => (value <= SAFE && value >= -SAFE ? Number(value) : value);

/** A part of a program that is not known; the call is counted, not guessed at. */
class UnknownError extends Error {}

/** Header of options, separators of a log of programs. */
const NO_CALL = /^\s*(?:#|$|(?:\d\d:\d\d:\d\d )?executing program\b)/;

/**
 * Reads a program line by line. The calls are done one after the other by one task, also those that say `async`; the program is done once,
 * whatever its options say. Throws InputError with line and column.
 */
export class SyzParser implements LineParser {
  readonly #sink: SyzSink;
  readonly #lenient: boolean;
  readonly #scanner = new SyzScanner();
  /** Null: the call that should have given it was not done. */
  readonly #resources = new Map<string, bigint | null>();
  readonly #children: number[] = [];
  #line = 0;
  #begun = false;
  #ended = false;

  constructor(sink: SyzSink, options: { readonly lenient: boolean }) {
    this.#sink = sink;
    this.#lenient = options.lenient;
  }

  line(text: string, number: number): void {
    this.#line = number;
    if (NO_CALL.test(text)) return;
    let call: SyzCall | null;
    try {
      call = this.#scanner.line(text);
    } catch (error) {
      if (!(error instanceof ScanError)) throw error;
      if (!this.#lenient) throw inputError(error, number);
      this.#sink.skipped('not understood', number);
      return;
    }
    if (call !== null) this.#call(call);
  }

  /** The children of syz_clone() leave when the program is over. */
  end(): void {
    if (!this.#begun) return;
    for (const child of this.#children) this.#do('exit', [0], child);
  }

  #call(call: SyzCall): void {
    if (this.#ended) return this.#skip(`${call.fullName}, behind exit_group`, call);
    this.#begin();
    for (let time = 0; time < call.times && !this.#ended; time++) {
      for (const { address, bytes } of storesOf(call.args, this.#meanings)) this.#store(address, bytes);
      this.#once(call);
    }
  }

  /** `SYSCALL_PATH`: mappings that the executor makes before the first call. */
  #begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    const map = (address: number, length: number, prot: number): void =>
      void this.#do('mmap', [address, length, prot, MAP_FLAGS, -1, 0]);
    map(DATA - PAGE, PAGE, 0);
    map(DATA, DATA_SIZE, 7);
    map(DATA + DATA_SIZE, PAGE, 0);
  }

  /** Bytes as stores of equal ones; a fault in between is survived, as the executor survives it, and ends the copy. */
  #store(address: number, bytes: readonly number[]): void {
    for (let from = 0; from < bytes.length;) {
      let to = from + 1;
      while (to < bytes.length && bytes[to] === bytes[from]) to++;
      const args = to - from === 1 ? [address + from, bytes[from]!] : [address + from, bytes[from]!, to - from];
      if (this.#do('store', args) === null) return;
      from = to;
    }
  }

  #once(call: SyzCall): void {
    const shape = SYZ_CALLS.get(call.name);
    if (shape === undefined) return this.#skip(call.fullName, call);
    if (call.failNth > 0) return this.#skip(`${call.fullName} with fail_nth`, call);
    let args: Value[];
    try {
      args = shape.args.map(([at, passing]) => this.#passed(call, at, passing));
    } catch (error) {
      if (!(error instanceof UnknownError)) throw error;
      return this.#skip(`${call.fullName}: ${error.message}`, call);
    }
    if (shape.fork === true) return this.#fork(call, shape, args);
    if (shape.pipe === true) return this.#pipe(call, shape, args);
    const got = this.#do(shape.name, args);
    this.#ended = shape.name === 'exit_group';
    this.#bind(call, got === null ? NO_RESOURCE : BigInt(got));
  }

  /** The executor lets no child share its memory; the child does nothing. */
  #fork(call: SyzCall, shape: CallShape, [flags = 0]: readonly Value[]): void {
    const bits = Number(BigInt.asUintN(32, BigInt(flags as number | bigint)));
    const child = this.#do(shape.name, [{ fields: { flags: (bits & ~CLONE_VM) >>> 0 } }]);
    if (child !== null) this.#children.push(child);
    this.#bind(call, child === null ? NO_RESOURCE : BigInt(child));
  }

  /** The kernel writes both descriptors to user memory, four bytes each; where it cannot there is no pipe. */
  #pipe(call: SyzCall, shape: CallShape, args: readonly Value[]): void {
    const [where] = call.args;
    const address = where?.kind === 'pointer' ? addressOf(where.address) : null;
    if (address === null) return this.#skip(`${call.fullName}: nobody knows where it writes`, call);
    const writable = [address, address + 2 * INT_BYTES - 1].every(
      (at) => this.#do('kernel_fault', [at, { word: 'W' }]) !== null,
    );
    const fds = writable ? this.#outcome(shape.name, args.length === 0 ? [0] : args) : null;
    const outputs = [...outputsOf(call.args)];
    this.#bind(call, fds === null ? NO_RESOURCE : 0n);
    fds?.forEach((fd, i) => this.#store(address + i * INT_BYTES, [fd & 255, (fd >> 8) & 255, 0, 0]));
    outputs.forEach((name, i) => this.#resources.set(name, fds === null ? NO_RESOURCE : BigInt(fds[i] ?? -1)));
  }

  #passed(call: SyzCall, at: number, passing: Passing): Value {
    const arg = call.args[at];
    if (arg === undefined) throw new InputError({ line: this.#line }, `${call.fullName} lacks argument ${at + 1}`);
    if (passing === 'value') return asValue(this.#known(arg));
    const pointee = arg.kind === 'pointer' ? arg.pointee : null;
    if (passing === 'iovec') return pointee?.kind === 'array' ? pointee.parts.map((part) => this.#iovec(part)) : null;
    if (passing === 'first') {
      const [first] = pointee?.kind === 'struct' ? pointee.parts : [];
      if (first === undefined) throw new UnknownError('the struct is not told');
      return asValue(this.#known(first));
    }
    const bytes = arg.kind === 'pointer' ? pointedBytes(arg, this.#meanings) : [];
    const end = bytes.indexOf(0);
    if (end < 0) throw new UnknownError('the text is not told');
    return { text: String.fromCharCode(...bytes.slice(0, Math.min(end, TEXT_MAX))) };
  }

  /** `struct iovec`: {base, length}. */
  #iovec(arg: Arg): Value {
    const [base, length] = arg.kind === 'struct' ? arg.parts : [];
    if (base === undefined || length === undefined) throw new UnknownError('a buffer is not told');
    return { fields: { iov_base: asValue(this.#known(base)), iov_len: asValue(this.#known(length)) } };
  }

  #known(arg: Arg): bigint {
    const value = this.#value(arg);
    if (value !== null) return value;
    if (arg.kind === 'resource') throw new UnknownError('needs what another call gave that was not done');
    if (arg.kind === 'auto') throw new UnknownError('AUTO');
    if (arg.kind === 'pointer') throw new UnknownError('&AUTO');
    throw inputError(new ScanError(arg.column, 'expected a number, an address or a resource'), this.#line);
  }

  readonly #meanings = {
    address: (written: bigint | null): number | null => addressOf(written),
    value: (arg: Arg): bigint | null => this.#value(arg),
  };

  #value(arg: Arg): bigint | null {
    switch (arg.kind) {
      case 'integer':
        return arg.value;
      case 'nil':
        return 0n;
      case 'pointer': {
        const address = addressOf(arg.address);
        return address === null ? null : BigInt(address);
      }
      case 'resource': {
        if (!this.#resources.has(arg.name))
          throw inputError(new ScanError(arg.column, `no call above gives ${arg.name}`), this.#line);
        const value = this.#resources.get(arg.name) ?? null;
        return value === null ? null : BigInt.asUintN(64, value / arg.div + arg.add);
      }
      default:
        return null;
    }
  }

  #bind(call: SyzCall, value: bigint | null): void {
    if (call.result !== null) this.#resources.set(call.result, value);
    for (const name of outputsOf(call.args)) this.#resources.set(name, null);
  }

  #skip(reason: string, call: SyzCall): void {
    this.#sink.skipped(reason, this.#line);
    this.#bind(call, null);
  }

  #do(name: string, args: readonly Value[], pid = PID): number | null {
    return this.#outcome(name, args, pid)?.[0] ?? null;
  }

  #outcome(name: string, args: readonly Value[], pid = PID): readonly number[] | null {
    return this.#sink.operation({ line: this.#line, pid, name, args, result: NO_RESULT });
  }
}

/** Where an address of the program is; beyond the data area it is what is written. Null: syzkaller would choose, or no address. */
function addressOf(written: bigint | null): number | null {
  if (written === null) return null;
  const offset = written - WRITTEN_BASE;
  if (offset >= 0n && offset <= WRITTEN_SIZE) return Number(offset) + DATA;
  return written <= SAFE ? Number(written) : null;
}

/** Resources that the kernel writes into memory. */
function* outputsOf(args: readonly Arg[]): Generator<string> {
  for (const arg of args) {
    if (arg.kind === 'output') yield arg.name;
    const inner =
      arg.kind === 'pointer' ? arg.pointee : arg.kind === 'union' || arg.kind === 'output' ? arg.inner : null;
    if (inner !== null) yield* outputsOf([inner]);
    if (arg.kind === 'struct' || arg.kind === 'array') yield* outputsOf(arg.parts);
  }
}
