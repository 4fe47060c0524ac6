// Shrinking workloads: what is left still fails, nothing in it can go, and what goes takes along what needs it.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../events/index.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import type { Got } from '../../src/kernel/call.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { InputError, NotModelledError, UserError } from '../../src/lib/errors.js';
import { awake } from '../../src/oracle/conform/awake.js';
import { AREA_NAMES as ALL_AREAS, generateWorkload } from '../../src/oracle/conform/generate/index.js';
import { ARENA_END } from '../../src/oracle/conform/generate/places.js';
import { Run } from '../../src/sched/run.js';
import { floatMappings, nameAddresses } from '../../src/workload/addresses.js';
import { withoutOperations } from '../../src/workload/dependencies.js';
import { minimise } from '../../src/workload/minimise.js';
import type { Operation } from '../../src/workload/operation.js';
import { printOperation, printWorkload } from '../../src/workload/text/print.js';
import { parseWorkload } from '../support/workload.js';

/** Where tasks sleep, what is left of a workload may make no sense. */
const AREA_NAMES = ALL_AREAS.filter((name) => name !== 'uffd');
/** A fork that the whole pool had a page for may fail without what was left out. */
const NEVER_FAILING = AREA_NAMES.filter((name) => name !== 'hugetlb');

/** A generated workload without what children were to do that no fork made. */
const generated = (seed: number, number: number, areas: readonly string[], length: number): readonly Operation[] =>
  awake(generateWorkload({ seed, number, areas, length }), behavioursOf('6.18'), DEFAULT_MACHINE);

interface Ran {
  readonly events: readonly KernelEvent[];
  readonly gots: readonly Got[];
}

/** Runs operations on the model. @throws InputError for what cannot be. */
function run(operations: readonly Operation[]): Ran {
  const events: KernelEvent[] = [];
  const machine = { ...DEFAULT_MACHINE, mmapBase: ARENA_END };
  const model = new Run({ behaviours: behavioursOf('6.18'), machine, recorded: false, lenient: false }, [
    { event: (event) => events.push(event) },
  ]);
  return { events, gots: operations.map((operation) => model.execute(operation)) };
}

const lines = (operations: readonly Operation[]): string[] => operations.map(printOperation);
const text = (workload: string): Operation[] =>
  parseWorkload(workload.replace(/^\s+/gm, '')).map((operation) => ({ ...operation, line: 0 }));

/** Calls of one task that mean nothing together; every one is another text. */
const bulk = (count: number): Operation[] =>
  Array.from({ length: count }, (_, i) => ({
    line: i + 1,
    pid: 1,
    name: i % 3 === 0 ? 'store' : 'munmap',
    args: [0x100000000000 + i * 4096, i % 3 === 0 ? 17 : 4096],
    result: { kind: 'none' },
  }));

/** Fails where all of `wanted` are there, in order. */
const holds = (wanted: readonly string[], candidate: readonly Operation[]): boolean => {
  let next = 0;
  for (const line of lines(candidate)) if (line === wanted[next]) next++;
  return next === wanted.length;
};

describe('minimise', () => {
  it('finds any planted subset, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc
          .integer({ min: 1, max: 120 })
          .chain((n) => fc.tuple(fc.constant(n), fc.subarray([...Array(n).keys()], { minLength: 1 }))),
        async ([count, planted]) => {
          const operations = bulk(count);
          const wanted = planted.map((i) => printOperation(operations[i] as Operation));
          const found = await minimise(operations, async (candidate) => holds(wanted, candidate), {
            maxTrials: 20_000,
          });
          expect(lines(found)).toEqual(wanted);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('needs few trials for few operations of many', async () => {
    const operations = bulk(500);
    for (const planted of [
      [0, 250, 499],
      [17, 18, 19],
      [100, 101, 420],
      [498, 499],
    ]) {
      const wanted = planted.map((i) => printOperation(operations[i] as Operation));
      const texts: string[] = [];
      const found = await minimise(operations, async (candidate) => {
        texts.push(lines(candidate).join('\n'));
        return holds(wanted, candidate);
      });
      expect(lines(found)).toEqual(wanted);
      expect(texts.length).toBeLessThan(150);
      expect(new Set(texts).size, 'none is tried twice').toBe(texts.length);
    }
  });

  /** What workloads on the model may show; each needs a few operations that belong together. */
  const SIGHTS: readonly (readonly [string, (ran: Ran) => boolean])[] = [
    ['a copy on write', ({ events }) => events.some(({ type }) => type === 'CowPageMapped')],
    ['a page reused', ({ events }) => events.some(({ type }) => type === 'PageReused')],
    ['entries moved', ({ events }) => events.some(({ type }) => type === 'PtesMoved')],
    ['a task collected', ({ events }) => events.some(({ type }) => type === 'TaskReaped')],
    ['SIGBUS', ({ gots }) => gots.some((got) => got !== null && 'signal' in got && got.signal === 7)],
    ['EACCES', ({ gots }) => gots.some((got) => got !== null && 'errno' in got && got.errno === 'EACCES')],
  ];

  it.each(SIGHTS)('leaves of generated workloads the least that shows: %s', async (_, shows) => {
    let tried = 0;
    let impossible = 0;
    const fails = async (candidate: readonly Operation[]): Promise<boolean> => {
      tried++;
      try {
        return shows(run(candidate));
      } catch (error) {
        if (error instanceof NotModelledError) return false;
        if (!(error instanceof InputError)) throw error;
        impossible++;
        return false;
      }
    };
    let shown = 0;
    for (let number = 0; number < 1000 && shown < 5; number++) {
      const operations = generated(3, number, AREA_NAMES, 60);
      const ran = runUnlessRefused(operations);
      if (ran === null || !shows(ran)) continue;
      shown++;
      const found = await minimise(operations, fails);
      expect(shows(run(found))).toBe(true);
      // Pipes and rings take five to make, before anything goes through them.
      expect(found.length, printWorkload(found)).toBeLessThanOrEqual(12);
      for (let i = 0; i < found.length; i++) {
        const less = withoutOperations(found, (each) => each !== i);
        expect(less.length > 0 && (await fails(less)), printWorkload(less)).toBe(false);
      }
    }
    expect(shown).toBe(5);
    // What cannot run is hardly ever offered: it would cost a trial.
    expect(impossible / tried).toBeLessThan(0.08);
  });

  it('makes what is left plain', async () => {
    const operations = text(`
      1 mmap(0x1000801fd000, 0x7000, RW|EXEC, PRIV|ANON|FIXED|MAP_NORESERVE|MAP_POPULATE, -1, 0)
      1 store(0x1000801fe7ff, 0x77, 9000)
      1 mmap(0x1000401fd000, 0x3000, RO, SH|ANON|FIXED, -1, 0)
      1 fork() = 7
      7 fork() = 9
      9 store(0x1000801fe010, 0x55, 100)`);
    const found = await minimise(operations, async (candidate) =>
      run(candidate).events.some(({ type }) => type === 'CowPageMapped'),
    );
    expect(lines(found)).toEqual([
      // Populating spares the first store.
      '1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_POPULATE, -1, 0) = A',
      '1 fork() = 2',
      '2 store(A, 1)',
    ]);
  });

  it('shrinks what is huge in few steps, to whole pages', async () => {
    const operations = text('1 munmap(0x100040000000, 0x800000064)');
    let trials = 0;
    const found = await minimise(operations, async ([operation]) => {
      trials++;
      return Number(operation?.args[1]) >= 2 ** 30 + 8192;
    });
    const length = Number(found[0]?.args[1]);
    expect(length % 4096).toBe(0);
    expect(length).toBeLessThan(2 ** 30 * 1.2);
    expect(trials).toBeLessThan(60);
  });

  it('stops at the number of trials, with the best so far, and tells how it goes', async () => {
    const operations = bulk(200);
    const told: number[] = [];
    const wanted = lines(operations).filter((_, i) => i % 20 === 0);
    let trials = 0;
    const found = await minimise(
      operations,
      async (candidate) => {
        trials++;
        return holds(wanted, candidate);
      },
      { maxTrials: 30, progress: (now) => told.push(now.trials) },
    );
    expect(trials).toBe(30);
    expect(told).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(holds(wanted, found)).toBe(true);
    expect(found.length).toBeLessThan(operations.length);
  });

  it('refuses a workload that does not fail', async () => {
    await expect(minimise(bulk(3), async () => false)).rejects.toThrow(UserError);
  });
});

describe('operations that go', () => {
  const WORKLOAD = `
    inode("/data", 0, 8192, 1)
    1 openat(AT_FDCWD, "/data", O_RDWR) = ?
    1 memfd_create("m", 0) = 4
    1 fork() = 2
    2 dup(4) = ?
    1 mmap(NULL, 4096, RW, SH, 4, 0) = A
    2 close(3) = ?
    2 ftruncate(5, 4096) = ?
    1 store(A, 1)
    2 exit_group(0) = ?
    1 wait4(2, NULL, 0, NULL) = ?
    1 close(9) = ?`;
  const without = (...gone: readonly number[]): string[] =>
    lines(withoutOperations(text(WORKLOAD), (each) => !gone.includes(each)));

  it('take along what needs them, and the rest gets the descriptors it then has', () => {
    expect(without()).toEqual(lines(text(WORKLOAD)));
    expect(without(0)).toEqual([
      '1 memfd_create("m", 0) = 3',
      '1 fork() = 2',
      '2 dup(3) = ?',
      '1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = A',
      '2 ftruncate(4, 4096) = ?',
      '1 store(A, 1)',
      '2 exit_group(0) = ?',
      '1 wait4(2, NULL, 0, NULL) = ?',
      '1 close(9) = ?',
    ]);
    expect(without(3)).toEqual(lines(text(WORKLOAD)).filter((line) => !/^2|fork|wait4/.test(line)));
    expect(without(2)).toEqual([
      'inode("/data", 0, 8192, 1)',
      '1 openat(AT_FDCWD, "/data", O_RDWR) = ?',
      '1 fork() = 2',
      '2 close(3) = ?',
      '2 exit_group(0) = ?',
      '1 wait4(2, NULL, 0, NULL) = ?',
      '1 close(9) = ?',
    ]);
    expect(without(9)).toEqual(lines(text(WORKLOAD)).filter((line) => !/exit_group|wait4/.test(line)));
  });

  it('leave a descriptor that led nowhere leading nowhere', () => {
    const operations = text(`
      1 memfd_create("a", 0) = ?
      1 close(3) = ?
      1 close(3) = ?
      1 memfd_create("b", 0) = ?`);
    const left = withoutOperations(operations, (each) => each !== 1);
    expect(lines(left)).toEqual(['1 memfd_create("a", 0) = ?', '1 close(4) = ?', '1 memfd_create("b", 0) = ?']);
  });

  it('leave what runs, or what is refused by name', () => {
    fc.assert(
      fc.property(fc.nat({ max: 300 }), fc.infiniteStream(fc.boolean()), (number, chances) => {
        const operations = generated(5, number, NEVER_FAILING, 40);
        const keeps = operations.map(() => chances.next().value === true);
        const left = withoutOperations(operations, (index) => keeps[index] === true);
        expect(left.length).toBeLessThanOrEqual(keeps.filter((each) => each).length);
        try {
          run(left);
        } catch (error) {
          // Without a step before it, MADV_PAGEOUT may find a page that it is not modelled for.
          expect(error).toBeInstanceOf(NotModelledError);
        }
      }),
      { numRuns: 200 },
    );
  });
});

/** Null if the model refuses the workload by name, as it may one in hundreds. */
function runUnlessRefused(operations: readonly Operation[]): ReturnType<typeof run> | null {
  try {
    return run(operations);
  } catch (error) {
    if (error instanceof NotModelledError) return null;
    throw error;
  }
}

describe('addresses told from names', () => {
  it('mean exactly the same', () => {
    let named = 0;
    let refused = 0;
    for (let number = 0; number < 150; number++) {
      const operations = generated(9, number, AREA_NAMES, 30);
      const ran = runUnlessRefused(operations);
      if (ran === null) {
        refused++;
        continue;
      }
      const returned = (index: number): number | null => {
        const got = ran.gots[index];
        return got !== null && got !== undefined && 'value' in got ? got.value : null;
      };
      for (const candidate of [nameAddresses(operations), nameAddresses(operations, returned)]) {
        named += candidate.filter(({ result }) => result.kind === 'bind').length;
        expect(run(candidate)).toEqual(ran);
        // It also says the same when it is read back.
        expect(run(parseWorkload(printWorkload(candidate)))).toEqual(ran);
      }
    }
    expect(named).toBeGreaterThan(300);
    expect(refused).toBeLessThan(8);
  });

  it('are left as numbers where the result is not certain, or is expected', () => {
    const operations = text(`
      1 mmap(0x100000200000, 8192, RW, PRIV|ANON, -1, 0) = ?
      1 mmap(0x100000210000, 8192, RW, PRIV|ANON|FIXED, -1, 0) = 0x100000210000
      1 mmap(0x100000220000, 8192, RW, PRIV|ANON|FIXED, -1, 0) = ?
      1 store(0x100000201000, 1)
      1 store(0x100000211000, 1)
      1 store(0x100000221010, 1)
      1 store(0x100000222000, 1)`);
    expect(lines(nameAddresses(operations)).slice(2)).toEqual([
      '1 mmap(0x100000220000, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = A',
      '1 store(0x100000201000, 1)',
      '1 store(0x100000211000, 1)',
      '1 store(A+0x1010, 1)',
      '1 store(0x100000222000, 1)',
    ]);
    expect(lines(nameAddresses(operations, (index) => (index === 0 ? 0x100000200000 : null)))[3]).toBe(
      '1 store(A+0x1000, 1)',
    );
    expect(floatMappings(text('1 store(0x100000201000, 1)'))).toBe(null);
  });
});
