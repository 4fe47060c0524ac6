// Damaged texts: characters, tokens and lines, with numbers at which something ends and words of all formats.
import type { Random } from '../../src/lib/random.js';

/** A sound text. */
export interface SoundTrace {
  readonly name: string;
  readonly lines: readonly string[];
}

const NUMBERS: readonly string[] = [
  ...['0', '1', '-1', '2', '3', '7', '4095', '4096', '4097', '0xfff', '0x1000', '65536', '0x200000', '2147483647'],
  ...['2147483648', '4294967295', '0xffffffff', '0x7ffffffff000', '0x7fffffffffff', '0x800000000000', '1e9', '0x'],
  ...['9007199254740991', '9007199254740993', '0x7fffffffffffffff', '0xffffffffffffffff', '18446744073709551616'],
  ...['0xfffffffffffff000', '-4096', '-9223372036854775808', '99999999999999999999999999', '0.5', 'NaN', '0x1000000'],
];
const WORDS: readonly string[] = [
  ...['NULL', 'nil', 'AUTO', 'r0', 'A', '__proto__', 'constructor', '?', '<unfinished ...>', 'parallel {', '}', '#'],
  ...['MAP_FIXED', 'PROT_NONE', 'MREMAP_FIXED', 'SIGSEGV', 'mixed', 'MAP_GROWSDOWN', 'MAP_SHARED', 'fork()'],
  ...['(', ')', '[', ']', '{', '}', '"', "'", '\\', '=', ',', '|', '<<', '&(0x7f0000000000)=', '@ANY', '<r1=>0x0'],
  ...['\u0000', '\u00e9', '\ud800', '\r', '\t', ' = ', '+++ exited with 0 +++', '<... clone resumed>', 'check'],
];
const TOKEN = /0x[0-9a-f]+|\d+|\w+|[^\s\w]/gi;

const somewhere = (random: Random, text: string): number => random.below(text.length + 1);

/** One token of `line` replaced, doubled or dropped. */
function otherToken(random: Random, line: string, other: string): string {
  const tokens = [...line.matchAll(TOKEN)];
  if (tokens.length === 0) return random.pick(WORDS);
  const { index, 0: token } = tokens[random.below(tokens.length)]!;
  const put = (text: string): string => line.slice(0, index) + text + line.slice(index + token.length);
  switch (random.below(6)) {
    case 0:
      return put('');
    case 1:
      return put(token + token);
    case 2:
      return put(random.pick(WORDS));
    case 3: {
      const found = other.match(TOKEN) ?? [];
      return put(found.length === 0 ? '' : random.pick(found));
    }
    default:
      return put(/^\d/.test(token) ? random.pick(NUMBERS) : random.pick([...NUMBERS, ...WORDS]));
  }
}

function otherCharacters(random: Random, line: string): string {
  const at = somewhere(random, line);
  switch (random.below(5)) {
    case 0:
      return line.slice(0, at);
    case 1:
      return line.slice(0, at) + line.slice(at + 1 + random.below(10));
    case 2:
      return (
        line.slice(0, at) + String.fromCharCode(random.below(random.below(8) === 0 ? 0x10000 : 128)) + line.slice(at)
      );
    case 3:
      return (
        line.slice(0, at) +
        random.pick(WORDS).repeat(1 + random.below(random.below(50) === 0 ? 3000 : 3)) +
        line.slice(at)
      );
    default:
      return line.slice(0, at) + String.fromCharCode(random.below(128)) + line.slice(at + 1);
  }
}

/** Lines dropped, doubled, moved, or of another text. */
function otherLines(random: Random, lines: readonly string[], other: SoundTrace): readonly string[] {
  const at = random.below(lines.length);
  switch (random.below(6)) {
    case 0:
      return lines.toSpliced(at, 1 + random.below(3));
    case 1:
      return lines.toSpliced(random.below(lines.length + 1), 0, lines[at]!);
    case 2: {
      const to = random.below(lines.length);
      return lines.with(at, lines[to]!).with(to, lines[at]!);
    }
    case 3:
      return lines.toSpliced(at, 0, random.pick(other.lines));
    case 4:
      return lines.slice(0, at);
    default:
      return lines.slice(at);
  }
}

/** A damaged text; the same random numbers give the same one. */
export function damagedTrace(random: Random, sound: SoundTrace, other: SoundTrace): string {
  let { lines } = sound;
  for (let n = 1 + random.below(4); n > 0; n--) {
    if (lines.length === 0) break;
    const at = random.below(lines.length);
    const line = lines[at] as string;
    const way = random.below(10);
    if (way < 6) lines = lines.with(at, otherToken(random, line, random.pick(other.lines)));
    else if (way < 8) lines = lines.with(at, otherCharacters(random, line));
    else lines = otherLines(random, lines, other);
  }
  return lines.join('\n');
}
