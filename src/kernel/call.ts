// One call as kernel code gets it: arguments with names already resolved.
import type { Operation, Value } from '../workload/operation.js';
import { isFd, isStruct, isText, isWord } from '../workload/operation.js';
import { errnoName } from '../lib/errno.js';
import { InputError } from '../lib/errors.js';
import type { Kernel, KernelThread } from './kernel.js';

/** A call by task `tid`, or by the machine (`tid` 0). */
export interface Call {
  readonly tid: number;
  readonly name: string;
  readonly args: readonly Value[];
  /** From a recording: what it says happened. */
  readonly recorded: boolean;
  readonly operation: Operation;
}

/** How a call ended, as plain data for the log. `null`: nothing to tell. */
export type Got =
  /** `several`: what a call gives beside, that names may be bound to: both ends of a pipe, the status of each page. */
  | { readonly value: number; readonly several?: readonly number[]; readonly out?: number }
  /** `out`: what the call wrote to the last field of its structure, how far it came. */
  | { readonly errno: string; readonly out?: number }
  | { readonly signal: number; readonly code: number; readonly addr: number }
  | { readonly word: string }
  /** It sleeps until another task does something about it. */
  | { readonly waits: true }
  | null;

/** Handles one call. */
export type Handler = (k: Kernel, call: Call) => KernelThread<Got>;

/** Argument `i` as an unsigned 64-bit integer. Values of 2^53 and more lose low bits, which no check of the kernel looks at then. */
export function intArg(call: Call, i: number, fallback?: number): number {
  const value = call.args[i];
  if (value === undefined && fallback !== undefined) return fallback;
  if (typeof value === 'number') return value < 0 ? value + 2 ** 64 : value;
  if (typeof value === 'bigint') return Number(value < 0n ? value + (1n << 64n) : value);
  if (value === null) return 0;
  if (value !== undefined && isFd(value)) return value.fd;
  throw badArgument(call, i, 'a number');
}

/** Argument `i` as a C int (32 bits, signed): flags and descriptors. */
export function cIntArg(call: Call, i: number, fallback?: number): number {
  const value = call.args[i];
  if (value === undefined && fallback !== undefined) return fallback;
  if (typeof value === 'bigint') return Number(BigInt.asIntN(32, value));
  if (typeof value === 'number') return value | 0;
  return intArg(call, i, fallback) | 0;
}

/** Argument `i` as text: a quoted string or a bare word. */
export function textArg(call: Call, i: number): string {
  const value = call.args[i];
  if (value !== undefined && isText(value)) return value.text;
  if (value !== undefined && isWord(value)) return value.word;
  throw badArgument(call, i, 'a string');
}

/** Argument `i` as a list of numbers. */
export function listArg(call: Call, i: number): readonly number[] {
  const value = call.args[i];
  if (Array.isArray(value) && value.every((each) => typeof each === 'number')) return value;
  throw badArgument(call, i, 'a list of numbers');
}

/** Field `name` of the struct at argument `i`, or of any argument written `name=value`. */
export function fieldArg(call: Call, name: string): Value | undefined {
  for (const value of call.args) if (isStruct(value) && name in value.fields) return value.fields[name];
  return undefined;
}

export function badArgument(call: Call, i: number, wanted: string): InputError {
  return new InputError({ line: call.operation.line }, `${call.name}: argument ${i + 1} must be ${wanted}`);
}

/** A non-negative result, or an errno from a negative one. */
export function fromKernel(result: number): Got {
  return result < 0 ? { errno: errnoName(-result) ?? `E${-result}` } : { value: result };
}
