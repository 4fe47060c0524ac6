import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MalformedError } from '../../replays/log/columns.js';
import { pack, unpack } from '../../replays/log/format.js';
import type { FinishedOperation } from '../../replays/log/operation-codec.js';
import { decodeOperations, encodeOperations } from '../../replays/log/operation-codec.js';
import type { Operation } from '../../src/workload/operation.js';

const text = fc.string({ unit: 'grapheme', maxLength: 8 });
const integer = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    integer,
    fc.constant(null),
    fc.record({ word: text }),
    fc.record({ text }),
    fc.record({ ref: text, add: fc.integer() }),
    fc.record({ fd: fc.integer(), path: text }),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.record({ fields: fc.dictionary(fc.constantFrom('st_size', 'events', 'iov_len'), tie('value')) }),
  ),
}));
const result = fc.oneof(
  fc.record({ kind: fc.constant('value'), value: integer }),
  fc.record({ kind: fc.constant('bind'), names: fc.array(text, { minLength: 1, maxLength: 2 }) }),
  fc.record({ kind: fc.constant('bind'), names: fc.constant(['A']), value: fc.integer() }),
  fc.record({ kind: fc.constant('ref'), ref: fc.record({ ref: text, add: fc.integer() }) }),
  fc.record({ kind: fc.constant('errno'), errno: fc.constantFrom('EFAULT', 'ENOMEM') }),
  fc.record({ kind: fc.constant('signal'), signal: fc.constant('SIGSEGV') }),
  fc.record({ kind: fc.constant('none') }),
);
const got = fc.oneof(
  fc.constant(null),
  fc.record({ value: integer }),
  fc.record({ errno: fc.constantFrom('EFAULT', 'ENOMEM') }),
  fc.record({ signal: fc.constantFrom('SIGSEGV', 'SIGBUS'), code: fc.integer(), addr: fc.maxSafeInteger() }),
);
const operation = fc.record(
  {
    line: fc.nat(),
    pid: fc.oneof(fc.constant(null), fc.nat()),
    name: fc.constantFrom('fault', 'mmap', 'store', '__proto__', 'constructor'),
    args: fc.array(value, { maxLength: 4 }),
    result,
    unfinished: fc.boolean(),
  },
  { requiredKeys: ['line', 'pid', 'name', 'args', 'result'] },
) as fc.Arbitrary<Operation>;
const finished = fc.record({ operation, got, firstEvent: fc.nat(), events: fc.nat() });

const throughBytes = (first: number, operations: readonly FinishedOperation[]): unknown =>
  decodeOperations(unpack(pack(encodeOperations(first, operations))));

describe('operations in a frame', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(finished, { maxLength: 30 }), (first, operations) => {
        expect(throughBytes(first, operations)).toEqual(
          operations.map(({ operation: plain, ...outcome }, i) => ({ ...plain, id: first + i, ...outcome })),
        );
      }),
      { numRuns: 300 },
    );
  });
  it('take six bytes or less for a fault of a recording', () => {
    const faults = Array.from({ length: 1024 }, (_, i): FinishedOperation => {
      const args = [0x7f0000000000 + 4096 * ((i * 7919) % 65536), { word: 'W' }];
      const plain = { line: 10 + i, pid: 4711, name: 'fault', args, result: { kind: 'none' } };
      return { operation: plain, got: { value: 0 }, firstEvent: 3 * i, events: 3 };
    });
    expect(pack(encodeOperations(0, faults)).length).toBeLessThan(6 * 1024);
  });
  it('are malformed where no encoder made them so', () => {
    const sound = encodeOperations(0, [
      { operation: { line: 1, pid: 1, name: 'a', args: [1, {}], result: null }, got: null, firstEvent: 0, events: 0 },
    ]) as unknown[];
    const with_ = (at: number, part: unknown): unknown => sound.map((was, i) => (i === at ? part : was));
    for (const bad of [
      7,
      [],
      with_(0, -1),
      with_(1, 2 ** 30),
      with_(2, []),
      with_(2, [[1, 2, 3]]),
      with_(2, [['a', 0, 2, 77]]),
    ])
      expect(() => decodeOperations(bad)).toThrow(MalformedError);
    expect(() => decodeOperations(with_(3, 5))).toThrow(MalformedError);
    expect(() => decodeOperations(with_(8, [[]]))).toThrow(MalformedError);
    expect(() => decodeOperations(with_(9, []))).toThrow(MalformedError);
  });
});
