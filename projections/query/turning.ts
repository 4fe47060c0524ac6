// Expressions watched over a whole run: what they are at each position, and whether they can go back once they hold.
import type { KernelView } from '../../reducers/state.js';
import { InputError } from '../../src/lib/errors.js';
import type { QueryScope } from './evaluate.js';
import { evaluate, truth, valueText } from './evaluate.js';
import type { Expression, Operator } from './parse.js';
import { parseExpression } from './parse.js';

/** Fields that only ever grow, as long as their subject is there. */
const GROWING: ReadonlySet<string> = new Set(['min_flt', 'maj_flt', 'hiwater_rss', 'exited']);
const COMPARISONS: ReadonlySet<Operator> = new Set<Operator>(['==', '!=', '<', '<=', '>', '>=']);

/** Once it holds, does it hold for good (while its subjects are there)? */
export function staysTrue(expression: Expression): boolean {
  if (expression.node === 'field') return GROWING.has(expression.field);
  if (expression.node !== 'binary') return false;
  const { operator, left, right } = expression;
  if (operator === 'and' || operator === 'or') return staysTrue(left) && staysTrue(right);
  return (
    (operator === '>=' || operator === '>') &&
    left.node === 'field' &&
    GROWING.has(left.field) &&
    right.node === 'number'
  );
}

/** Does the error say that a subject is not there (yet, or any more), rather than that the expression makes no sense? */
export const isAbsence = ({ problem }: InputError): boolean => /^(there is no|task \d+ has exited)/.test(problem);

/** An expression to be asked at many positions. */
export class Watched {
  readonly expression: Expression;
  readonly #scope: Omit<QueryScope, 'state'>;
  #answered = false;
  #error: InputError | null = null;

  /**
   * `scope` says what names mean, and which task is meant where none is named.
   * @throws InputError with the column where `text` is no expression.
   */
  constructor(text: string, scope: Omit<QueryScope, 'state'>) {
    this.expression = parseExpression(text);
    this.#scope = scope;
  }

  /** Does it hold? Not where its subjects are not there (yet, or any more). */
  holds(state: KernelView): boolean {
    try {
      const value = truth(evaluate(this.expression, { ...this.#scope, state }));
      this.#answered = true;
      return value;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      // That a subject is not there says less than what is wrong with a field or name.
      if (this.#error === null || !isAbsence(error)) this.#error = error;
      return false;
    }
  }

  /** What its left side is (of a comparison), or it itself, in words. */
  value(state: KernelView): string {
    const { expression } = this;
    const of = expression.node === 'binary' && COMPARISONS.has(expression.operator) ? expression.left : expression;
    try {
      return valueText(evaluate(of, { ...this.#scope, state }));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      return 'none';
    }
  }

  /** @throws InputError why it never made sense, if it did not at any position asked. */
  requireAnswer(): void {
    if (!this.#answered && this.#error !== null) throw this.#error;
  }
}
