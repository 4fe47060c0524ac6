// Reads one line of a syzkaller program. Every problem has its column.
import { ScanError } from '../text/scanner.js';
import type { Arg, SyzCall } from './syntax.js';

/** Parts in each other; syzkaller's own descriptions nest far less. */
const DEPTH_MAX = 64;
/** Bytes of one string, padding included: the whole data area. */
const DATA_MAX = 0x1000000;
/** `rerun: N` beyond which syzkaller's own parser gives up is 128. */
const RERUN_MAX = 128;
const INTEGER_MAX = 2n ** 64n - 1n;

const BLANKS = /[ \t]*/y;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const CALL_NAME = /([a-z_][A-Za-z0-9_]*)(\$[A-Za-z0-9_]+)?/y;
const RESOURCE = /r\d+(?![A-Za-z0-9_])/y;
const INTEGER = /-?(?:0x[0-9a-fA-F]+|\d+)(?![A-Za-z0-9_])/y;
const PLAIN = /[^'\\]*/y;
const HEX = /(?:[0-9a-fA-F]{2})*/y;
const BASE64 = /[A-Za-z0-9+/=]*/y;

const ESCAPES: Readonly<Record<string, number>> = {
  ...{ a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 },
  ...{ "'": 39, '"': 34, '\\': 92 },
};

/** Reads lines one after the other. Throws ScanError. */
export class SyzScanner {
  #text = '';
  #at = 0;

  /** The call on the line `text`; null if there is none: it is empty or a comment. */
  line(text: string): SyzCall | null {
    this.#text = text;
    this.#at = 0;
    this.#blanks();
    if (this.#at === text.length || this.#peek('#')) return null;
    const result = this.#result();
    const [fullName, name = ''] = this.#found(CALL_NAME, 'the name of a call');
    this.#expect('(', `behind ${fullName}`);
    const args = this.#list(')', 0);
    const { async, times, failNth } = this.#properties();
    this.#blanks();
    if (this.#at < text.length && !this.#peek('#')) throw this.#wrong('something follows the call');
    return { result, fullName: fullName, name, args, async, times, failNth };
  }

  #result(): string | null {
    const name = this.#match(RESOURCE);
    if (name === null) return null;
    this.#expect('=', `behind ${name[0]}`);
    this.#blanks();
    return name[0];
  }

  #list(end: string, depth: number): Arg[] {
    const args: Arg[] = [];
    this.#blanks();
    while (!this.#take(end)) {
      if (args.length > 0) this.#expect(',', `or "${end}"`);
      this.#blanks();
      // A comma may stand behind the last one.
      if (args.length > 0 && this.#take(end)) break;
      args.push(this.#arg(depth + 1));
      this.#blanks();
    }
    return args;
  }

  #arg(depth: number): Arg {
    if (depth > DEPTH_MAX) throw this.#wrong('arguments nest too deep');
    this.#blanks();
    const column = this.#at;
    switch (this.#text.charAt(column)) {
      case '&':
        return this.#pointer(depth);
      case '<':
        return this.#output(depth);
      case '{':
        this.#at++;
        return { kind: 'struct', parts: this.#list('}', depth), column };
      case '[':
        this.#at++;
        return { kind: 'array', parts: this.#list(']', depth), column };
      case '(': {
        // Old programs put sizes in parentheses.
        this.#at++;
        const inner = this.#arg(depth + 1);
        this.#expect(')', 'behind it');
        return inner;
      }
      case '@':
        return this.#union(depth);
      case "'":
      case '"':
        return this.#data();
      default:
        return this.#word();
    }
  }

  #word(): Arg {
    const column = this.#at;
    const resource = this.#match(RESOURCE)?.[0];
    if (resource !== undefined) {
      const div = this.#take('/') ? this.#integer() : 1n;
      const add = this.#take('+') ? this.#integer() : 0n;
      if (div === 0n) throw this.#wrong('divided by zero');
      return { kind: 'resource', name: resource, div, add, column };
    }
    const word = this.#match(NAME)?.[0];
    if (word === 'nil') return { kind: 'nil', column };
    if (word === 'AUTO') return { kind: 'auto', column };
    if (word !== undefined) {
      this.#at = column;
      throw this.#wrong(`${word} is no argument`);
    }
    return { kind: 'integer', value: this.#integer(), column };
  }

  #output(depth: number): Arg {
    const column = this.#at++;
    const [name] = this.#found(RESOURCE, 'a resource');
    this.#expect('=', 'behind it');
    this.#expect('>', 'behind "="');
    return { kind: 'output', name: name, inner: this.#arg(depth + 1), column };
  }

  #pointer(depth: number): Arg {
    const column = this.#at++;
    let address: bigint | null = null;
    if (this.#take('(')) {
      address = this.#integer();
      // The size of a range of pages stands behind a slash; old programs have an offset.
      const sign = this.#text.charAt(this.#at);
      if (sign === '+' || sign === '-') {
        this.#at++;
        const offset = this.#integer();
        address = sign === '+' ? address + offset : address - offset;
      }
      if (this.#take('/')) this.#integer();
      this.#expect(')', 'behind the address');
    } else if (this.#match(NAME)?.[0] !== 'AUTO') throw this.#wrong('expected "(" or AUTO behind "&"', column + 1);
    if (address !== null && (address < 0n || address > INTEGER_MAX)) throw this.#wrong('no address', column + 2);
    let any = false;
    let pointee: Arg | null = null;
    if (this.#take('=')) {
      this.#blanks();
      any = this.#text.startsWith('ANY=', this.#at);
      if (any) this.#at += 4;
      pointee = this.#arg(depth + 1);
      if (any && pointee.kind !== 'array') throw this.#wrong('ANY is a list in brackets', pointee.column);
    }
    return { kind: 'pointer', address, pointee, any, column };
  }

  #union(depth: number): Arg {
    const column = this.#at++;
    const [field] = this.#found(NAME, 'the name of a field');
    const inner = this.#take('=') ? this.#arg(depth + 1) : null;
    return { kind: 'union', field: field, inner, column };
  }

  #data(): Arg {
    const column = this.#at;
    const quoted = this.#peek("'");
    this.#at++;
    let bytes: number[] | null;
    if (quoted) bytes = this.#escaped();
    else if (this.#take('$')) {
      this.#found(BASE64, 'base64');
      bytes = null;
    } else bytes = [...bytesOfHex(this.#found(HEX, 'hexadecimal digits')[0])];
    this.#expect(quoted ? "'" : '"', 'at the end of the string', false);
    if (!this.#take('/')) return { kind: 'data', bytes, outputSize: null, column };
    const at = this.#at;
    const size = this.#integer();
    if (size < 0n || size > BigInt(DATA_MAX)) throw this.#wrong('a string of an impossible size', at);
    // Without bytes it is room for the kernel to write to.
    if (bytes !== null && bytes.length === 0) return { kind: 'data', bytes, outputSize: Number(size), column };
    if (bytes !== null) {
      const known = bytes.length;
      bytes.length = Number(size);
      if (bytes.length > known) bytes.fill(0, known);
    }
    return { kind: 'data', bytes, outputSize: null, column };
  }

  #escaped(): number[] {
    const bytes: number[] = [];
    for (;;) {
      for (const character of this.#match(PLAIN)?.[0] ?? '') {
        const code = character.codePointAt(0) as number;
        if (code > 0x7e) throw this.#wrong('a character that is no byte: write it as \\xHH');
        bytes.push(code);
      }
      if (!this.#take('\\')) return bytes;
      const escape = this.#text.charAt(this.#at);
      const hex = /^x([0-9a-fA-F]{2})/.exec(this.#text.slice(this.#at, this.#at + 3))?.[1];
      if (hex !== undefined) {
        bytes.push(Number.parseInt(hex, 16));
        this.#at += 3;
      } else if (Object.hasOwn(ESCAPES, escape)) {
        bytes.push(ESCAPES[escape] as number);
        this.#at++;
      } else if (escape === '0') {
        bytes.push(0);
        this.#at++;
      } else throw this.#wrong('an escape that is not known');
    }
  }

  /** `(async, rerun: 32)` */
  #properties(): { async: boolean; times: number; failNth: number } {
    const found = { async: false, times: 1, failNth: 0 };
    this.#blanks();
    if (!this.#take('(')) return found;
    do {
      this.#blanks();
      const at = this.#at;
      const [name] = this.#found(NAME, 'a property of the call');
      if (name === 'async') {
        found.async = true;
        continue;
      }
      if (name !== 'rerun' && name !== 'fail_nth') throw this.#wrong(`${name} is no property of a call`, at);
      this.#expect(':', `behind ${name}`);
      this.#blanks();
      const value = this.#integer();
      if (value < 0n || value > BigInt(RERUN_MAX)) throw this.#wrong(`${name} from 0 to ${RERUN_MAX}`, at);
      if (name === 'fail_nth') found.failNth = Number(value);
      else found.times = 1 + Number(value);
    } while (this.#take(','));
    this.#expect(')', 'behind the properties');
    return found;
  }

  #integer(): bigint {
    const at = this.#at;
    const [text] = this.#found(INTEGER, 'a number');
    const digits = text;
    const value = digits.startsWith('-') ? -BigInt(digits.slice(1)) : BigInt(digits);
    if (value > INTEGER_MAX || value < -(2n ** 63n)) throw this.#wrong('a number of more than 64 bits', at);
    return value;
  }

  #blanks(): void {
    this.#match(BLANKS);
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found !== null) this.#at = pattern.lastIndex;
    return found;
  }

  #found(pattern: RegExp, what: string): RegExpExecArray {
    const found = this.#match(pattern);
    if (found === null) throw this.#wrong(`expected ${what}`);
    return found;
  }

  #peek(character: string): boolean {
    return this.#text.charAt(this.#at) === character;
  }

  #take(character: string): boolean {
    if (!this.#peek(character)) return false;
    this.#at++;
    return true;
  }

  #expect(character: string, where: string, blanks = true): void {
    if (blanks) this.#blanks();
    if (!this.#take(character)) throw this.#wrong(`expected "${character}" ${where}`);
  }

  #wrong(problem: string, at = this.#at): ScanError {
    return new ScanError(at, problem);
  }
}

function* bytesOfHex(text: string): Generator<number> {
  for (let i = 0; i < text.length; i += 2) yield Number.parseInt(text.slice(i, i + 2), 16);
}
