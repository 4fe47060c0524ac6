// Reads the words of the text language, character by character: numbers, identifiers, strings, paths.

import type { Text } from '../operation.js';
import * as c from './characters.js';
import { isDigit, isLetter } from './characters.js';
import { normalise } from './integers.js';
import type { Integer } from './integers.js';
import { unescapeText } from './quoted.js';

/** A place in the text that cannot be read on, 0-based. The parsers turn it into an InputError. */
export class ScanError extends Error {
  readonly at: number;
  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

const SIZE_SUFFIXES: Readonly<Record<string, number>> = { k: 2 ** 10, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** A text and a place in it. Methods read what stands there and move the place behind it. */
export class TextScanner {
  text = '';
  at = 0;

  /** The character code here; NaN at the end. */
  here(): number {
    return this.text.charCodeAt(this.at);
  }

  /** Skips blanks and comments between slashes. */
  blanks(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code === c.SPACE || code === c.TAB) this.at++;
      else if (code === c.SLASH && this.text.charCodeAt(this.at + 1) === c.STAR) {
        const end = this.text.indexOf('*/', this.at + 2);
        if (end < 0) throw new ScanError(this.text.length, 'comment without end');
        this.at = end + 2;
      } else return;
    }
  }

  /** An identifier here, or an empty string. */
  identifier(): string {
    const { text } = this;
    const start = this.at;
    let at = start;
    for (;;) {
      const code = text.charCodeAt(at);
      if (!isLetter(code) && !(at > start && isDigit(code))) break;
      at++;
    }
    this.at = at;
    return text.slice(start, at);
  }

  /** The field name of `name=` here, passing it, or an empty string. */
  fieldName(): string {
    const start = this.at;
    if (!isLetter(this.here())) return '';
    const name = this.identifier();
    const next = this.text.charCodeAt(this.at + 1);
    if (this.here() === c.EQUALS && next !== c.EQUALS && next !== c.GREATER) {
      if (name === '__proto__') throw new ScanError(start, '__proto__ is not a field name');
      this.at++;
      return name;
    }
    this.at = start;
    return '';
  }

  /** Unsigned: decimal, hexadecimal, octal with a leading zero. */
  number(): Integer {
    const { text } = this;
    const start = this.at;
    let at = start;
    let value = 0;
    if (text.charCodeAt(at) === c.ZERO && text.charCodeAt(at + 1) === c.LOWER_X) {
      at += 2;
      for (; ; at++) {
        const code = text.charCodeAt(at);
        const lower = code | 0x20;
        if (code >= 48 && code <= 57) value = value * 16 + (code - 48);
        else if (lower >= 97 && lower <= 102) value = value * 16 + (lower - 87);
        else break;
      }
      if (at === start + 2) throw new ScanError(at, 'expected hexadecimal digits');
    } else {
      for (; isDigit(text.charCodeAt(at)); at++) value = value * 10 + (text.charCodeAt(at) - c.ZERO);
    }
    this.at = at;
    if (isLetter(text.charCodeAt(at))) return this.#sizeSuffix(value);
    const octal = value > 0 && text.charCodeAt(start) === c.ZERO && text.charCodeAt(start + 1) !== c.LOWER_X;
    if (!octal && value <= Number.MAX_SAFE_INTEGER) return value;
    return this.#exactNumber(start, octal);
  }

  #exactNumber(start: number, octal: boolean): Integer {
    const digits = this.text.slice(start, this.at);
    const bad = octal && /[89]/.test(digits);
    const exact = digits.length > 24 || bad ? null : normalise(BigInt(octal ? `0o${digits}` : digits));
    if (exact === null) throw new ScanError(start, bad ? 'not an octal number' : 'the number does not fit 64 bits');
    return exact;
  }

  #sizeSuffix(value: number): number {
    const factor = SIZE_SUFFIXES[this.text.charAt(this.at)];
    const next = this.text.charCodeAt(this.at + 1);
    if (factor === undefined || isLetter(next) || isDigit(next) || !Number.isSafeInteger(value * factor)) {
      throw new ScanError(this.at, 'a letter inside a number');
    }
    this.at++;
    return value * factor;
  }

  /** The text between `<` here and its `>`. Brackets may nest, and sockets print `a->b` inside. */
  anglePath(): string {
    const { text } = this;
    const start = this.at + 1;
    let depth = 1;
    for (let at = start; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === c.LESS) depth++;
      else if (code === c.GREATER) {
        const next = text.charCodeAt(at + 1);
        const arrow = text.charCodeAt(at - 1) === c.MINUS && !c.ends(next) && next !== c.SPACE && next !== c.GREATER;
        if (arrow || --depth > 0) continue;
        this.at = at + 1;
        return unescapeText(text.slice(start, at));
      }
    }
    throw new ScanError(text.length, 'descriptor path without ">"');
  }

  /** A quoted string with what follows it if strace cut it short. */
  string(): Text {
    const { text } = this;
    const start = this.at + 1;
    let end = text.indexOf('"', start);
    while (end > 0 && text.charCodeAt(end - 1) === c.BACKSLASH && oddBackslashes(text, start, end)) {
      end = text.indexOf('"', end + 1);
    }
    if (end < 0) throw new ScanError(text.length, 'string without end');
    this.at = end + 1;
    if (text.charCodeAt(this.at) === c.DOT && text.startsWith('...', this.at)) this.at += 3;
    return { text: unescapeText(text.slice(start, end)) };
  }

  /** `'x'`: one byte. */
  byte(): number {
    const match = /'(\\(?:x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)|[^'\\])'/y;
    match.lastIndex = this.at;
    const found = match.exec(this.text);
    if (found === null) throw new ScanError(this.at, 'expected one character between apostrophes');
    this.at = match.lastIndex;
    return unescapeText(found[1] ?? '').charCodeAt(0);
  }
}

function oddBackslashes(text: string, start: number, quote: number): boolean {
  let at = quote - 1;
  while (at >= start && text.charCodeAt(at) === c.BACKSLASH) at--;
  return (quote - 1 - at) % 2 === 1;
}
