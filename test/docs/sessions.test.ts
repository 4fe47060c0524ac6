// The sessions in docs/ are run as they stand there, and what they print is compared byte for byte. UPDATE_DOCS=1 writes it anew.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PTE_WRITE } from '../../reducers/pte.js';
import { bundledProgram } from '../support/command-line.js';
import { logOfText } from '../debug/support.js';

const root = new URL('../../', import.meta.url).pathname;
const docs = join(root, 'docs');
const PROMPT = '(folio) ';
const UPDATE = process.env['UPDATE_DOCS'] === '1';

/** A fenced block: what stands behind the opening fence, and the lines inside. */
interface Block {
  readonly info: string;
  readonly text: string;
}

/** The text of a document as prose and blocks, in order. Joined again it is the document. */
function partsOf(text: string): (string | Block)[] {
  const parts: (string | Block)[] = [];
  const fence = /^```([^\n]*)\n([\s\S]*?)^```$/gm;
  let end = 0;
  for (const match of text.matchAll(fence)) {
    parts.push(text.slice(end, match.index), { info: match[1] as string, text: match[2] as string });
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}

const joined = (parts: readonly (string | Block)[]): string =>
  parts.map((part) => (typeof part === 'string' ? part : `\`\`\`${part.info}\n${part.text}\`\`\``)).join('');

/** A command of a session: its line, the exit code that it must have, and what is typed into it. */
interface Typed {
  readonly line: string;
  readonly exit: number;
  readonly input: readonly string[];
  /** Whether the exit code stands on a line of its own, behind the output. */
  readonly exitBehind: boolean;
}

/** `$ ...` begins a command, `(folio) ...` is typed into it, `# exit N` says how it ends; the rest is output. */
function commandsOf(text: string): Typed[] {
  const commands: Typed[] = [];
  for (const line of text.split('\n')) {
    const exit = /^(.*?)# exit (\d+)$/.exec(line);
    const last = commands.at(-1);
    if (line.startsWith('$ ')) commands.push({ line, exit: Number(exit?.[2] ?? 0), input: [], exitBehind: false });
    else if (last !== undefined && exit !== null && exit[1] === '')
      commands[commands.length - 1] = { ...last, exit: Number(exit[2]), exitBehind: true };
    else if (last !== undefined && line.startsWith(PROMPT.trim()))
      commands[commands.length - 1] = { ...last, input: [...last.input, line.slice(PROMPT.length)] };
  }
  return commands;
}

let program = '';
let programFolder = '';

beforeAll(async () => {
  ({ program, folder: programFolder } = await bundledProgram());
});
afterAll(() => rmSync(programFolder, { recursive: true, force: true }));

/** What one session prints in `folder`, in the form in which it stands in the document. */
function ran(text: string, folder: string): string {
  let printed = '';
  for (const { line, exit, input, exitBehind } of commandsOf(text)) {
    const call = line
      .slice(2)
      .replace(/# exit \d+$/, '')
      .trim();
    const quiet = call.endsWith('> /dev/null');
    const words = call.replace('> /dev/null', '').trim().split(/\s+/);
    expect(words[0], line).toBe('folioscope');
    const { stdout, stderr, status } = spawnSync(process.execPath, [program, ...words.slice(1)], {
      cwd: folder,
      encoding: 'utf8',
      input: input.map((each) => `${each}\n`).join(''),
    });
    expect(status, `${line}\n${stdout}${stderr}`).toBe(exit);
    printed += `${line}\n${quiet ? '' : stdout}${stderr}${exitBehind ? `# exit ${exit}\n` : ''}`;
  }
  return printed;
}

/** What the documents take as given: the recordings, and a log with one wrong event. */
function prepare(folder: string, name: string): void {
  symlinkSync(join(root, 'examples'), join(folder, 'examples'));
  if (name !== 'debugger.md') return;
  const workload = partsOf(readFileSync(join(docs, name), 'utf8')).find(
    (part) => typeof part !== 'string' && part.info === 'strace leak.fsw',
  ) as Block;
  // copy_present_ptes() without wrprotect_ptes(): the parent's entries stay writable.
  const reader = logOfText(workload.text, {
    sourceName: 'leak.fsw',
    plant: (event) =>
      event.type === 'PtesCopied'
        ? { ...event, anon: event.anon.map((n, i) => (i % 5 === 4 ? n | PTE_WRITE : n)) }
        : event,
  });
  writeFileSync(join(folder, 'leak.fsl'), reader.source.read(0, reader.source.size));
}

describe.each(readdirSync(docs).filter((name) => readFileSync(join(docs, name), 'utf8').includes('```session')))(
  'docs/%s',
  (name) => {
    const parts = partsOf(readFileSync(join(docs, name), 'utf8'));
    const folder = mkdtempSync(join(tmpdir(), 'folioscope-docs-'));
    beforeAll(() => prepare(folder, name));
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    it('prints in its sessions what stands there', () => {
      const now = parts.map((part) => {
        if (typeof part === 'string') return part;
        const file = /^\w+ (\S+)$/.exec(part.info)?.[1];
        if (file !== undefined) writeFileSync(join(folder, file), part.text);
        return part.info === 'session' ? { ...part, text: ran(part.text, folder) } : part;
      });
      if (UPDATE) writeFileSync(join(docs, name), joined(now));
      else expect(joined(now), 'UPDATE_DOCS=1 npx vitest run test/docs writes it anew').toBe(joined(parts));
    });
  },
);
