// Prints operations as lines that the parser reads back.

import type { NameRef, Operation, Result, Struct, Value } from '../operation.js';
import { isFd, isNameRef, isStruct, isText, isWord } from '../operation.js';
import { argumentKind, fieldFamily } from './arguments.js';
import type { ArgumentKind } from './arguments.js';
import { CALLS } from './calls.js';
import { AT_FDCWD } from './constants.js';
import type { Family } from './constants.js';
import { isInteger, printInteger } from './integers.js';
import type { Integer } from './integers.js';
import { escapePath, quoteText } from './quoted.js';

const ADDRESS_RESULTS: ReadonlySet<string> = new Set(['mmap', 'mremap', 'brk', 'shmat', 'elf_map']);

/** The first line that makes a text a recording whatever follows. */
export const RECORDING_HEADER = '# folioscope recording';

/** The first line that makes a text a hand-written workload whatever follows. */
export const WORKLOAD_HEADER = '# folioscope workload';

/**
 * One operation as one line without line break. Read back, it gives the same operation but for `line`, provided that
 * names in lower case, and names spelt like constants, are bound by lines before it.
 */
export function printOperation(operation: Operation): string {
  const text = printForm(operation) ?? printCall(operation);
  return operation.pid === null ? text : `${operation.pid} ${text}`;
}

/**
 * A whole hand-written workload as the text of a file, each of `comments` on a line of its own at the top. Read back, it gives the
 * same operations but for `line`.
 */
export function printWorkload(operations: readonly Operation[], comments: readonly string[] = []): string {
  const remarks = comments.flatMap((each) => each.split('\n')).map((each) => `# ${each}`.trimEnd());
  return [WORKLOAD_HEADER, ...remarks, ...operations.map(printOperation), ''].join('\n');
}

/** What does not look like a call, or null. */
function printForm({ name, args, result }: Operation): string | null {
  const [first = null, second = null, third = null] = args;
  switch (name) {
    case 'check':
    case 'schedule':
    case 'steps':
      return `${name} ${first !== null && isText(first) ? first.text : ''}`;
    case 'parallel':
      return 'parallel {';
    case 'end_parallel':
      return '}';
    case 'exited':
      return `+++ exited with ${printValue(first)} +++`;
    case 'killed':
      return `+++ killed by ${printValue(first)} +++`;
    case 'superseded':
      return `+++ superseded by execve in pid ${printValue(first)} +++`;
    case 'resumed':
      return `<... ${printValue(first)} resumed>)${printResult(name, result)}`;
    case 'signal': {
      const code = second === null ? '' : `, si_code=${printValue(second)}`;
      const address = third === null ? '' : `, si_addr=${third === 0 ? 'NULL' : printArgument(third, 'address')}`;
      return `--- ${printValue(first)} {si_signo=${printValue(first)}${code}${address}} ---`;
    }
    default:
      return null;
  }
}

function printCall({ name, args, result, unfinished }: Operation): string {
  const printed = args.map((value, index) => {
    if (isStructValue(value)) return printStruct(name, value, name === 'clone' && index === 0);
    return printArgument(value, argumentKind(name, index));
  });
  const start = `${name}(${printed.join(', ')}`;
  if (unfinished === true) return `${start} <unfinished ...>`;
  if (result.kind === 'none') return CALLS.get(name)?.kind === 'syscall' ? `${start}) = ?` : `${start})`;
  return `${start})${printResult(name, result)}`;
}

function printResult(name: string, result: Result): string {
  switch (result.kind) {
    case 'value':
      return ` = ${printInteger(result.value, typeof result.value === 'bigint' || (ADDRESS_RESULTS.has(name) && result.value > 9))}`;
    case 'bind':
      return result.names.length === 1 ? ` = ${result.names[0] ?? ''}` : ` = [${result.names.join(', ')}]`;
    case 'ref':
      // Without an offset it would read as a binding.
      return result.ref.add === 0 ? ` = ${result.ref.ref}+0` : ` = ${printName(result.ref)}`;
    case 'errno':
      return ` = -1 ${result.errno}`;
    case 'signal':
      return ` = ${result.signal}`;
    case 'word':
      return ` = ${result.word}`;
    case 'none':
      return '';
  }
}

const isStructValue = (value: Value): value is Struct => value !== null && isStruct(value);

/** A value as an argument of the given kind. */
function printArgument(value: Value, kind: ArgumentKind): string {
  if (!isInteger(value) || kind === null) return printValue(value);
  if (kind === 'address') return printInteger(value, value > 9 || typeof value === 'bigint');
  return printConstant(kind, value);
}

/** A value as it stands where nothing says what it is. */
export function printValue(value: Value): string {
  if (value === null) return 'NULL';
  if (isInteger(value)) return printInteger(value, typeof value === 'bigint' || value >= 2 ** 32);
  if (isNameRef(value)) return printName(value);
  if (isText(value)) return quoteText(value.text);
  if (isFd(value)) return `${value.fd === AT_FDCWD ? 'AT_FDCWD' : value.fd}<${escapePath(value.path)}>`;
  if (isWord(value)) return value.word;
  if (isStruct(value)) return printStruct('', value, false);
  return `[${value.map(printValue).join(', ')}]`;
}

function printStruct(call: string, { fields }: Struct, bare: boolean): string {
  const printed = Object.entries(fields).map(([field, value]) => {
    return `${field}=${printArgument(value, fieldFamily(call, field))}`;
  });
  return bare && printed.length > 0 ? printed.join(', ') : `{${printed.join(', ')}}`;
}

function printName({ ref, add }: NameRef): string {
  if (add === 0) return ref;
  return add > 0 ? `${ref}+${printInteger(add, true)}` : `${ref}${printInteger(add, true)}`;
}

const namesByFamily = new WeakMap<Family, ReadonlyMap<number, string>>();

function nameOf(family: Family, value: number): string | undefined {
  let names = namesByFamily.get(family);
  if (names === undefined) {
    names = new Map(Object.entries(family.values).map(([name, number]) => [number, name]));
    namesByFamily.set(family, names);
  }
  return names.get(value);
}

/** A number by the names of its family, what has no name in hexadecimal. */
export function printConstant(family: Family, value: Integer): string {
  if (typeof value === 'bigint') return printInteger(value);
  if (family.kind === 'enum') return nameOf(family, value) ?? printInteger(value, value >= 2 ** 16);
  if (value < 0) return printInteger(value);
  const parts: string[] = [];
  let rest = value;
  if (family.field !== undefined) {
    const field = value & family.field.mask;
    const name = Object.entries(family.field.values).find(([, number]) => number === field)?.[0];
    if (name !== undefined) {
      parts.push(name);
      rest -= field;
    }
  }
  for (const [name, bits] of Object.entries(family.values)) {
    if (!holds(rest, bits)) continue;
    parts.push(name);
    rest -= bits;
  }
  if (family.shift !== undefined) {
    const shifted = Math.floor(rest / 2 ** family.shift.bits);
    if (shifted > 0) parts.push(`${shifted}<<${family.shift.name}`);
    rest -= shifted * 2 ** family.shift.bits;
  }
  if (rest !== 0 || (parts.length === 0 && family.zero === undefined)) parts.push(printInteger(rest, rest > 9));
  return parts.length === 0 ? (family.zero ?? '0') : parts.join('|');
}

/** Whether all of `bits` are set; single bits may lie beyond 32. */
function holds(value: number, bits: number): boolean {
  return bits < 2 ** 31 ? (value & bits) === bits : Math.floor(value / bits) % 2 === 1;
}
