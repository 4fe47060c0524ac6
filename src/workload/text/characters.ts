// Character codes and classes, so that scanning compares numbers.

const codeOf = (character: string): number => character.charCodeAt(0);

export const TAB = codeOf('\t');
export const SPACE = codeOf(' ');
export const QUOTE = codeOf('"');
export const HASH = codeOf('#');
export const APOSTROPHE = codeOf("'");
export const OPEN_PAREN = codeOf('(');
export const CLOSE_PAREN = codeOf(')');
export const STAR = codeOf('*');
export const PLUS = codeOf('+');
export const COMMA = codeOf(',');
export const MINUS = codeOf('-');
export const DOT = codeOf('.');
export const SLASH = codeOf('/');
export const ZERO = codeOf('0');
export const NINE = codeOf('9');
export const LESS = codeOf('<');
export const EQUALS = codeOf('=');
export const GREATER = codeOf('>');
export const QUESTION = codeOf('?');
export const OPEN_BRACKET = codeOf('[');
export const BACKSLASH = codeOf('\\');
export const CLOSE_BRACKET = codeOf(']');
export const OPEN_BRACE = codeOf('{');
export const BAR = codeOf('|');
export const CLOSE_BRACE = codeOf('}');
export const LOWER_X = codeOf('x');

/** Decimal digits. */
export const isDigit = (code: number): boolean => code >= ZERO && code <= NINE;
/** Letters and underscore. */
export const isLetter = (code: number): boolean =>
  (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95;
/** Whether a value ends before this: comma, closing bracket, end of text. */
export const ends = (code: number): boolean =>
  code === COMMA || code === CLOSE_PAREN || code === CLOSE_BRACKET || code === CLOSE_BRACE || Number.isNaN(code);

/** Space or tab. */
export const isBlank = (code: number): boolean => code === SPACE || code === TAB;
