// Reads `(arguments) = result` behind the name of a call.

import { NO_RESULT, isFd } from '../operation.js';
import type { Result, Value } from '../operation.js';
import { FEATURE_SHORT_NAMES, ioctlShortNames, shortNames, wordArguments } from './arguments.js';
import * as c from './characters.js';
import { isLetter } from './characters.js';
import { SIGNALS, errnoName, isErrnoName } from '../../lib/errno.js';
import { isInteger } from './integers.js';
import { ScanError } from './scanner.js';
import { ValueScanner } from './values.js';

/** The scanner of calls: it knows which names are bound and binds those it meets. */
export class CallScanner {
  readonly values: ValueScanner;
  /** What the last call said. */
  args: Value[] = [];
  result: Result = NO_RESULT;
  readonly #bound = new Set<string>();
  readonly #recorded: boolean;

  constructor(recorded: boolean) {
    this.#recorded = recorded;
    this.values = new ValueScanner({ bound: this.#bound, recorded });
  }

  /** A whole call; `at` is behind the opening parenthesis. A recording must tell the result of a system call. */
  call(name: string, text: string, at: number, resultNeeded: boolean): void {
    this.values.reset(text, at);
    this.args = this.#arguments(name);
    this.result = this.#result(resultNeeded);
  }

  /** A call cut short by `<unfinished ...>`: the arguments so far, with or without parenthesis behind them. */
  unfinished(name: string, text: string, at: number): void {
    this.values.reset(text, at);
    this.values.open = true;
    this.args = this.#arguments(name);
    this.result = NO_RESULT;
    this.values.blanks();
    if (this.values.at < text.length) throw new ScanError(this.values.at, 'unexpected text before <unfinished ...>');
  }

  /** Only `) = result`, as behind `<... resumed>`. */
  ending(text: string, at: number): void {
    const { values } = this;
    values.reset(text, at);
    values.blanks();
    if (values.here() === c.CLOSE_PAREN) values.at++;
    this.args = [];
    this.result = this.#result(false);
  }

  #arguments(name: string): Value[] {
    const { values } = this;
    const args: Value[] = [];
    const words = wordArguments(name);
    const keepNames = !this.#recorded || name === 'clone';
    if (!this.#recorded) values.shortNames = shortNames(name);
    let named: Record<string, Value> | null = null;
    values.blanks();
    if (values.here() === c.CLOSE_PAREN) {
      values.at++;
      return args;
    }
    for (;;) {
      values.blanks();
      if (values.open && values.at >= values.text.length) return args;
      values.words = words !== undefined && words.has(args.length);
      const field = values.fieldName();
      const start = values.at;
      const value = values.value();
      if (field !== '' && keepNames) {
        // Neighbouring `name=value` arguments make one struct, so that clone(flags=...) and clone3({flags=...}) agree.
        if (named === null) args.push({ fields: (named = {}) });
        if (!Object.hasOwn(named, field)) named[field] = value;
      } else {
        named = null;
        args.push(this.#recorded ? value : this.#inContext(name, args.length, value, start));
      }
      values.blanks();
      const code = values.here();
      if (code === c.COMMA) values.at++;
      else if (code === c.CLOSE_PAREN) {
        values.at++;
        return args;
      } else if (values.open && Number.isNaN(code)) return args;
      else throw new ScanError(values.at, 'expected "," or ")"');
    }
  }

  /** Short names depend on what came before: a command decides those of its arguments. */
  #inContext(name: string, index: number, value: Value, start: number): Value {
    const { values } = this;
    if (name === 'ioctl' && index < 2 && typeof value === 'number') {
      values.shortNames = ioctlShortNames(value) ?? values.shortNames;
    }
    if (name === 'userfaultfd' && index === 0 && typeof value === 'number') {
      // Features and open flags share bits: features are told apart by being a struct.
      const names = values.text.slice(start, values.at).split('|');
      if (names.every((word) => FEATURE_SHORT_NAMES.has(word.trim()))) return { fields: { features: value } };
    }
    return value;
  }

  #result(needed: boolean): Result {
    const { values } = this;
    values.blanks();
    if (values.here() !== c.EQUALS) {
      if (needed) throw new ScanError(values.at, 'expected "= result"');
      this.#nothingMore();
      return NO_RESULT;
    }
    values.at++;
    values.blanks();
    const code = values.here();
    if (code === c.QUESTION) return NO_RESULT;
    const result = isLetter(code) ? this.#wordResult() : code === c.OPEN_BRACKET ? this.#names() : this.#valueResult();
    if (!this.#recorded) this.#nothingMore();
    return result;
  }

  #valueResult(): Result {
    const { values } = this;
    const start = values.at;
    const value = values.expression();
    if (isFd(value)) return { kind: 'value', value: value.fd };
    if (!isInteger(value)) throw new ScanError(start, 'the result is no value');
    // `3210<sh>`: a task number with its command.
    if (values.here() === c.LESS && values.text.charCodeAt(values.at - 1) !== c.SPACE) values.anglePath();
    values.blanks();
    if (value === -1) {
      const errno = this.#errno();
      if (errno !== null) return { kind: 'errno', errno };
    }
    const bound = /as ([A-Za-z_]\w*)/y;
    bound.lastIndex = values.at;
    const name = bound.exec(values.text)?.[1];
    if (name === undefined) return { kind: 'value', value };
    values.at = bound.lastIndex;
    return this.#bind([name]);
  }

  /** The error behind `-1`: by name, or by number as `strace -e raw=` prints it. */
  #errno(): string | null {
    const { values } = this;
    if (values.here() === c.OPEN_PAREN) {
      const number = /\(errno (\d+)\)/y;
      number.lastIndex = values.at;
      return errnoName(Number(number.exec(values.text)?.[1])) ?? null;
    }
    const start = values.at;
    const word = values.identifier();
    if (isErrnoName(word)) return word;
    values.at = start;
    return null;
  }

  #wordResult(): Result {
    const { values } = this;
    const start = values.at;
    const word = values.identifier();
    if (values.here() === c.OPEN_PAREN) throw new ScanError(start, `a result ${word}(...) is not understood`);
    const behind = values.at;
    values.blanks();
    const operator = values.text.charAt(values.at);
    const shift = operator === '<' && values.text.charAt(values.at + 1) === '<';
    if (operator !== '' && ('+-*|'.includes(operator) || shift)) {
      values.at = start;
      return this.#expressionResult(start);
    }
    values.at = behind;
    if (this.#bound.has(word)) return this.#bind([word]);
    if (word === 'NULL') return { kind: 'value', value: 0 };
    if (isErrnoName(word)) return { kind: 'errno', errno: word };
    if (SIGNALS.has(word)) return { kind: 'signal', signal: word };
    if (word === 'mixed') return { kind: 'word', word };
    // The two sizes are results of read and write more often than names.
    if (word === 'P' || word === 'H') {
      values.at = start;
      return this.#expressionResult(start);
    }
    return this.#bind([word]);
  }

  #expressionResult(start: number): Result {
    const value = this.values.expression();
    if (isInteger(value)) return { kind: 'value', value };
    if (value !== null && typeof value === 'object' && 'ref' in value) return { kind: 'ref', ref: value };
    throw new ScanError(start, 'the result is neither a value nor a name');
  }

  /** `[R, W]`. */
  #names(): Result {
    const { values } = this;
    const list = /\[\s*([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)\s*\]/y;
    list.lastIndex = values.at;
    const names = list.exec(values.text)?.[1];
    if (names === undefined) throw new ScanError(values.at, 'expected names between brackets');
    values.at = list.lastIndex;
    return this.#bind(names.split(',').map((name) => name.trim()));
  }

  #bind(names: readonly string[]): Result {
    for (const name of names) this.#bound.add(name);
    return { kind: 'bind', names };
  }

  /** Behind the result only a remark in parentheses or a duration may stand. */
  #nothingMore(): void {
    const { values } = this;
    const rest = /\s*(\([^()]*(\([^()]*\)[^()]*)*\)\s*)*(<\d+\.\d+>\s*)?$/y;
    rest.lastIndex = values.at;
    values.blanks();
    if (values.at < values.text.length && !rest.test(values.text)) {
      throw new ScanError(values.at, `unexpected "${values.text.slice(values.at, values.at + 12)}"`);
    }
  }
}
