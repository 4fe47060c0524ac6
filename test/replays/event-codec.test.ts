import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { ColumnEncoder, MalformedError, decodeColumn } from '../../replays/log/columns.js';
import { CODECS, EventDecoder, EventEncoder, codecOf } from '../../replays/log/event-codec.js';
import { pack, unpack } from '../../replays/log/format.js';
import { EVENT_TYPES, arbitraryEvent } from '../support/arbitrary-events.js';

const encoder = new EventEncoder();
const decoder = new EventDecoder();
const orderOf = (events: readonly KernelEvent[]): Uint8Array =>
  Uint8Array.from(events, ({ type }) => CODECS[type].opcode);
const throughBytes = (events: readonly KernelEvent[]): KernelEvent[] =>
  decoder.decode(unpack(pack(encoder.encode(events, orderOf(events)))), orderOf(events));

it('no two types of events share an opcode', () => {
  const opcodes = Object.values(CODECS).map(({ opcode }) => opcode);
  expect(new Set(opcodes).size).toBe(opcodes.length);
});

describe('the columns of a chunk', () => {
  it('give back every event, whatever numbers it holds', () => {
    fc.assert(
      fc.property(fc.array(arbitraryEvent(), { minLength: 1, maxLength: 40 }), (events) => {
        expect(throughBytes(events)).toEqual(events);
      }),
      { numRuns: 300 },
    );
  });
  it.each(EVENT_TYPES)('give back %s among its like', (type) => {
    fc.assert(
      fc.property(fc.array(arbitraryEvent([type]), { minLength: 1, maxLength: 20 }), (events) => {
        expect(throughBytes(events)).toEqual(events);
      }),
      { numRuns: 30 },
    );
  });
  it('are the same where code cannot be made from the catalogue', () => {
    const columns = Array.from({ length: 16 }, () => new Float64Array(4));
    fc.assert(
      fc.property(arbitraryEvent(), (event) => {
        const general = codecOf(event.type, true);
        const compiled = CODECS[event.type];
        general.gather([event, event], 2, columns);
        const gathered = columns.map((column) => column[1]);
        compiled.gather([event, event], 2, columns);
        expect(columns.map((column) => column[1])).toEqual(gathered);
        const values = compiled.fields.map(([name]) => [null, (event as unknown as Record<string, number>)[name]]);
        const built = general.build(values, 1);
        expect(built).toEqual(event);
        expect(compiled.build(values as never, 1)).toEqual(event);
        expect(Object.keys(built)).toEqual(Object.keys(compiled.build(values as never, 1)));
      }),
    );
  });
  it('share no list with what was encoded', () => {
    const freed = [1, 2];
    const [back] = throughBytes([{ type: 'LruAddDrained', cpu: 0, ref: -1, freed }]);
    freed[0] = 9;
    expect(back).toEqual({ type: 'LruAddDrained', cpu: 0, ref: -1, freed: [1, 2] });
  });
});

describe('a column', () => {
  const back = (values: readonly number[]): number[] => {
    const out = new Float64Array(values.length);
    decodeColumn(new ColumnEncoder().encode(Float64Array.from(values), values.length), values.length, out);
    return [...out];
  };
  it('keeps any whole number, and makes -0 zero', () => {
    fc.assert(
      fc.property(fc.array(fc.maxSafeInteger()), (values) => {
        expect(back(values)).toEqual(values);
      }),
    );
    expect(back([0, -0, 5, -0])).toEqual([0, 0, 5, 0]);
  });
  it.each([[NaN], [1.5], [Infinity], [2 ** 53]])('of %d is a bug of whoever made it', (value) => {
    expect(() => back([value])).toThrow('number-not-whole');
    expect(() => back([1, value])).toThrow('number-not-whole');
  });
  it('is one number where all are equal', () => {
    expect(new ColumnEncoder().encode(new Float64Array(1000).fill(2 ** 50), 1000)).toBe(2 ** 50);
  });
  it('takes two bytes more than a byte for each small step', () => {
    const steps = Float64Array.from({ length: 1000 }, (_, i) => 0x7f0000000000 + i);
    expect((new ColumnEncoder().encode(steps, 1000) as Uint8Array).length).toBeLessThan(1010);
  });
  it.each([
    ['too short', Uint8Array.of(0, 2), 2],
    ['too long', Uint8Array.of(0, 2, 2, 2), 2],
    ['ended inside a number', Uint8Array.of(0, 2, 0x80), 2],
    ['with an endless number', new Uint8Array(20).fill(0x80, 1), 2],
    ['of an unknown mode', Uint8Array.of(9, 2, 2), 2],
    ['of a number that is not whole', 0.5, 2],
    ['of raw numbers that are not whole', Uint8Array.of(1, ...new Uint8Array(Float64Array.of(0.5, NaN).buffer)), 2],
    [
      'of differences beyond all numbers',
      Uint8Array.of(0, ...Array.from({ length: 9 }, () => [254, 255, 255, 255, 255, 255, 255, 15]).flat()),
      9,
    ],
    ['of half a double', Uint8Array.of(1, 0, 0), 2],
    ['that is no column', 'x', 2],
  ])('%s is malformed', (_, column, count) => {
    expect(() => decodeColumn(column, count, new Float64Array(count))).toThrow(MalformedError);
  });
});

describe('tables that nobody encoded', () => {
  const order = Uint8Array.of(41, 41);
  it.each([
    ['no tables', 7],
    ['an unknown type', [[200, 2, 0]]],
    ['more events than the chunk holds', [[41, 3, 0]]],
    ['fewer events than the order names', [[41, 1, 0]]],
    [
      'events that the order leaves out',
      [
        [41, 2, 0],
        [45, 1, 0],
      ],
    ],
    [
      'a type twice',
      [
        [41, 2, 0],
        [41, 2, 0],
      ],
    ],
    ['missing fields', [[41, 2]]],
  ])('%s are malformed', (_, tables) => {
    expect(() => decoder.decode(tables, order)).toThrow(MalformedError);
  });
  it.each([
    ['more numbers than memory', [[46, 1, 0, 0, [2 ** 40, 2, 0, 0]]]],
    ['part of a run', [[46, 1, 0, 0, [3, 2, 0, 0]]]],
    ['a stride of its own', [[46, 1, 0, 0, [2, 9, 0, 0]]]],
    ['a negative length', [[46, 1, 0, 0, [-2, 2, 0, 0]]]],
  ])('a list of %s is malformed', (_, tables) => {
    expect(() => decoder.decode(tables, Uint8Array.of(46))).toThrow(MalformedError);
  });
});
