// The expression language of `check`: numbers, bound names, subjects with fields, comparisons, and, or, not. docs/workload.md.
import { InputError } from '../../src/lib/errors.js';

/** A parsed expression. `at` is the column it begins at, from 0. */
export type Expression =
  | { readonly node: 'number'; readonly value: number }
  | { readonly node: 'text'; readonly value: string }
  | { readonly node: 'name'; readonly name: string; readonly at: number }
  | { readonly node: 'call'; readonly name: string; readonly args: readonly Expression[]; readonly at: number }
  | { readonly node: 'field'; readonly of: Expression; readonly field: string; readonly at: number }
  | { readonly node: 'unary'; readonly operator: 'not' | '-'; readonly of: Expression }
  | { readonly node: 'binary'; readonly operator: Operator; readonly left: Expression; readonly right: Expression };

export type Operator = 'or' | 'and' | '==' | '!=' | '<' | '<=' | '>' | '>=' | '+' | '-' | '*';

/** Binding strength of each operator; comparisons do not chain. */
const STRENGTH: Readonly<Record<Operator, number>> = {
  or: 1,
  and: 2,
  '==': 4,
  '!=': 4,
  '<': 4,
  '<=': 4,
  '>': 4,
  '>=': 4,
  '+': 5,
  '-': 5,
  '*': 6,
};
const NOT_STRENGTH = 3;
const SYNONYMS: Readonly<Record<string, Operator>> = { '||': 'or', '&&': 'and', '=': '==' };

interface Token {
  readonly kind: 'number' | 'text' | 'word' | 'sign' | 'end';
  readonly text: string;
  readonly at: number;
}

const TOKEN = /\s*(?:(0x[0-9a-fA-F]+|\d+)|"([^"]*)"|([A-Za-z_][A-Za-z0-9_]*)|(\|\||&&|==|!=|<=|>=|[-+*<>=!().,]))/y;

function tokens(source: string): Token[] {
  const found: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.length) {
    const from = TOKEN.lastIndex;
    const match = TOKEN.exec(source);
    if (match === null) {
      if (source.slice(from).trim() === '') break;
      throw new InputError({ column: from + 1 }, `'${source.slice(from).trim()}' is no part of an expression`);
    }
    const text = match[1] ?? match[2] ?? match[3] ?? match[4] ?? '';
    const kind =
      match[1] !== undefined ? 'number' : match[2] !== undefined ? 'text' : match[3] !== undefined ? 'word' : 'sign';
    found.push({ kind, text, at: TOKEN.lastIndex - text.length });
  }
  found.push({ kind: 'end', text: 'the end', at: source.length });
  return found;
}

/**
 * Parses an expression.
 * @throws InputError with the column where it cannot go on.
 */
export function parseExpression(source: string): Expression {
  const parser = new Parser(tokens(source));
  return parser.whole();
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): Expression {
    const expression = this.#binary(0);
    if (this.#peek().kind !== 'end') throw this.#unexpected('an operator');
    return expression;
  }

  #peek(): Token {
    return this.#tokens[this.#next] as Token;
  }

  #take(): Token {
    return this.#tokens[this.#next++] as Token;
  }

  #is(text: string): boolean {
    const token = this.#peek();
    return token.text === text && token.kind !== 'text' && token.kind !== 'end';
  }

  #expect(text: string): void {
    if (!this.#is(text)) throw this.#unexpected(`'${text}'`);
    this.#next++;
  }

  #unexpected(wanted: string): InputError {
    const { text, at } = this.#peek();
    return new InputError({ column: at + 1 }, `${wanted} was expected, not ${text === 'the end' ? text : `'${text}'`}`);
  }

  #operator(): Operator | null {
    const { kind, text } = this.#peek();
    if (kind !== 'sign' && kind !== 'word') return null;
    const operator = SYNONYMS[text] ?? text;
    return Object.hasOwn(STRENGTH, operator) ? (operator as Operator) : null;
  }

  #binary(least: number): Expression {
    let left = this.#unary();
    for (let operator = this.#operator(); operator !== null; operator = this.#operator()) {
      const strength = STRENGTH[operator];
      if (strength <= least) break;
      this.#next++;
      left = { node: 'binary', operator, left, right: this.#binary(strength) };
    }
    return left;
  }

  #unary(): Expression {
    if (this.#is('not') || this.#is('!')) {
      this.#next++;
      return { node: 'unary', operator: 'not', of: this.#binary(NOT_STRENGTH) };
    }
    if (this.#is('-')) {
      this.#next++;
      return { node: 'unary', operator: '-', of: this.#unary() };
    }
    let expression = this.#primary();
    while (this.#is('.')) {
      this.#next++;
      const { kind, text, at } = this.#peek();
      if (kind !== 'word') throw this.#unexpected('a field');
      this.#next++;
      expression = { node: 'field', of: expression, field: text, at };
    }
    return expression;
  }

  #primary(): Expression {
    const { kind, text, at } = this.#peek();
    if (kind === 'number') {
      this.#take();
      return { node: 'number', value: Number(text) };
    }
    if (kind === 'text') {
      this.#take();
      return { node: 'text', value: text };
    }
    if (this.#is('(')) {
      this.#take();
      const inner = this.#binary(0);
      this.#expect(')');
      return inner;
    }
    if (kind !== 'word') throw this.#unexpected('a value');
    this.#take();
    if (!this.#is('(')) return { node: 'name', name: text, at };
    this.#take();
    const args: Expression[] = [];
    while (!this.#is(')')) {
      args.push(this.#binary(0));
      if (!this.#is(')')) this.#expect(',');
    }
    this.#take();
    return { node: 'call', name: text, args, at };
  }
}
