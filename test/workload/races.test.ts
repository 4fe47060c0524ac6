// The races in examples/races: workloads for an explorer of schedules. They are read, printed and kept whole; run refuses them by name.
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NotModelledError } from '../../src/lib/errors.js';
import { withoutOperations } from '../../src/workload/dependencies.js';
import type { Operation } from '../../src/workload/operation.js';
import { printWorkload } from '../../src/workload/text/print.js';
import { parseWorkload, runWorkload } from '../support/workload.js';

const FILES = readdirSync('examples/races').filter((file) => file.endsWith('.fsw'));
const textOf = (file: string): string => readFileSync(`examples/races/${file}`, 'utf8');

/** Words of the only argument. */
const words = ({ args }: Operation): string[] => (args[0] as { text: string }).text.split(' ');
const plain = (operations: readonly Operation[]): unknown[] => operations.map((each) => ({ ...each, line: 0 }));

describe.each(FILES)('%s', (file) => {
  const operations = parseWorkload(textOf(file));
  const begin = operations.findIndex(({ name }) => name === 'parallel');
  const end = operations.findIndex(({ name }) => name === 'end_parallel');

  it('lets tasks race, and gives an order of all their steps', () => {
    const block = operations.slice(begin + 1, end);
    const racers = new Set(block.map(({ pid }) => pid));
    expect(racers.size).toBeGreaterThan(1);
    const steps = block.filter(({ name }) => name === 'steps').flatMap((each) => words(each));
    const names = steps.map((step) => step.replace(/=.*/, ''));
    const schedule = operations.find(({ name }) => name === 'schedule') as Operation;
    expect(words(schedule).toSorted()).toEqual(names.toSorted());
    expect(words(schedule)).not.toEqual(names);
  });
  it('is the same when printed and read back', () => {
    expect(plain(parseWorkload(printWorkload(operations)))).toEqual(plain(operations));
  });
  it('is refused by name, and as expected where the tasks take turns', () => {
    const modelled = !textOf(file).includes('remap_file_pages');
    if (modelled) expect(() => runWorkload(textOf(file))).toThrow(/needs the explorer of schedules \(line \d+\)/);
    expect(() => runWorkload(textOf(file))).toThrow(NotModelledError);
    const { run } = runWorkload(textOf(file), { lenient: true });
    expect(run.notModelled.get('a parallel block, which needs the explorer of schedules')).toBe(1);
    expect(run.mismatches).toEqual([]);
    expect(run.checked).toBeGreaterThan(0);
  });
});

describe('what is left out', () => {
  const race = (): readonly Operation[] =>
    parseWorkload(`
1 mmap(NULL, P, RW, PRIV|ANON, -1, 0) = A
1 clone(CLONE_VM) = 2
parallel {
1 steps g1 g2
1 store(A, 1)
2 m1: store(A, 2)
2 load(A)
}
schedule g1 m1 g2
1 load(A)`);
  const left = (gone: string, nth = 0): string[] => {
    const operations = race();
    const out = operations.map(({ name }, i) => (name === gone ? i : -1)).filter((i) => i >= 0)[nth];
    return withoutOperations(operations, (i) => i !== out).map(({ pid, name }) => `${pid ?? ''}${name}`);
  };
  it('takes along the names of its steps, and the order that has them', () => {
    const without = left('store', 1);
    expect(without).toEqual([...['1mmap', '1clone', 'parallel', '1steps', '1store', '2load', 'end_parallel', '1load']]);
    expect(left('steps')).toEqual([
      ...['1mmap', '1clone', 'parallel', '1store', '2steps', '2store', '2load', 'end_parallel', '1load'],
    ]);
  });
  it('leaves no half of a block behind', () => {
    const whole = ['1mmap', '1clone', '1store', '2store', '2load', '1load'];
    expect(left('parallel')).toEqual(whole);
    expect(left('end_parallel')).toEqual(whole);
    expect(left('schedule')).toEqual(
      race().flatMap(({ pid, name }) => (name === 'schedule' ? [] : [`${pid ?? ''}${name}`])),
    );
  });
});
