// Any keys on any log, even one that no kernel wrote: the position stays in the log, the screen is drawn, and nothing throws.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Session } from '../../src/debug/session.js';
import { draw } from '../../src/tui/draw.js';
import { FullScreen } from '../../src/tui/full-screen.js';
import { BINDINGS } from '../../src/tui/keys.js';
import type { LogReader } from '../../replays/log/reader.js';
import { arbitrarySteps } from '../support/arbitrary-workload.js';
import { foldableEvents } from '../support/arbitrary-events.js';
import { logOfEvents, readerOf } from '../support/logs.js';
import { logOfOperations, withMemory } from '../debug/support.js';

const SMALL = { keyframeEvents: 40, chunkEvents: 16 };
const workloadLog = arbitrarySteps(20).map((steps) => logOfOperations(withMemory(steps), { writer: SMALL }));
const wildLog = foldableEvents(80).map((events) => readerOf(logOfEvents(events, 3, SMALL)));

const key = fc.oneof(
  fc.constantFrom(...BINDINGS.filter(({ action }) => action !== 'quit').flatMap(({ keys }) => keys)),
  { arbitrary: fc.constantFrom('right', 'left', 'pagedown', 'pageup', 'end', 'tab', 'down', ']'), weight: 3 },
  { arbitrary: fc.constantFrom('return', 'escape', 'backspace', 'x', '1', ' '), weight: 2 },
);
const size = fc.constantFrom([80, 24] as const, [60, 16] as const, [200, 50] as const, [10, 3] as const);
const rest = async (): Promise<void> => {};

async function survives(reader: LogReader, keys: readonly string[], [width, height]: readonly [number, number]) {
  const view = new FullScreen(new Session(reader, { breathe: rest, writeFile: () => {} }), rest);
  draw(view, width, height);
  await view.load();
  let moved = 0;
  for (const each of keys) {
    const before = view.session.position;
    await view.key(each);
    const { position } = view.session;
    if (position !== before) moved++;
    expect(position).toBeGreaterThanOrEqual(reader.firstEvent);
    expect(position).toBeLessThanOrEqual(reader.eventCount);
    expect(view.exitCode).toBeNull();
    const { chars } = draw(view, width, height);
    expect(chars).toHaveLength(width * height);
    expect(chars.join('')).not.toMatch(/undefined|NaN/);
  }
  return moved;
}

describe('any keys', () => {
  it.each([
    ['on logs of random workloads', workloadLog],
    ['on logs of events that no kernel emits', wildLog],
  ])('%s', async (_name, log) => {
    let moved = 0;
    await fc.assert(
      fc.asyncProperty(log, fc.array(key, { minLength: 10, maxLength: 60 }), size, async (reader, keys, screen) => {
        moved += await survives(reader, keys, screen);
      }),
      { numRuns: 80 },
    );
    expect(moved).toBeGreaterThan(100);
  });
});
