// Operations that come out of a log: those that parsers make pass, made-up ones are refused.
import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/lib/errors.js';
import { loggedOperation } from '../../src/workload/logged.js';
import type { UncheckedOperation } from '../../src/workload/logged.js';

const operation = (change: Partial<UncheckedOperation>): UncheckedOperation => ({
  line: 1,
  pid: 1,
  name: 'mmap',
  args: [null, 4096, { ref: 'A', add: 8 }, { text: 'x' }, { fd: 3, path: '/x' }, { word: 'W' }, [1, 2n]],
  result: { kind: 'bind', names: ['B'] },
  ...change,
});

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = { fields: { inner: value } };
  return value;
}

describe('an operation from a log', () => {
  it.each([
    {},
    { pid: null },
    { args: [nested(20)] },
    { result: { kind: 'none' } },
    { result: { kind: 'value', value: 2n ** 63n } },
    { result: { kind: 'errno', errno: 'EINVAL' } },
    { result: { kind: 'ref', ref: { ref: 'A', add: 0 } } },
  ])('passes: %o', (change) => {
    const logged = operation(change);
    expect(loggedOperation(logged)).toBe(logged);
  });

  it.each([
    { line: 0.5 },
    { pid: -1 },
    { args: [{}] },
    { args: [{ text: 1 }] },
    { args: [{ ref: 'A' }] },
    { args: [{ fd: 3 }] },
    { args: [undefined] },
    { args: [1.5] },
    { args: [new Uint8Array(2)] },
    { args: [nested(100)] },
    { result: null },
    { result: { kind: 'bind' } },
    { result: { kind: 'value', value: 'x' } },
    { result: { kind: 'toString' } },
  ])('is refused: %o', (change) => {
    expect(() => loggedOperation(operation(change))).toThrow(InputError);
  });
});
