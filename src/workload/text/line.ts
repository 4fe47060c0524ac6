// What lines of strace have in common: their head, signals, exits, marks of calls that go on later.

import { InputError } from '../../lib/errors.js';
import { NO_RESULT, isStruct } from '../operation.js';
import type { Operation, Value } from '../operation.js';
import * as c from './characters.js';
import { isBlank, isDigit } from './characters.js';
import { ScanError } from './scanner.js';
import type { ValueScanner } from './values.js';

/** Where the text behind PID and time begins. Reused from line to line. */
export interface Head {
  pid: number | null;
  /** Index of the text proper. */
  body: number;
}

const COLUMNS = /\[\s*(?:\d+|[0-9a-f]{16}|\?{16})\](?=\s)/y;

/** Reads `PID`, `PID<comm>` or `[pid PID]`, then times and the columns of `-n` and `-i`. */
export function readHead(text: string, head: Head): void {
  head.pid = null;
  let at = text.startsWith('[pid ') ? 5 : 0;
  while (isBlank(text.charCodeAt(at))) at++;
  const start = at;
  let pid = 0;
  for (; isDigit(text.charCodeAt(at)); at++) pid = pid * 10 + (text.charCodeAt(at) - c.ZERO);
  const next = text.charCodeAt(at);
  const bracketed = text.startsWith('[pid ');
  // Indented numbers are relative times: a PID stands in the first column.
  if (at > start && (bracketed || start === 0) && (isBlank(next) || next === c.LESS || bracketed)) {
    head.pid = pid;
    if (next === c.LESS) at = behind(text, bracketed ? '>]' : '> ', at) - 1;
    if (bracketed) {
      if (text.charAt(at) !== ']') throw new ScanError(at, 'expected "]" behind the PID');
      at++;
    }
    if (!Number.isSafeInteger(pid) || pid < 1) throw new ScanError(start, 'not a PID');
  } else at = start;
  head.body = isDigit(text.charCodeAt(at)) || isBlank(text.charCodeAt(at)) ? behindTimes(text, at) : at;
}

function behind(text: string, what: string, from: number): number {
  const at = text.indexOf(what, from);
  if (at < 0) throw new ScanError(text.length, `expected "${what}"`);
  return at + what.length;
}

function behindTimes(text: string, from: number): number {
  let at = from;
  for (;;) {
    while (isBlank(text.charCodeAt(at))) at++;
    const code = text.charCodeAt(at);
    if (isDigit(code)) {
      const start = at;
      while (isDigit(text.charCodeAt(at)) || text.charAt(at) === ':' || text.charAt(at) === '.') at++;
      if (!isBlank(text.charCodeAt(at))) return start;
    } else if (code === c.OPEN_PAREN && text.charAt(at + 1) === '+') {
      at = behind(text, ')', at);
    } else if (code === c.OPEN_BRACKET) {
      COLUMNS.lastIndex = at;
      if (!COLUMNS.test(text)) return at;
      at = COLUMNS.lastIndex;
    } else return at;
  }
}

/** Index of `<unfinished ...>`, `<detached ...>` or `<pid changed to N ...>` at the end of the line, or -1. */
export function unfinishedAt(text: string): number {
  if (text.charCodeAt(text.length - 1) !== c.GREATER || !text.endsWith('...>')) return -1;
  const at = text.lastIndexOf('<');
  return /^<(?:unfinished|detached|pid changed to \d+)(?: #\d+)? \.\.\.>$/.test(text.slice(at)) ? at : -1;
}

const RESUMED = /<\.\.\. (?:#\d+ )?([A-Za-z_]\w*) resumed(?: #\d+)?>/y;

/** The name in `<... name resumed>` and the index behind it, or null. */
export function readResumed(text: string, at: number): { name: string; behind: number } | null {
  RESUMED.lastIndex = at;
  const name = RESUMED.exec(text)?.[1];
  return name === undefined ? null : { name, behind: RESUMED.lastIndex };
}

const event = (name: string, args: readonly Value[], line: number, pid: number): Operation => ({
  line,
  pid,
  name,
  args,
  result: NO_RESULT,
});

const EXIT =
  /\+\+\+ (?:exited with (\d+)|killed by (\w+)(?: \(core dumped\))?|superseded by execve in pid (\d+)(?:<.*>)?) \+\+\+\s*$/y;

/** `+++ ... +++` as an operation. */
export function readExit(text: string, at: number, line: number, pid: number): Operation {
  EXIT.lastIndex = at;
  const found = EXIT.exec(text);
  if (found === null) throw new ScanError(endOr(text, at, '+++'), 'not an exit that is known');
  const [, code, signal, successor] = found;
  if (code !== undefined) return event('exited', [Number(code)], line, pid);
  if (signal !== undefined) return event('killed', [{ word: signal }], line, pid);
  return event('superseded', [Number(successor)], line, pid);
}

/** `--- SIGNAL {...} ---` as an operation; null for `--- stopped by SIGNAL ---`, which changes no memory. */
export function readSignal(
  scanner: ValueScanner,
  text: string,
  at: number,
  line: number,
  pid: number,
): Operation | null {
  if (text.startsWith('--- stopped by ', at)) return null;
  scanner.reset(text, at + 4);
  const name = scanner.identifier();
  scanner.blanks();
  // A code is a word even where a constant or a bound name is spelt like it.
  scanner.words = true;
  const info = name === '' ? null : scanner.operand();
  if (!isStruct(info) || text.slice(scanner.at).trim() !== '---') {
    throw new ScanError(endOr(text, at, '---'), 'not a signal that is known');
  }
  const { si_code: code = null, si_addr: address } = info.fields;
  // At address 0 strace prints NULL; no address at all is what null means here.
  return event('signal', [{ word: name }, code, address === undefined ? null : (address ?? 0)], line, pid);
}

/** The end of the text if the closing mark is missing, so that a cut line is recognised; else the place itself. */
function endOr(text: string, at: number, mark: string): number {
  return text.length > at + 3 && text.trimEnd().endsWith(mark) ? at : text.length;
}

/** A problem of scanning as an error that users see. */
export function inputError(error: ScanError, line: number, column = error.at + 1): InputError {
  return new InputError({ line, column }, error.message);
}
