// The full-screen mode without a terminal: what keys do, and what is drawn then.
import { describe, expect, it } from 'vitest';
import { PTE_WRITE } from '../../reducers/pte.js';
import type { LogReader } from '../../replays/log/reader.js';
import { Interrupted, Session } from '../../src/debug/session.js';
import { REVERSE } from '../../src/tui/canvas.js';
import { draw } from '../../src/tui/draw.js';
import { FullScreen } from '../../src/tui/full-screen.js';
import { logOfText } from '../debug/support.js';

const TEXT = [
  '1 mmap(NULL, 0x4000, RW, PRIV|ANON, -1, 0) = A',
  '1 store(A, 0x11, 0x3000)',
  '1 fork() = 2',
  '1 store(A, 0x22)',
].join('\n');
const rest = async (): Promise<void> => {};

function screenOn(reader: LogReader, at = 'start', breathe = rest): FullScreen {
  const session = new Session(reader, { breathe, writeFile: () => {} });
  session.move(session.positionOf(at));
  return new FullScreen(session, rest);
}
const lines = (view: FullScreen, width = 80, height = 24): string[] => draw(view, width, height).lines();
const shown = (view: FullScreen, width = 80, height = 24): string => lines(view, width, height).join('\n');
async function press(view: FullScreen, ...keys: string[]): Promise<void> {
  for (const key of keys) await view.key(key);
}
const type = (view: FullScreen, text: string): Promise<void> => press(view, ...text.split(''), 'return');

describe('keys that move', () => {
  it('go over events and operations, to both ends, and back', async () => {
    const reader = logOfText(TEXT);
    const ends = [...reader.operations()].map(({ firstEvent, events }) => firstEvent + events);
    const view = screenOn(reader);
    const after = async (...keys: string[]): Promise<number> => {
      await press(view, ...keys);
      return view.session.position;
    };
    expect(await after('right', 'right', 'right', 'left')).toBe(2);
    expect(await after('home', 'pagedown', 'pagedown')).toBe(ends[1]);
    expect(await after('pageup')).toBe(ends[0]);
    expect(await after('end')).toBe(reader.eventCount);
    expect(await after('right')).toBe(reader.eventCount);
    expect(view.message).toBe('already at the end');
    expect(await after('u')).toBe(ends[0]);
    expect(await after('U')).toBe(reader.eventCount);
    await press(view, 'g');
    await type(view, 'op:2');
    expect(view.session.position).toBe(ends[2]);
    await press(view, 'm');
    await type(view, 'forked');
    await press(view, 'home', 'g');
    await type(view, '@forked');
    expect(view.session.position).toBe(ends[2]);
    expect(view.things).toContainEqual({ at: ends[2], sign: '*', text: '@forked' });
  });
  it('search for events and expressions in both directions', async () => {
    const view = screenOn(logOfText(TEXT));
    const found = (): string | undefined => view.lastEvent?.type;
    await press(view, '/');
    await type(view, 'anonpagemapped');
    const first = view.session.position;
    await press(view, 'n', 'n');
    expect([found(), view.session.position > first]).toEqual(['AnonPageMapped', true]);
    await press(view, 'n');
    expect(view.message).toMatch(/^not found after \d+: anonpagemapped$/);
    await press(view, 'N', 'N');
    expect(view.session.position).toBe(first);
    await press(view, 'end', '?');
    await type(view, 'page(1, A).mapcount == 2');
    expect([found(), view.message]).toEqual(['PtesCopied', 'page(1, A).mapcount == 2 holds']);
    await press(view, '/');
    await type(view, 'page(1, A).nonsense');
    expect(view.message).toContain("no field 'nonsense'");
  });
  it('jump to violations, forward and backward', async () => {
    const reader = logOfText(TEXT, {
      plant: (event) =>
        event.type === 'PtesCopied'
          ? { ...event, anon: event.anon.map((n, i) => (i % 5 === 4 ? n | PTE_WRITE : n)) }
          : event,
    });
    const view = screenOn(reader);
    await press(view, 'v');
    expect(view.lastEvent?.type).toBe('PtesCopied');
    expect(view.message).toMatch(/^broken by event \d+: W-single-owner, folio\(0\), and \d+ more$/);
    const { position } = view.session;
    expect(shown(view)).toMatch(new RegExp(`^> *! *${position - 1} PtesCopied`, 'm'));
    expect(shown(view)).toContain('SSS.');
    await press(view, 'v');
    expect(view.message).toMatch(/^no violation after/);
    await press(view, 'end', 'V');
    expect(view.session.position).toBe(position);
    const whole = screenOn(logOfText(TEXT));
    await press(whole, 'v');
    expect([whole.message, whole.session.position]).toEqual(['no violation in this log', 0]);
  });
  it('leave everything where it was when a search is stopped', async () => {
    let heard = 0;
    const stopping = async (): Promise<void> => {
      if (heard++ > 0) throw new Interrupted();
    };
    const reader = logOfText(TEXT, { writer: { chunkEvents: 4 } });
    const view = screenOn(reader, 'op:1', stopping);
    const { position } = view.session;
    await press(view, '/');
    await type(view, 'mm(1).rss_anon > 99');
    expect([view.session.position, view.message, view.busy]).toEqual([position, `stopped; still at ${position}`, '']);
  });
});

describe('the page map', () => {
  it('shows exclusive pages become shared at the fork, and follows what events touch', async () => {
    const view = screenOn(logOfText(TEXT), 'op:1');
    expect(shown(view)).toMatch(/task 1: rss 3 pages, 1 mapping\n.*rw-p anon +EEE\./);
    await press(view, 'pagedown');
    expect(shown(view)).toMatch(/rw-p anon +sss\.\n.*task 2: rss 3 pages, 1 mapping\n.*rw-p anon +sss\./);
    await press(view, '/');
    await type(view, 'CowPageMapped');
    expect(shown(view)).toMatch(/rw-p anon +Ess\.\n.*task 2: rss 3 pages, 1 mapping\n.*rw-p anon +ass\./);
    expect(view.pageExpression()).toBe('page(1, 0x7ffff7ffb000)');
    const canvas = draw(view, 80, 24);
    const row = canvas.lines().findIndex((line) => line.includes('Ess.'));
    const column = canvas.lines()[row]!.indexOf('Ess.');
    const reverse = [0, 1, 2, 3].map((i) => ((canvas.styles[row * 80 + column + i] as number) & REVERSE) !== 0);
    expect(reverse).toEqual([true, false, false, false]);
  });
  it('selects mappings, pages and fields, and tells why', async () => {
    const view = screenOn(logOfText(TEXT), 'end');
    await press(view, 'tab', 'p', ']');
    expect(view.pageExpression()).toBe('page(2, 0x7ffff7ffc000)');
    expect(shown(view)).toContain('page(2, 0x7ffff7ffc000)');
    expect(shown(view)).toMatch(/mapcount 2/);
    await press(view, 'up');
    expect(view.pageExpression()).toBe('page(1, 0x7ffff7ffb000)');
    await press(view, 'tab', 'down', 'down', 'w');
    const field = view.field;
    expect(view.overlay?.title).toBe(`why page(1, 0x7ffff7ffb000).${field}`);
    await press(view, 'escape', 'w');
    expect(view.overlay?.title).toBe('why page(1, 0x7ffff7ffb000)');
    expect(view.overlay?.lines.join('\n')).toContain('CowPageMapped');
    await press(view, 'left');
    expect(view.overlay).toBeNull();
  });
  it('keeps the selection where the memory under it goes', async () => {
    const view = screenOn(logOfText(`${TEXT}\n1 munmap(A, 0x4000)\n1 exit_group(0)`), 'op:3');
    await press(view, 'tab', ']', 'end');
    expect(view.pageExpression()).toBe('page(2, 0x7ffff7ffb000)');
    await press(view, 'home');
    expect(view.page).toBeNull();
    expect(shown(view)).toContain('nothing is mapped');
    await press(view, 'w', ']', 'up', 'z', 'p');
    expect(view.message).toBe('');
  });
});

describe('the screen', () => {
  it('has every pane at 80x24, and help', async () => {
    const view = screenOn(logOfText(TEXT), 'op:2');
    await view.load();
    const [title, bar, here, headings] = lines(view);
    expect(title).toMatch(/^ at \d+ of \d+, after op 2, test.fsw:3 {2}1 fork\(\) = 2$/);
    expect(bar).toMatch(/^\|-+F-+\|$/);
    expect(here).toMatch(/\^ \d+/);
    expect(headings).toMatch(/^- Events -+\+- Pages -+$/);
    expect(lines(view)[22]).toMatch(/^ p pinned s shared e exclusive .* CAPS writable$/);
    await press(view, 'h');
    expect(shown(view, 120, 60)).toContain('to the next violation of an invariant');
  });
  it('is drawn for any size, and any state of the log, without going out of bounds', async () => {
    for (const at of ['start', 'op:1', 'end'])
      for (const [width, height] of [
        [1, 1],
        [60, 16],
        [61, 17],
        [80, 24],
        [300, 100],
      ] as const) {
        const view = screenOn(logOfText(TEXT), at);
        await view.load();
        const canvas = draw(view, width, height);
        expect([canvas.chars.length, canvas.styles.length]).toEqual([width * height, width * height]);
        expect(canvas.lines().join('')).not.toBe('');
      }
    expect(shown(screenOn(logOfText('')))).toContain('no events');
    expect(lines(screenOn(logOfText(TEXT)), 59, 24)[0]).toContain('too small');
  });
  it('answers commands of the debugger, and ends when told to', async () => {
    const view = screenOn(logOfText(TEXT), 'end');
    await press(view, ':');
    await type(view, 'print page(1, A).mapcount');
    expect(view.message).toBe('page(1, A).mapcount = 1');
    await press(view, ':');
    await type(view, 'tasks');
    expect(view.overlay).toMatchObject({ title: 'tasks', lines: [expect.any(String), expect.any(String)] });
    await press(view, ':', 'x', 'C-c');
    expect([view.prompt, view.exitCode]).toEqual([null, null]);
    await press(view, 'q');
    expect(view.exitCode).toBe(0);
    const other = screenOn(logOfText(TEXT));
    await press(other, 'C-c');
    expect(other.exitCode).toBe(130);
  });
});
