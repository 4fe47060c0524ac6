// Operations as a log gives them back, checked before anybody trusts them: a log with sound checksums may still be made up.
import { InputError } from '../lib/errors.js';
import type { Operation, Result, Value } from './operation.js';

/** What a log tells of an operation before it is checked. */
export interface UncheckedOperation {
  readonly line: number;
  readonly pid: number | null;
  readonly name: string;
  readonly args: readonly unknown[];
  readonly result: unknown;
  readonly unfinished?: boolean;
}

/** Structs and arrays in each other; parsers allow no more either. */
const DEPTH_MAX = 64;

const isText = (value: unknown): value is string => typeof value === 'string';
const isInteger = (value: unknown): value is number | bigint =>
  typeof value === 'bigint' || Number.isSafeInteger(value);
const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function isNameRef(value: unknown): boolean {
  return isFields(value) && isText(value['ref']) && Number.isSafeInteger(value['add']);
}

/** Is `value` an argument that parsers make? */
function isValue(value: unknown, depth: number): value is Value {
  if (value === null || isInteger(value)) return true;
  if (depth >= DEPTH_MAX) return false;
  if (Array.isArray(value)) return value.every((each) => isValue(each, depth + 1));
  if (!isFields(value)) return false;
  const keys = Object.keys(value);
  if ('fd' in value) return keys.length === 2 && Number.isSafeInteger(value['fd']) && isText(value['path']);
  if ('ref' in value) return keys.length === 2 && isNameRef(value);
  if (keys.length !== 1) return false;
  if ('fields' in value) {
    const { fields } = value;
    return isFields(fields) && Object.values(fields).every((each) => isValue(each, depth + 1));
  }
  return isText(value['text'] ?? value['word']);
}

function isResult(value: unknown): value is Result {
  if (!isFields(value)) return false;
  switch (value['kind']) {
    case 'value':
      return isInteger(value['value']);
    case 'bind':
      return Array.isArray(value['names']) && value['names'].every(isText);
    case 'ref':
      return isNameRef(value['ref']);
    case 'errno':
      return isText(value['errno']);
    case 'signal':
      return isText(value['signal']);
    case 'word':
      return isText(value['word']);
    default:
      return value['kind'] === 'none';
  }
}

/**
 * `logged`, which stands in the log `file`, as an operation that may be printed or run.
 * @throws InputError if no parser makes such a one.
 */
export function loggedOperation<T extends UncheckedOperation>(logged: T, file?: string): T & Operation {
  const { line, pid, name, args, result } = logged;
  const sound =
    Number.isSafeInteger(line) &&
    (pid === null || (Number.isSafeInteger(pid) && pid >= 0)) &&
    args.every((each) => isValue(each, 0)) &&
    isResult(result);
  if (!sound)
    throw new InputError(
      file === undefined ? {} : { file },
      `the log has an operation that is none (${name.slice(0, 40)}, line ${line})`,
    );
  return logged as T & Operation;
}

/** All of `logged`, each checked when it is reached. */
export function* loggedOperations<T extends UncheckedOperation>(
  logged: Iterable<T>,
  file?: string,
): Generator<T & Operation> {
  for (const each of logged) yield loggedOperation(each, file);
}
