// docs/minimise.md shows what the commands print. UPDATE_DOCS=1 writes it anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { bisectBehavioursCommand } from '../../src/cli/commands/bisect-behaviours.js';
import { minimiseCommand } from '../../src/cli/commands/minimise.js';

const root = new URL('../../', import.meta.url).pathname;
const before = process.cwd();
const DOCUMENT = `${root}docs/minimise.md`;
const UPDATE = process.env['UPDATE_DOCS'] === '1';
/** Commands of the page, each with what stands below it. */
const SHOWN = [...readFileSync(DOCUMENT, 'utf8').matchAll(/```\n\$ folioscope (.*)\n([^`]*)```/g)].map(
  ([, command, output]) => [command as string, output as string] as const,
);

beforeEach(() => process.chdir(root));
afterEach(() => {
  process.chdir(before);
  vi.restoreAllMocks();
});

/** Runs a command as the page writes it: `minimise FILE [--differs-from K] -o -`, `bisect --behaviours FILE --check`. */
function run(command: string): Promise<number> {
  const words = command.split(' ');
  const file = words.find((word) => word.startsWith('examples/')) as string;
  const common = { lenient: false, json: false };
  if (words[0] === 'bisect') return bisectBehavioursCommand(file, { ...common, check: words.includes('--check') });
  const other = words.indexOf('--differs-from');
  return minimiseCommand(file, {
    ...{ ...common, output: '-', check: false, conform: false, with: [], without: [], trials: '20000', quiet: true },
    ...(other < 0 ? {} : { differsFrom: words[other + 1] ?? '' }),
  });
}

describe('docs/minimise.md', () => {
  it('has transcripts of both commands', () => {
    expect(SHOWN.map(([command]) => command.split(' ')[0])).toEqual(['minimise', 'minimise', 'bisect']);
  });
  it.each(SHOWN)(
    '%s',
    async (command, output) => {
      let out = '';
      vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
        out += String(text);
        return true;
      });
      await run(command);
      vi.restoreAllMocks();
      const shown = stripVTControlCharacters(out);
      const block = (text: string): string => `$ folioscope ${command}\n${text}`;
      if (UPDATE)
        writeFileSync(
          DOCUMENT,
          readFileSync(DOCUMENT, 'utf8').replace(block(output), () => block(shown)),
        );
      else expect(shown, 'UPDATE_DOCS=1 npx vitest run test/cli/minimise-doc.test.ts writes it anew').toBe(output);
    },
    60_000,
  );
});
