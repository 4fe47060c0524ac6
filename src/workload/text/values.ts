// Reads argument values, character by character: numbers, flags, names, strings, structs, expressions over them.

import { isNameRef } from '../operation.js';
import type { NameRef, Value } from '../operation.js';
import * as c from './characters.js';
import { ends, isDigit, isLetter } from './characters.js';
import { AT_FDCWD, CONSTANTS, SHORT_FORMS } from './constants.js';
import { SIGNALS, isErrnoName } from '../../lib/errno.js';
import { calculate, isInteger } from './integers.js';
import type { Integer } from './integers.js';
import { ScanError, TextScanner } from './scanner.js';

/** What identifiers mean where the scanner stands. */
export interface Scope {
  /** Names that earlier lines bound; they shadow constants. */
  readonly bound: ReadonlySet<string>;
  /** In recordings unknown upper-case identifiers are words, and text nobody understands is kept as a word. */
  readonly recorded: boolean;
}

/** How deep structs and arrays may nest. */
const DEPTH_MAX = 64;

const UPPER_CASE = /^[A-Z][A-Z0-9_]*$/;

/** Reads values from `text` at `at`, moving `at` along. One scanner serves many lines. */
export class ValueScanner extends TextScanner {
  /** Names valid in the current argument only. */
  shortNames: ReadonlyMap<string, number> | undefined = undefined;
  /** Whether identifiers of the current argument are words whatever they look like. */
  words = false;
  /** Whether the text may end inside the arguments, as that of an unfinished call does. */
  open = false;
  readonly #scope: Scope;
  #depth = 0;

  constructor(scope: Scope) {
    super();
    this.#scope = scope;
  }

  reset(text: string, at: number): void {
    this.text = text;
    this.at = at;
    this.shortNames = undefined;
    this.words = false;
    this.open = false;
    this.#depth = 0;
  }

  /** An expression without a look at what follows it. */
  expression(): Value {
    return this.#expression(0);
  }

  /** One value. Stops before the comma or bracket that ends it. */
  value(): Value {
    const start = this.at;
    const depth = this.#depth;
    const code = this.here();
    // Numbers and strings are well formed or the line is not.
    if (!this.#scope.recorded || isDigit(code) || code === c.MINUS || code === c.QUOTE) return this.#whole();
    try {
      return this.#whole();
    } catch (error) {
      if (!(error instanceof ScanError)) throw error;
      this.at = start;
      this.#depth = depth;
      return this.#raw();
    }
  }

  #whole(): Value {
    let value = this.#expression(0);
    // `before => after`: what went in stands; what the call wrote adds fields that were not there.
    while (this.here() === c.EQUALS && this.text.charCodeAt(this.at + 1) === c.GREATER) {
      this.at += 2;
      this.blanks();
      // In a structure the name may stand there once more.
      this.fieldName();
      value = afterCall(value, this.#expression(0));
    }
    if (ends(this.here())) return value;
    throw new ScanError(this.at, `unexpected "${this.text.slice(this.at, this.at + 12)}"`);
  }

  #expression(minimum: number): Value {
    let left = this.operand();
    for (;;) {
      this.blanks();
      const code = this.here();
      if (code === c.COMMA || code === c.CLOSE_PAREN) return left;
      const power = this.#power(code);
      if (power <= minimum) return left;
      const operatorAt = this.at;
      this.at += code === c.LESS ? 2 : 1;
      this.blanks();
      left = this.#combine(code, left, this.#expression(power), operatorAt);
    }
  }

  /** Binding power of the operator here, 0 if there is none. */
  #power(code: number): number {
    if (code === c.BAR) return this.text.charCodeAt(this.at + 1) === c.BAR ? 0 : 1;
    if (code === c.LESS) return this.text.charCodeAt(this.at + 1) === c.LESS ? 2 : 0;
    if (code === c.PLUS || code === c.MINUS) return 3;
    return code === c.STAR || code === c.SLASH ? 4 : 0;
  }

  #combine(operator: number, left: Value, right: Value, at: number): Value {
    const sign = operator === c.LESS ? '<<' : String.fromCharCode(operator);
    if (isInteger(left) && isInteger(right)) {
      const value = calculate(sign, left, right);
      if (value === null) throw new ScanError(at, 'the value does not fit 64 bits');
      return value;
    }
    if (isNameRef(left) && typeof right === 'number' && (sign === '+' || sign === '-')) {
      return offset(left, sign === '+' ? right : -right, at);
    }
    if (isNameRef(right) && typeof left === 'number' && sign === '+') return offset(right, left, at);
    throw new ScanError(at, `cannot take ${describe(left)} ${sign} ${describe(right)}`);
  }

  /** One value without operators behind it. */
  operand(): Value {
    this.blanks();
    const code = this.here();
    if (isDigit(code)) return this.#descriptor(this.number());
    if (isLetter(code)) return this.#named();
    switch (code) {
      case c.QUOTE:
        return this.string();
      case c.OPEN_BRACE:
        return this.#struct();
      case c.OPEN_BRACKET:
        return this.#array();
      case c.MINUS: {
        this.at++;
        if (!isDigit(this.here())) throw new ScanError(this.at, 'expected a number after "-"');
        const number = this.number();
        return this.#descriptor(number === 0 ? 0 : -number);
      }
      case c.APOSTROPHE:
        return this.byte();
      case c.DOT:
        if (this.text.startsWith('...', this.at)) {
          this.at += 3;
          return { word: '...' };
        }
    }
    if (Number.isNaN(code)) throw new ScanError(this.at, 'the line ends where a value should stand');
    throw new ScanError(this.at, `expected a value, found "${this.text.slice(this.at, this.at + 12)}"`);
  }

  /** The number, or with `</path>` after it the descriptor. */
  #descriptor(number: Integer): Value {
    // `-100 /* AT_FDCWD */</tmp>`, as strace -X verbose prints it.
    if (number === AT_FDCWD && this.text.startsWith(' /* AT_FDCWD */<', this.at)) this.at += 15;
    if (this.here() !== c.LESS || this.text.charCodeAt(this.at + 1) === c.LESS || typeof number !== 'number')
      return number;
    const path = this.anglePath();
    if (this.text.startsWith('(deleted)', this.at)) this.at += 9;
    return { fd: number, path };
  }

  #named(): Value {
    const start = this.at;
    const name = this.identifier();
    const next = this.here();
    if (next === c.OPEN_PAREN) return this.#function(name, start);
    if (name === 'NULL') return null;
    if (this.words) return { word: name };
    if (this.#scope.bound.size > 0 && this.#scope.bound.has(name)) return { ref: name, add: 0 };
    const short = this.shortNames?.get(name);
    if (short !== undefined) return short;
    const constant = CONSTANTS.get(name) ?? SIGNALS.get(name);
    if (constant !== undefined) return constant === AT_FDCWD ? this.#descriptor(AT_FDCWD) : constant;
    if (this.#scope.recorded || !UPPER_CASE.test(name)) return { word: name };
    const form = SHORT_FORMS.get(name);
    if (form !== undefined) return form;
    return isErrnoName(name) ? { word: name } : { ref: name, add: 0 };
  }

  /** `_IOC(...)` is computed; any other `name(...)` is kept as a word with its text. */
  #function(name: string, start: number): Value {
    const ioc = name === '_IOC' ? /_IOC\(([^()]*)\)/y : null;
    if (ioc !== null) {
      ioc.lastIndex = start;
      const parts = ioc.exec(this.text)?.[1]?.split(',') ?? [];
      const [direction, type, number, size] = parts.map((part) => iocPart(part.trim()));
      if (direction !== undefined && type !== undefined && number !== undefined && size !== undefined) {
        this.at = ioc.lastIndex;
        return direction * 2 ** 30 + size * 2 ** 16 + type * 2 ** 8 + number;
      }
    }
    this.at = start;
    return this.#raw();
  }

  #array(): Value {
    return this.#elements(c.CLOSE_BRACKET);
  }

  #struct(): Value {
    const { text } = this;
    const start = this.at;
    this.at++;
    this.blanks();
    let name = this.fieldName();
    if (name === '') {
      if (this.here() === c.CLOSE_BRACE) {
        this.at++;
        return { fields: {} };
      }
      this.at = start;
      return this.#elements(c.CLOSE_BRACE);
    }
    this.#enter();
    const fields: Record<string, Value> = {};
    for (;;) {
      const value = this.value();
      // strace prints `features=` twice, as asked and as answered: the first is what went in.
      if (!Object.hasOwn(fields, name)) fields[name] = value;
      this.#closeOrComma(c.CLOSE_BRACE);
      if (text.charCodeAt(this.at - 1) === c.CLOSE_BRACE) break;
      this.blanks();
      if (text.startsWith('...', this.at)) {
        this.at += 3;
        this.#closeOrComma(c.CLOSE_BRACE);
        break;
      }
      name = this.fieldName();
      if (name === '') throw new ScanError(this.at, 'expected a field name');
    }
    this.#depth--;
    return { fields };
  }

  #elements(close: number): Value {
    this.#enter();
    this.at++;
    this.blanks();
    const values: Value[] = [];
    if (this.here() === close) this.at++;
    else {
      do {
        values.push(this.value());
        this.#closeOrComma(close);
      } while (this.text.charCodeAt(this.at - 1) !== close);
    }
    this.#depth--;
    return values;
  }

  #enter(): void {
    if (++this.#depth > DEPTH_MAX) throw new ScanError(this.at, `nested more than ${DEPTH_MAX} deep`);
  }

  /** Passes the comma or the closing bracket here. */
  #closeOrComma(close: number): void {
    this.blanks();
    const code = this.here();
    if (code !== close && code !== c.COMMA) {
      throw new ScanError(this.at, `expected "," or "${String.fromCharCode(close)}"`);
    }
    this.at++;
  }

  /** Text up to the comma or bracket that ends the value, as a word. */
  #raw(): Value {
    const { text } = this;
    const start = this.at;
    let depth = 0;
    let at = start;
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === c.QUOTE) {
        this.at = at;
        this.string();
        at = this.at - 1;
      } else if (depth === 0 && ends(code)) break;
      else if (code === c.OPEN_PAREN || code === c.OPEN_BRACKET || code === c.OPEN_BRACE) depth++;
      else if (code === c.CLOSE_PAREN || code === c.CLOSE_BRACKET || code === c.CLOSE_BRACE) depth--;
    }
    if (at < text.length || (this.open && depth === 0 && at > start)) {
      this.at = at;
      return { word: text.slice(start, at).trim() };
    }
    throw new ScanError(text.length, 'the line ends inside a value');
  }
}

function offset(name: NameRef, add: number, at: number): NameRef {
  const sum = name.add + add;
  if (!Number.isSafeInteger(sum)) throw new ScanError(at, 'the offset is too large');
  return { ref: name.ref, add: sum };
}

function afterCall(before: Value, after: Value): Value {
  if (before === null || typeof before !== 'object' || !('fields' in before)) return before;
  if (after === null || typeof after !== 'object' || !('fields' in after)) return before;
  // Spread twice: fields keep the order of what went in, and its values.
  return { fields: { ...before.fields, ...after.fields, ...before.fields } };
}

function iocPart(text: string): number | undefined {
  const words = text.split('|').map((word) => CONSTANTS.get(word) ?? Number(word));
  const sum = words.reduce<number>((total, word) => total | Number(word), 0);
  return words.length > 0 && words.every((word) => Number.isInteger(Number(word))) ? sum : undefined;
}

function describe(value: Value): string {
  if (value === null) return 'NULL';
  if (typeof value !== 'object') return String(value);
  if ('word' in value) return `"${value.word}"`;
  if ('ref' in value) return value.ref;
  return 'that';
}
