// Evaluating expressions on a state: subjects carry the kernel's names for their fields.
import type { KernelView } from '../../reducers/state.js';
import { InputError, NotModelledError } from '../../src/lib/errors.js';
import type { Expression, Operator } from './parse.js';
import type { Subject } from './subjects.js';
import { SUBJECTS, machineSubject } from './subjects.js';

/** What an expression can be. `null`: nothing there. */
export type QueryValue = number | boolean | string | null | Subject;

/** Where names and defaults of an expression come from. */
export interface QueryScope {
  readonly state: KernelView;
  /** A name bound by the workload. */
  readonly nameOf: (name: string) => number | undefined;
  /** Task that subjects mean where they name none. */
  readonly pid: number;
}

/** Constants that expressions know. */
const CONSTANTS: Readonly<Record<string, QueryValue>> = {
  true: true,
  false: false,
  none: null,
  P: 4096,
  H: 2 * 1024 * 1024,
};

/**
 * The value of `expression`.
 * @throws InputError for names, fields and operands that make no sense; NotModelledError for subjects that are not modelled.
 */
export function evaluate(expression: Expression, scope: QueryScope): QueryValue {
  switch (expression.node) {
    case 'number':
    case 'text':
      return expression.value;
    case 'name':
      return nameValue(expression.name, expression.at, scope);
    case 'call': {
      const subject = Object.hasOwn(SUBJECTS, expression.name) ? SUBJECTS[expression.name] : undefined;
      if (subject === undefined) throw new NotModelledError(`${expression.name}(...) in expressions`);
      return subject(
        scope,
        expression.args.map((arg) => numberOf(evaluate(arg, scope), expression.at)),
        expression.at,
      );
    }
    case 'field':
      return fieldOf(evaluate(expression.of, scope), expression.field, expression.at);
    case 'unary': {
      const value = evaluate(expression.of, scope);
      return expression.operator === 'not' ? !truth(value) : -numberOf(value, 0);
    }
    case 'binary':
      return binary(expression.operator, expression.left, expression.right, scope);
  }
}

/** Does the expression hold? Zero, false, none and the empty text do not. */
export function truth(value: QueryValue): boolean {
  return value !== null && value !== false && value !== 0 && value !== '';
}

/** A value in words. */
export function valueText(value: QueryValue): string {
  if (value === null) return 'none';
  if (typeof value === 'object') return value.name;
  return String(value);
}

function nameValue(name: string, at: number, scope: QueryScope): QueryValue {
  const bound = scope.nameOf(name);
  if (bound !== undefined) return bound;
  if (Object.hasOwn(CONSTANTS, name)) return CONSTANTS[name] as QueryValue;
  const machine = machineSubject(scope.state, name);
  if (machine !== null) return machine;
  throw new InputError({ column: at + 1 }, `nothing is called '${name}'`);
}

function fieldOf(value: QueryValue, field: string, at: number): QueryValue {
  if (value === null) return null;
  if (typeof value !== 'object') throw new InputError({ column: at + 1 }, `${valueText(value)} has no fields`);
  if (Object.hasOwn(value.fields, field)) return value.fields[field] as QueryValue;
  const known = Object.keys(value.fields).join(', ');
  if (value.absent?.includes(field) === true) return null;
  if (value.name === 'meminfo') throw new NotModelledError(`meminfo.${field}`);
  throw new InputError({ column: at + 1 }, `${value.name} has no field '${field}'; it has ${known}`);
}

function numberOf(value: QueryValue, at: number): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  throw new InputError({ column: at + 1 }, `a number was expected, not ${valueText(value)}`);
}

function binary(operator: Operator, left: Expression, right: Expression, scope: QueryScope): QueryValue {
  if (operator === 'and') return truth(evaluate(left, scope)) && truth(evaluate(right, scope));
  if (operator === 'or') return truth(evaluate(left, scope)) || truth(evaluate(right, scope));
  const a = evaluate(left, scope);
  const b = evaluate(right, scope);
  if (operator === '==') return equal(a, b);
  if (operator === '!=') return !equal(a, b);
  const [x, y] = [numberOf(a, 0), numberOf(b, 0)];
  switch (operator) {
    case '<':
      return x < y;
    case '<=':
      return x <= y;
    case '>':
      return x > y;
    case '>=':
      return x >= y;
    case '+':
      return x + y;
    case '-':
      return x - y;
    default:
      return x * y;
  }
}

/** 1 and true are equal, and so are 0 and false: the kernel's flags are written either way. */
function equal(a: QueryValue, b: QueryValue): boolean {
  const plain = (value: QueryValue): QueryValue => (typeof value === 'boolean' ? Number(value) : value);
  const [x, y] = [plain(a), plain(b)];
  if (typeof x === 'object' && typeof y === 'object') return x === y || (x !== null && y !== null && x.name === y.name);
  return x === y;
}
