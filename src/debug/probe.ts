// An expression asked again and again over a run: its value in words, and whether it holds.
import type { QueryScope, QueryValue } from '../../projections/query/evaluate.js';
import { evaluate, truth, valueText } from '../../projections/query/evaluate.js';
import { Footprint } from '../../projections/query/footprint.js';
import type { Expression } from '../../projections/query/parse.js';
import { parseExpression } from '../../projections/query/parse.js';
import { isAbsence } from '../../projections/query/turning.js';
import type { KernelView } from '../../reducers/state.js';
import { InputError } from '../lib/errors.js';
import { hex } from './words.js';

/** What names in an expression mean, and which task where it names none. */
export type Names = Pick<QueryScope, 'nameOf' | 'pid'>;

/** Numbers from here on are addresses, printed as such. */
const ADDRESS_MIN = 2 ** 24;

const plainText = (value: QueryValue): string =>
  typeof value === 'number' && value >= ADDRESS_MIN ? hex(value) : valueText(value);

/** The fields of a subject as `name=value`; other values as valueText() has them, large numbers in hexadecimal. */
export function wholeText(value: QueryValue): string {
  if (value === null || typeof value !== 'object') return plainText(value);
  return Object.entries(value.fields)
    .filter(([name]) => name !== 'addr' && name !== 'level')
    .map(([name, each]) => `${name}=${plainText(each)}`)
    .join(' ');
}

/** The value of `expression`; null where its subject is not there. @throws InputError where it makes no sense. */
export function valueAt(expression: Expression, names: Names, state: KernelView): QueryValue {
  try {
    return evaluate(expression, { ...names, state });
  } catch (error) {
    if (error instanceof InputError && isAbsence(error)) return null;
    throw error;
  }
}

export class Probe {
  readonly text: string;
  readonly expression: Expression;
  readonly #names: Names;
  readonly #footprint: Footprint;
  #value: QueryValue = null;
  #text = '';

  /**
   * Asks for `text`, or for that part of it that `expression` is.
   * @throws InputError with the column where `text` is no expression, or makes no sense on `state`.
   */
  constructor(text: string, names: Names, state: KernelView, expression: Expression = parseExpression(text)) {
    this.text = text;
    this.expression = expression;
    this.#names = names;
    this.#footprint = new Footprint(this.expression, names);
    this.#look(state);
  }

  /** The same question, for another walk through states. */
  again(state: KernelView): Probe {
    return new Probe(this.text, this.#names, state, this.expression);
  }

  /** Its value in words; `none` where its subject is not there. */
  value(state: KernelView): string {
    this.#look(state);
    return this.#text;
  }

  /** Does it hold? Not where its subject is not there. */
  holds(state: KernelView): boolean {
    this.#look(state);
    return truth(this.#value);
  }

  #look(state: KernelView): void {
    if (!this.#footprint.changed(state)) return;
    this.#value = valueAt(this.expression, this.#names, state);
    this.#text = wholeText(this.#value);
  }
}
