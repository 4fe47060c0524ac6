// bisect --behaviours: which change of the kernel makes a workload do something else.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { closed, decidingSwitches, differing, turnedTo } from '../../src/cli/behaviour-bisect.js';
import type { BisectBehavioursOptions } from '../../src/cli/commands/bisect-behaviours.js';
import { bisectBehavioursCommand } from '../../src/cli/commands/bisect-behaviours.js';
import type { BehaviourName, Behaviours } from '../../src/kernel/behaviours.js';
import { BEHAVIOURS, BEHAVIOUR_NAMES, behavioursOf } from '../../src/kernel/behaviours.js';
import { recordingPath } from '../support/recordings.js';
import { runWorkload } from '../support/workload.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'folioscope-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Bisected {
  readonly code: number;
  readonly out: string;
}

async function bisected(workload: string, options: Partial<BisectBehavioursOptions>): Promise<Bisected> {
  const path = workload.endsWith('.gz') ? workload : join(folder, 'in.fsw');
  if (path !== workload) writeFileSync(path, `# folioscope workload\n${workload.trim()}\n`);
  let out = '';
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  try {
    const code = await bisectBehavioursCommand(path, { check: false, lenient: false, json: true, ...options });
    return { code, out };
  } finally {
    spy.mockRestore();
  }
}

interface Deciding {
  readonly name: string;
  readonly turned: string;
  readonly brought: boolean;
}
/** Names that decide, those that only go along left out; with signs. */
const deciding = ({ out }: Bisected): string[] =>
  (JSON.parse(out) as { deciding: Deciding[] }).deciding
    .filter(({ brought }) => !brought)
    .map(({ name, turned }) => `${turned === 'on' ? '+' : '-'}${name}`);

const MPROTECT = `
1 mmap(NULL, 4096, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11)
1 mprotect(A, 4096, RO) = 0
1 mprotect(A, 4096, RW) = 0
check page(1, A).writable`;

describe('the change that decides', () => {
  it('of a page that mprotect makes writable: 6.0', async () => {
    const result = await bisected(MPROTECT, { check: true });
    expect(result.code).toBe(0);
    expect(deciding(result)).toEqual(['+mprotect-upgrades-exclusive']);
    expect(JSON.parse(result.out)).toMatchObject({
      from: { kernel: '2.6.26', shows: true, line: 6 },
      to: { kernel: '6.18', shows: false },
      necessary: true,
    });
  });
  it('is shown with what it means, and what goes along', async () => {
    const { out } = await bisected(MPROTECT, { check: true, json: false });
    const { description, since } = BEHAVIOURS['mprotect-upgrades-exclusive'];
    for (const part of [description, `since ${since}`, 'with anon-exclusive, which goes along'])
      expect(out).toContain(part);
  });
  it('backwards as well, then by turning off', async () => {
    const result = await bisected(MPROTECT, { check: true, from: '6.18', to: '5.19' });
    expect(deciding(result)).toEqual(['-mprotect-upgrades-exclusive']);
  });
  it('of a copy that a page waiting for the LRU costs: 5.9, mended by 5.18', async () => {
    // The child is gone; what is left beside the mapping is the reference of the batch of new pages.
    const workload = `
1 mmap(NULL, 4096, RW, PRIV|ANON, -1, 0) = A
1 store(A, 0x11)
1 fork() = 2
2 exit_group(0)
1 store(A, 0x22)`;
    const [first, copy] = ['5.8', '5.9'].map((kernel) => {
      const ran = runWorkload(workload, { kernel });
      return ran.pfn(1, ran.addr('A'));
    });
    expect(copy).not.toBe(first);
    const when = `page(1, A).frame == ${copy}`;
    expect(deciding(await bisected(workload, { when, from: '5.8', to: '5.9' }))).toEqual(['+cow-reuse-by-refcount']);
    expect(deciding(await bisected(workload, { when, from: '5.17', to: '5.18' }))).toEqual(['+wp-reuse-drains-lru']);
    expect((await bisected(workload, { when, from: '5.8', to: '6.18' })).code).toBe(1);
  });
  it('of a leak that 5.8 stopped one way, and 5.9 another', async () => {
    const workload = readFileSync('examples/bugs/cow-vmsplice-child.fsw', 'utf8');
    const leak = { invariant: 'leak-oracle' };
    expect(deciding(await bisected(workload, { ...leak, from: '5.7', to: '5.8' }))).toEqual(['+gup-read-breaks-cow']);
    expect(deciding(await bisected(workload, { ...leak, from: '5.7', to: '5.9' }))).toEqual(['+cow-reuse-by-refcount']);
    expect((await bisected(workload, { ...leak, from: '5.8', to: '5.9' })).code).toBe(1);
  });
  it('of an invariant that Linux itself breaks only where mappings merge: 6.7 keeps stacks apart', async () => {
    const result = await bisected(
      `
1 mmap(0x20001000, 4096, RW, PRIV|ANON|FIXED, -1, 0) = A
1 mmap(0x20000000, 4096, RW, PRIV|ANON|FIXED|MAP_STACK, -1, 0)
1 mlock(0x20000000, 8192)
1 mremap(0x20000000, 8192, 8192, MREMAP_MAYMOVE|MREMAP_DONTUNMAP)`,
      { invariant: 'locked-vm-equals-vmas' },
    );
    expect(deciding(result)).toEqual(['+map-stack-nohugepage']);
    expect(JSON.parse(result.out)).toMatchObject({ from: { shows: true, line: 5 }, to: { shows: false } });
  });
  it('of a move over several mappings: 6.17', async () => {
    const workload = `
1 mmap(0x20000000, 8192, RW, PRIV|ANON|FIXED, -1, 0)
1 mprotect(0x20000000, 4096, RO)
1 mremap(0x20000000, 8192, 8192, MREMAP_MAYMOVE|MREMAP_FIXED, 0x30000000) = B`;
    // Where it is refused, its result cannot be bound: that is an expectation that fails.
    expect(deciding(await bisected(workload, { check: true }))).toEqual(['+mremap-moves-several']);
    expect(deciding(await bisected(workload, { when: 'vma(1, 0x30000000) != none', from: '6.6' }))).toEqual([
      '+mremap-moves-several',
    ]);
  });
});

describe('where nothing decides', () => {
  it('it says so and returns 1', async () => {
    const { code, out } = await bisected(MPROTECT, { when: 'mm(1).rss_anon == 1', json: false });
    expect(code).toBe(1);
    expect(out).toContain('alike');
    const recording = await bisected(recordingPath('cow.perf.txt.gz'), { invariant: 'rss-equals-ptes', from: '6.0' });
    expect(recording.code).toBe(1);
    expect(JSON.parse(recording.out)).toMatchObject({ deciding: null, from: { shows: false, stopped: null } });
  });
  it('bad options and workloads are errors', async () => {
    const code = (options: Partial<BisectBehavioursOptions>, workload = MPROTECT): Promise<unknown> =>
      bisected(workload, options).catch((error: unknown) => (error as { exitCode: number }).exitCode);
    expect(await code({})).toBe(2);
    expect(await code({ check: true, when: '1 == 1' })).toBe(2);
    expect(await code({ invariant: 'nonsense' })).toBe(2);
    expect(await code({ check: true, from: '1.0' })).toBe(2);
    expect(await code({ when: 'page(1, Z).writable' })).toBe(2);
    expect(await code({ when: 'mm(1).rss == 0 and' })).toBe(2);
    // Task 2 acts on both kernels, but nothing created it.
    expect(await code({ check: true }, '1 store(0x1000, 1)\n2 store(0x1000, 1)')).toBe(2);
  });
});

describe('the search', () => {
  const OLD = behavioursOf('2.6.26');
  const NEW = behavioursOf('6.18');
  const sound = (values: Behaviours): boolean =>
    BEHAVIOUR_NAMES.every((name) => !values[name] || BEHAVIOURS[name].requires.every((each) => values[each]));

  it('finds any planted set of switches, and no switch more, and asks only what can be', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.subarray([...differing(OLD, NEW)], { minLength: 1 }),
        fc.boolean(),
        async (planted: BehaviourName[], backwards) => {
          const [from, to] = backwards ? [NEW, OLD] : [OLD, NEW];
          const wanted = closed(from, to, planted);
          const found = await decidingSwitches(from, to, async (values) => {
            expect(sound(values)).toBe(true);
            return [...wanted].every((name) => values[name] === to[name]);
          });
          expect(new Set(found.turned)).toEqual(wanted);
          expect(found.necessary).toBe(true);
          const rest = found.turned.filter((name) => !found.brought.includes(name));
          expect(closed(from, to, rest)).toEqual(wanted);
        },
      ),
      { numRuns: 200 },
    );
  });
  it('takes one of two switches of which either is enough, and says that another does the same', async () => {
    const either: BehaviourName[] = ['map-stack-nohugepage', 'mremap-moves-several'];
    const found = await decidingSwitches(OLD, NEW, async (values) => either.some((name) => values[name]));
    expect(found.turned).toHaveLength(1);
    expect(either).toContain(found.turned[0]);
    expect(found.necessary).toBe(false);
  });
  it('turns nothing without what it requires', () => {
    for (const name of differing(OLD, NEW))
      for (const [from, to] of [
        [OLD, NEW],
        [NEW, OLD],
      ] as const)
        expect(sound(turnedTo(from, to, closed(from, to, [name])))).toBe(true);
    expect(differing(OLD, OLD)).toEqual([]);
  });
});
