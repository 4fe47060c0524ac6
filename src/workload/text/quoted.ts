// Quoted text with C escapes, one character per byte as strace prints it.

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  v: '\v',
  f: '\f',
  a: '\x07',
  b: '\b',
  e: '\x1b',
};
const NAMED = new Map(Object.entries(ESCAPES).map(([letter, character]) => [character, `\\${letter}`]));
const ESCAPE = /\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|[^])/g;

/** Takes C escapes out. A backslash before anything unknown stands for that character. */
export function unescapeText(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(ESCAPE, (_, escape: string) => {
    const first = escape.charAt(0);
    if (first === 'x' && escape.length > 1) return String.fromCharCode(Number.parseInt(escape.slice(1), 16));
    if (first >= '0' && first <= '7') return String.fromCharCode(Number.parseInt(escape, 8) & 0xff);
    return ESCAPES[escape] ?? escape;
  });
}

function escapeWith(text: string, pattern: RegExp): string {
  return text.replace(pattern, (character) => {
    if (character === '"' || character === '\\') return `\\${character}`;
    return NAMED.get(character) ?? `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
  });
}

/** Text in double quotes, control and high bytes escaped. */
export const quoteText = (text: string): string => `"${escapeWith(text, /["\\\p{Cc}\xa0-\xff]/gu)}"`;

/** A path as it stands in `3</path>`. */
export const escapePath = (path: string): string => escapeWith(path, /[\\<>\p{Cc}\xa0-\xff]/gu);
