// debug --tui in a real terminal: tmux shows what a person would see. The screens in docs/tui.md are compared (UPDATE_DOCS=1 writes them anew).
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PTE_WRITE } from '../../reducers/pte.js';
import { helpLines } from '../../src/tui/keys.js';
import { logOfText } from '../debug/support.js';
import { bundledProgram } from '../support/command-line.js';

const DOCUMENT = new URL('../../docs/tui.md', import.meta.url).pathname;
const UPDATE = process.env['UPDATE_DOCS'] === '1';
/** Long enough for a machine that does other things as well. */
const PATIENCE_MS = 120_000;
const PAUSE_MS = 50;

const HAS_TMUX = spawnSync('tmux', ['-V']).status === 0;
if (!HAS_TMUX) process.stderr.write('debug --tui is not driven in a terminal: tmux is not installed\n');

let folder = '';
let program = '';
/** The server of tmux was started. */
let serves = false;
const text = readFileSync(DOCUMENT, 'utf8');

/** The text of a workload in the document. */
function workload(name: string): string {
  const found = new RegExp(`^\`\`\`strace ${name}\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(text);
  return found?.[1] ?? '';
}

beforeAll(async () => {
  ({ folder, program } = await bundledProgram());
  const cow = logOfText(workload('cow.fsw'), { sourceName: 'cow.fsw' });
  // copy_present_ptes() without wrprotect_ptes(): the parent's entries stay writable.
  const leak = logOfText(workload('leak.fsw'), {
    sourceName: 'leak.fsw',
    plant: (event) =>
      event.type === 'PtesCopied'
        ? { ...event, anon: event.anon.map((n, i) => (i % 5 === 4 ? n | PTE_WRITE : n)) }
        : event,
  });
  for (const [name, { source }] of [['cow.fsl', cow] as const, ['leak.fsl', leak] as const])
    writeFileSync(join(folder, name), source.read(0, source.size));
  // Without a session the server would end between two tests, just when it is asked for the next one.
  if (HAS_TMUX) tmux('new-session', '-d', '-s', 'stays', 'cat');
  serves = HAS_TMUX;
});
afterAll(() => {
  if (serves) tmux('kill-server');
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
});

/** Calls tmux on a server of this test's own. */
function tmux(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('tmux', ['-S', join(folder, 'tmux'), '-f', '/dev/null', ...args], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: folder, LC_ALL: 'C.UTF-8', TERM: 'xterm-256color', PS1: '$ ' },
  });
  if (status !== 0) throw new Error(`tmux ${args.join(' ')}: ${stderr}`);
  return stdout;
}
const keys = (...names: readonly string[]): string => tmux('send-keys', '-t', 'test', ...names);
const captured = (...options: readonly string[]): string => tmux('capture-pane', '-p', ...options, '-t', 'test');
const plain = (screen: string): string =>
  screen
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .trimEnd();

/** The screen as soon as `is` holds for it. */
async function screenWhere(is: (screen: string) => boolean, what: string): Promise<string> {
  const tries = PATIENCE_MS / PAUSE_MS;
  for (let i = 0; i < tries; i++) {
    const screen = plain(captured());
    if (is(screen)) return screen;
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
  throw new Error(`${what} never came; the screen was\n${captured()}`);
}
const screenWith = (part: string | RegExp): Promise<string> =>
  screenWhere((screen) => (typeof part === 'string' ? screen.includes(part) : part.test(screen)), String(part));

/** Types a command into the shell, whose exit code is printed behind it. */
async function started(args: string, environment = ''): Promise<string> {
  keys('-l', `${environment} "${process.execPath}" "${program}" debug ${args}; echo "exit $?"`);
  keys('Enter');
  // The legend of the timeline comes when the log was gone through.
  return screenWith('! violation');
}

async function startShell(): Promise<void> {
  tmux('new-session', '-d', '-x', '80', '-y', '24', '-s', 'test', '-c', folder, 'sh');
  await screenWith(/^[$#]/);
}

describe.skipIf(!HAS_TMUX)('debug --tui in a terminal', () => {
  beforeEach(async () => {
    await startShell();
    keys('echo what was there before', 'Enter');
    await screenWith(/^what was there before$/m);
  });
  afterEach(() => tmux('kill-session', '-t', 'test'));

  it('goes through time with the arrow keys, and marks the position', async () => {
    const begin = await started('cow.fsl --tui');
    expect(begin).toMatch(/^ at 0 of \d+, before op 0, cow\.fsw:2/);
    expect(begin).not.toContain('what was there before');
    keys('Right', 'Right', 'Right', 'Left');
    expect(await screenWith(/^ at 2 of /)).toMatch(/^> +1 \w+/m);
    keys('End');
    await screenWith(/^ at (\d+) of \1, after op 5/);
    keys('PageUp');
    const back = await screenWith(/^ at \d+ of \d+, after op 4, cow\.fsw:6/);
    const position = /^ at (\d+)/.exec(back)?.[1];
    keys('Home', 'm');
    await screenWith(/^ mark $|^ mark$/m);
    keys('begin', 'Enter');
    expect(await screenWith('@begin is 0')).toMatch(/^\|\*-/m);
    keys('g', 'op:4', 'Enter');
    await screenWith(new RegExp(`^ at ${position} of`));
    keys('g', '@begin', 'Enter');
    await screenWith(/^ at 0 of/);
  });

  it('shows exclusive pages become shared at a fork', async () => {
    expect(await started('cow.fsl --tui --at op:2')).toMatch(/task 1: .*\n.*>[0-9a-f]{12} rw-p anon +EEEEEz\.\./);
    keys('PageDown');
    const forked = await screenWith('task 2:');
    expect(forked.match(/rw-p anon +sssssz\.\./g)).toHaveLength(2);
    keys('PageDown');
    const written = await screenWith(/after op 4/);
    expect([...written.matchAll(/rw-p anon +(\S+)/g)].map(([, letters]) => letters)).toEqual(['Essssz..', 'assssz..']);
  });

  it('searches, and asks why', async () => {
    await started('cow.fsl --tui');
    keys('/', 'CowPageMapped', 'Enter');
    expect(await screenWith(/^> +\d+ CowPageMapped/m)).toMatch(/in op 4/);
    keys('Tab', 'w');
    const why = await screenWith(/- why page\(1, 0x/);
    expect(why).toMatch(/CowPageMapped: task 1 wrote to frame/);
    keys('Down', 'Down', 'Down', 'Down', 'Down', 'Down');
    await screenWith(/^.*PtesCopied: fork shared/m);
    keys('?', 'page(1, A).mapcount == 2', 'Enter');
    await screenWith(/^> +\d+ PtesCopied/m);
    keys('/', 'nonsense(', 'Enter');
    await screenWith('column 10: a value was expected');
  });

  it('jumps to the violation', async () => {
    expect(await started('leak.fsl --tui')).toMatch(/^\|-+F-+!-+\|$/m);
    keys('v');
    const broken = await screenWith(/broken by event (\d+): W-single-owner/);
    const event = Number(/broken by event (\d+)/.exec(broken)?.[1]);
    expect(broken).toMatch(new RegExp(`^ at ${event + 1} of`));
    expect(broken).toMatch(new RegExp(`^>! *${event} PtesCopied`, 'm'));
    // What must not be: writable and shared.
    expect(broken).toMatch(/rw-p anon +SSS/);
  });

  it.each([
    ['q', 'q', 0],
    ['Ctrl-C', 'C-c', 130],
  ])('gives the screen back on %s', async (_name, key, code) => {
    await started('cow.fsl --tui');
    keys('Right', key);
    const after = await screenWith(`exit ${code}`);
    expect(after).toMatch(/^what was there before$/m);
    expect(after).not.toContain('- Pages -');
    keys('stty -a', 'Enter');
    const settings = await screenWith('icanon');
    expect(settings).toMatch(/^isig icanon iexten echo /m);
    expect(tmux('display-message', '-p', '-t', 'test', '#{cursor_flag} #{alternate_on}').trim()).toBe('1 0');
  });

  it('gives the screen back when it is terminated, and while it is suspended', async () => {
    await started('cow.fsl --tui', `sh -c 'echo $$ >pid; exec "$0" "$@"'`);
    const pid = readFileSync(join(folder, 'pid'), 'utf8');
    process.kill(Number(pid), 'SIGTERM');
    expect(await screenWith('exit 143')).toMatch(/^what was there before$/m);
    await started('cow.fsl --tui');
    keys('Right', 'C-z');
    await screenWhere((screen) => !screen.includes('- Pages -'), 'the shell');
    keys('fg', 'Enter');
    await screenWith(/^ at 1 of/);
    keys('Right');
    await screenWith(/^ at 2 of/);
  });

  it('takes other sizes while it runs', async () => {
    await started('cow.fsl --tui --at op:3');
    tmux('resize-window', '-t', 'test', '-x', '120', '-y', '40');
    const large = await screenWhere((screen) => screen.split('\n').length === 40, 'a screen of 40 lines');
    expect(large).toMatch(/^- Events -+\+- Pages -{90,}$|^- Events -{30,}\+- Pages -{50,}$/m);
    tmux('resize-window', '-t', 'test', '-x', '50', '-y', '10');
    await screenWith('too small');
    tmux('resize-window', '-t', 'test', '-x', '80', '-y', '24');
    await screenWith(/^ at \d+ of/);
  });

  it('has colours, and none with NO_COLOR', async () => {
    await started('cow.fsl --tui --at op:2');
    // oxlint-disable-next-line no-control-regex -- escape sequences begin with one
    const coloured = /\u001b\[[\d;]*3[1-7]m/;
    expect(captured('-e')).toMatch(coloured);
    keys('q');
    await screenWith('exit 0');
    await started('cow.fsl --tui --at op:2', 'NO_COLOR=1');
    expect(captured('-e')).not.toMatch(coloured);
    expect(captured('-e')).toContain('\u001b[7m');
  });
});

describe('without a terminal', () => {
  it('says so in one line', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, 'debug', 'cow.fsl', '--tui'], {
      cwd: folder,
      encoding: 'utf8',
      input: '',
    });
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^folioscope: --tui needs a terminal[^\n]*\n$/);
  });
});

/** A screen of the document: the log, where it begins, keys, and what is seen. */
const SCREEN = /^```screen (\S+) (\S+) ?([^\n]*)\n([\s\S]*?)^```$/gm;

describe.skipIf(!HAS_TMUX)('docs/tui.md', () => {
  it('shows the screens that come', async () => {
    let now = text.replace(/^```keys\n[\s\S]*?^```$/m, `\`\`\`keys\n${helpLines().join('\n')}\n\`\`\``);
    for (const [whole, log, at, pressed = '', shown] of text.matchAll(SCREEN)) {
      await startShell();
      let before = await started(`${log} --tui --at ${at}`);
      for (const key of pressed.split(' ').filter((each) => each !== '')) {
        const previous = before;
        keys(key);
        before = await screenWhere((screen) => screen !== previous && !screen.includes('Ctrl-C stops'), key);
      }
      // What is drawn last may come in two pieces.
      if (!UPDATE)
        before = await screenWhere((screen) => `${screen}\n` === shown, whole).catch(() => plain(captured()));
      now = now.replace(whole, () => `\`\`\`screen ${[log, at, pressed].join(' ').trimEnd()}\n${before}\n\`\`\``);
      tmux('kill-session', '-t', 'test');
    }
    if (UPDATE) writeFileSync(DOCUMENT, now);
    else expect(now, 'UPDATE_DOCS=1 npx vitest run test/cli/tui.test.ts writes it anew').toBe(text);
  });
});
