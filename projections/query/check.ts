// `check EXPR` on a run's state.
import type { KernelView } from '../../reducers/state.js';
import { evaluate, truth, valueText } from './evaluate.js';
import type { Expression, Operator } from './parse.js';
import { parseExpression } from './parse.js';
import type { QueryScope } from './evaluate.js';

/** What `check` needs of a run. */
export interface Checked {
  readonly view: KernelView;
  boundTo(name: string): number | undefined;
}

const COMPARISONS: ReadonlySet<Operator> = new Set<Operator>(['==', '!=', '<', '<=', '>', '>=']);

/** Whether `expression` holds; for a comparison that does not, what its left side is. */
export function check(expression: string, run: Checked, pid: number): { holds: boolean; value: string } {
  const parsed = parseExpression(expression);
  const scope: QueryScope = { state: run.view, nameOf: (name) => run.boundTo(name), pid };
  const value = evaluate(parsed, scope);
  return { holds: truth(value), value: truth(value) ? 'true' : whatItIs(parsed, scope) };
}

function whatItIs(expression: Expression, scope: QueryScope): string {
  if (expression.node === 'binary' && COMPARISONS.has(expression.operator))
    return valueText(evaluate(expression.left, scope));
  return valueText(evaluate(expression, scope));
}
