// What single commands answer, what they refuse, and what completion offers.
import { describe, expect, it } from 'vitest';
import { complete } from '../../src/debug/complete.js';
import { COMMANDS, commandNamed } from '../../src/debug/repl.js';
import { runWorkload } from '../support/workload.js';
import { answers, debuggerOn, logOfText } from './support.js';

const FORKED = `1 mmap(0x20000000, 0x2000, RW, PRIV|ANON|FIXED, -1, 0) = A
1 store(A, 0x11, 0x2000)
1 fork() = 2
1 store(A, 0x22)
2 load(A) = 0x11
2 store(A, 0x33)
`;
const LOG = logOfText(FORKED);
const at = (position: string, ...commands: string[]): Promise<string> =>
  (async () => {
    const repl = debuggerOn(LOG);
    await answers(repl, `goto ${position}`);
    return answers(repl, ...commands);
  })();

describe('names of commands', () => {
  it.each([
    ['s', 'step'],
    ['si', 'stepi'],
    ['bi', 'backi'],
    ['b', 'break'],
    ['c', 'continue'],
    ['rc', 'reverse-continue'],
    ['p', 'print'],
    ['w', 'watch'],
    ['back', 'back'],
    ['bac', 'back'],
    ['hist', 'history'],
    ['exp', 'export-test'],
    ['q', 'quit'],
  ])('%s means %s', (word, name) => expect(commandNamed(word).names[0]).toBe(name));
  it('that mean several or none are refused with what there is', () => {
    expect(() => commandNamed('rev')).toThrow("'rev' may be reverse-continue, reverse-until");
    expect(() => commandNamed('frob')).toThrow("no command 'frob'");
  });
  it('are each taken once, and explained', async () => {
    const names = COMMANDS.flatMap((command) => command.names);
    expect(new Set(names).size).toBe(names.length);
    const help = await at('0', 'help');
    for (const {
      names: [name],
    } of COMMANDS.filter((each) => !['help', 'quit'].includes(each.names[0]))) {
      expect(help).toContain(name);
      expect(await at('0', `help ${name}`)).toContain(name);
    }
  });
  it('an empty line repeats the last command, a comment is none', async () => {
    const repl = debuggerOn(LOG);
    await answers(repl, 'stepi', '', '# a remark', '');
    expect(repl.session.position).toBe(3);
    expect(repl.exitCode).toBe(0);
  });
});

describe('looking', () => {
  it('prints fields, whole subjects, numbers and what is not there', async () => {
    expect(await at('end', 'print page(1, A).mapcount', 'p page(2, A).anon_exclusive', 'p vma(1, 0x5000)')).toBe(
      'page(1, A).mapcount = 1\npage(2, A).anon_exclusive = true\nvma(1, 0x5000) = none',
    );
    expect(await at('end', 'p vma(A).start', 'p 1 + 2 * 3')).toBe('vma(A).start = 0x20000000\n1 + 2 * 3 = 7');
    expect(await at('end', 'p page(1, A)')).toMatch(/writable=true .*frame=2 .*content=zero\+0:1=0x22|frame=2/);
  });
  it('shows who maps a frame, by page, folio or number', async () => {
    const text = await at('op:2', 'rmap page(1, A)');
    expect(text).toBe(
      'frame 0: anonymous, mapcount 2, refs 3; entries that lead to it: 2\n  task 1 at 0x20000000\n  task 2 at 0x20000000',
    );
    expect(await at('op:2', 'rmap folio(0)')).toBe(text);
    expect(await at('op:2', 'rmap 0')).toBe(text);
    expect(await at('op:2', 'rmap vma(A)')).toBe('vma(A) leads to no frame');
  });
  it('shows mappings, sizes and entries', async () => {
    expect(await at('op:2', 'maps 2')).toBe('000020000000-000020002000 rw-p 00020000 anon');
    expect(await at('op:2', 'smaps 2')).toContain('Rss 8, Pss 4, Shared_Dirty 8, Anonymous 8 kB');
    expect(await at('op:2', 'pagemap 2')).toContain('2 pages frames 0-1: anon, read-only, dirty, mapped 2x');
    expect(await at('op:2', 'pagemap 2 A+0x1000')).toMatch(/^000020001000 1 page frame 1/);
    expect(await at('op:1', 'maps 2')).toMatch(/^there is no task 2 at \d+$/);
  });
  it('lists operations without events too, and marks the one behind', async () => {
    const list = (await at('op:3', 'list')).split('\n');
    expect(list[3]).toMatch(/^=> op 3, line 4: 1 store\(A, 34\) {2}\(events \d+-\d+\)$/);
    expect(list[4]).toBe('   op 4, line 5: 2 load(A) = 17  (no events)');
  });
});

describe('searching', () => {
  it('when, history and query agree', async () => {
    const first = /first holds at (\d+)/.exec(await at('0', 'when page(1, A).mapcount == 2'))?.[1];
    expect(await at('0', 'query page(1, A).mapcount == 2')).toMatch(
      new RegExp(`\n  ${first} to \\d+  \\(from test.fsw:3`),
    );
    const history = await at('0', 'history page(1, A).mapcount');
    expect(history.split('\n').map((line) => line.replace(/ *\(.*/, ''))).toEqual([
      'page',
      '  event 10 AnonPageMapped: none -> 1',
      `  event ${Number(first) - 1} PtesCopied: 1 -> 2`,
      expect.stringMatching(/CowPageMapped: 2 -> 1$/),
    ]);
    expect(await at('0', 'when mm(1).rss == 77')).toBe('mm(1).rss == 77 never holds');
    expect(await at('0', 'when task(1).min_flt >= 1')).toContain('FaultAccounted tid=1');
  });
  it('finds events by fields, entries inside of ranges and frames among many', async () => {
    expect(await at('0', 'find ptescopied addr=A+0x1000')).toContain('PtesCopied mm=1 child=2');
    expect(await at('0', 'find PtesCopied addr=A+0x2000')).toBe('no PtesCopied addr=A+0x2000');
    expect(await at('0', 'find PtesCopied pfn=1')).toContain('PtesCopied mm=1 child=2');
    expect(await at('0', 'find TaskCreated tid=2')).toContain('parent=1');
    expect(await at('0', 'find TaskCreated nix=2')).toContain("has no field 'nix'");
    expect(await at('0', 'find Task')).toContain("'Task' may be TaskCreated,");
  });
  it('tells what differs between positions, by subject', async () => {
    const text = await at('end', 'diff op:2 op:3');
    expect(text).toContain('page(1, 0x20000000): writable false -> true, frame 0 -> 2');
    expect(text).toContain('task(1): min_flt 2 -> 3');
    expect(await at('end', 'diff end')).toMatch(/no difference$/);
    expect(await at('op:2', 'diff op:1')).toContain('task(2): new');
    expect(await at('op:2', 'diff op:2 op:1')).toContain('page(2, 0x20000000), 2 pages: gone');
  });
  it('draws forks and marks along the log', async () => {
    const text = await at('op:2', 'mark shared', 'note look here', 'timeline');
    expect(text).toMatch(/\|-+F-+\*-+\| 0 to \d+\n +\^ \d+\n/);
    expect(text).toContain('* mark, position');
    expect(text).toContain('look here');
  });
});

describe('experiments', () => {
  it('what-if finds nothing where nothing is changed', async () => {
    expect(await at('0', 'what-if with anon-exclusive')).toBe('the same events, one by one');
  });
  it('what-if drops an operation and runs the others', async () => {
    const text = await at('0', 'what-if drop line:4');
    expect(text).toContain('only in was: 1 operation\n  op 3, line 4: 1 store(A, 34)');
    expect(text).toContain('was  PageReused');
    expect(text).toMatch(/now {2}.*CowPageMapped/);
    expect(await at('0', 'what-if drop 2')).toMatch(/^cannot run any more: op 4 \(task 2 acts/);
    expect(await at('0', 'what-if drop 99')).toBe('no operation 99');
    expect(await at('0', 'what-if with nix')).toContain("no behaviour 'nix'");
  });
  it('export-test gives a workload whose checks hold, and fail where the state is another', async () => {
    const files = new Map<string, string>();
    const repl = debuggerOn(LOG, files);
    await answers(repl, 'goto op:2', 'print page(1, A).mapcount', 'p page(2, A).anon_exclusive', 'p vma(1, 0x5000)');
    await answers(repl, 'goto end', 'p page(2, A).content', 'assert page(1, A).writable', 'p page(1, A)', 'stepi');
    expect(await answers(repl, 'export-test out.fsw')).toBe(
      'out.fsw: 6 operations, 5 checks\n  folioscope run out.fsw --kernel 6.18\n1 value left out: asked inside an operation, or of a whole subject',
    );
    const text = files.get('out.fsw')!;
    expect(text).toContain(
      'check page(1, A).mapcount == 2\ncheck not (page(2, A).anon_exclusive)\ncheck vma(1, 0x5000) == none\n',
    );
    const ran = runWorkload(text);
    expect(ran.failed).toEqual([]);
    expect(ran.run.checked).toBe(7);
    expect(runWorkload(text.replace('mapcount == 2', 'mapcount == 3')).failed).toHaveLength(1);
  });
  it('export-test needs something to check', async () => {
    expect(await at('end', 'export-test')).toContain('nothing to check');
  });
});

describe('scripts', () => {
  it('end with 1 where an assertion failed, with 2 where a command made no sense', async () => {
    const [holds, fails, wrong] = [debuggerOn(LOG), debuggerOn(LOG), debuggerOn(LOG)];
    expect(await answers(holds, 'assert 1 == 1')).toBe('holds: 1 == 1');
    expect(await answers(fails, 'assert 1 == 2')).toBe('does not hold: 1 == 2');
    expect(await answers(wrong, 'assert 1 == 2', 'print page(1, A', 'goto 9999', 'step x')).toBe(
      `does not hold: 1 == 2\ncolumn 10: ',' was expected, not the end\npositions go from 0 to ${LOG.eventCount}\nhow often? 'x' is no whole number`,
    );
    expect([holds.exitCode, fails.exitCode, wrong.exitCode]).toEqual([0, 1, 2]);
  });
});

describe('completion', () => {
  const { session } = debuggerOn(LOG);
  session.move(LOG.eventCount);
  session.marks.set('shared', 3);
  it.each([
    ['rev', ['reverse-continue', 'reverse-until']],
    ['break ', ['event', 'invariant', 'on', 'syscall']],
    ['b event cow', ['CowPageMapped']],
    ['find Task', ['TaskCreated', 'TaskExited', 'TaskMmSwitched', 'TaskMoved', 'TaskReaped']],
    ['find TaskCreated p', ['parent=']],
    ['b invariant writable-', ['writable-anon-is-exclusive']],
    ['b syscall f', ['fork']],
    ['print page(1, A).anon', ['anon_exclusive']],
    ['watch mm(1).rss_', ['rss_anon', 'rss_file', 'rss_shmem']],
    ['p me', ['meminfo']],
    ['goto @', ['@shared']],
    ['what-if with anon', ['anon-exclusive']],
    ['help what', ['what-if']],
    ['frobnicate x', []],
  ] as const)('of %s', (line, wanted) =>
    expect(complete(session, line)[0]).toEqual(expect.arrayContaining([...wanted])),
  );
  it('offers nothing that does not begin so', () => {
    for (const line of ['rev', 'break e', 'find Ta', 'p page(1, A).wr', 'goto op', 'info l']) {
      const [candidates, replaced] = complete(session, line);
      expect(candidates.length, line).toBeGreaterThan(0);
      expect(line.endsWith(replaced)).toBe(true);
      for (const each of candidates) expect(each.toLowerCase().startsWith(replaced.toLowerCase())).toBe(true);
    }
  });
});
