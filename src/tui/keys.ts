// Which key does what in the full-screen mode; the help is made from it.

/** What a key does. */
export type Action =
  | 'forward'
  | 'backward'
  | 'operation-forward'
  | 'operation-backward'
  | 'start'
  | 'end'
  | 'up'
  | 'down'
  | 'next-pane'
  | 'previous-pane'
  | 'choose'
  | 'next-page'
  | 'previous-page'
  | 'zoom'
  | 'follow'
  | 'next-process'
  | 'why'
  | 'mark'
  | 'goto'
  | 'search'
  | 'search-back'
  | 'again'
  | 'again-back'
  | 'violation'
  | 'violation-back'
  | 'undo'
  | 'redo'
  | 'command'
  | 'close'
  | 'help'
  | 'quit';

interface Binding {
  readonly action: Action;
  /** As `keyName()` has them. */
  readonly keys: readonly string[];
  /** As the help shows them. */
  readonly shown: string;
  readonly meaning: string;
}

/** All keys, in the order of the help. */
export const BINDINGS: readonly Binding[] = [
  { action: 'forward', keys: ['right'], shown: 'right', meaning: 'over one event' },
  { action: 'backward', keys: ['left'], shown: 'left', meaning: 'back over one event' },
  { action: 'operation-forward', keys: ['pagedown'], shown: 'PgDn', meaning: 'to the end of the operation' },
  { action: 'operation-backward', keys: ['pageup'], shown: 'PgUp', meaning: 'to the beginning of the operation' },
  { action: 'start', keys: ['home'], shown: 'Home', meaning: 'to the beginning of the log' },
  { action: 'end', keys: ['end'], shown: 'End', meaning: 'to its end' },
  { action: 'goto', keys: ['g'], shown: 'g', meaning: 'to a position: N, +N, -N, op:N, line:N, 50%, @MARK' },
  {
    action: 'search',
    keys: ['/'],
    shown: '/',
    meaning: 'forward to an event type, or to where an expression turns true',
  },
  { action: 'search-back', keys: ['?'], shown: '?', meaning: 'the same backward' },
  { action: 'again', keys: ['n'], shown: 'n', meaning: 'the last search again, forward' },
  { action: 'again-back', keys: ['N'], shown: 'N', meaning: 'and backward' },
  { action: 'violation', keys: ['v'], shown: 'v', meaning: 'to the next violation of an invariant' },
  { action: 'violation-back', keys: ['V'], shown: 'V', meaning: 'to the last one before' },
  { action: 'mark', keys: ['m'], shown: 'm', meaning: 'name the position' },
  { action: 'undo', keys: ['u'], shown: 'u', meaning: 'back to where the last move began' },
  { action: 'redo', keys: ['U'], shown: 'U', meaning: 'take the last undo back' },
  { action: 'next-pane', keys: ['tab'], shown: 'Tab', meaning: 'the next pane: events, pages, details' },
  { action: 'previous-pane', keys: ['S-tab'], shown: 'Shift-Tab', meaning: 'the pane before' },
  { action: 'up', keys: ['up', 'k'], shown: 'up, k', meaning: 'select in the pane, or scroll' },
  { action: 'down', keys: ['down', 'j'], shown: 'down, j', meaning: 'select in the pane, or scroll' },
  { action: 'choose', keys: ['return'], shown: 'Enter', meaning: 'go behind the selected event' },
  { action: 'next-page', keys: [']', 'S-right'], shown: ']', meaning: 'the next page of the mapping' },
  { action: 'previous-page', keys: ['[', 'S-left'], shown: '[', meaning: 'the page before' },
  { action: 'next-process', keys: ['p'], shown: 'p', meaning: 'the next process' },
  { action: 'zoom', keys: ['z'], shown: 'z', meaning: 'one page to a cell, or whole mappings' },
  { action: 'follow', keys: ['f'], shown: 'f', meaning: 'select what each event touches, or leave the selection' },
  { action: 'why', keys: ['w'], shown: 'w', meaning: 'why the selected page, or its selected field, is so' },
  { action: 'command', keys: [':'], shown: ':', meaning: 'any command of the debugger' },
  { action: 'close', keys: ['escape'], shown: 'Esc', meaning: 'close what stands over the details' },
  { action: 'help', keys: ['h', 'f1'], shown: 'h', meaning: 'this help' },
  { action: 'quit', keys: ['q'], shown: 'q', meaning: 'leave; Ctrl-C stops a search, or leaves' },
];

const BY_KEY: ReadonlyMap<string, Action> = new Map(
  BINDINGS.flatMap(({ keys, action }) => keys.map((key) => [key, action] as const)),
);

/** What a key does; null for nothing. */
export const actionOf = (key: string): Action | null => BY_KEY.get(key) ?? null;

/** A line for each key. */
export const helpLines = (): string[] => BINDINGS.map(({ shown, meaning }) => `${shown.padEnd(10)} ${meaning}`);

/** A key as a terminal's decoder reports it. */
export interface RawKey {
  readonly sequence?: string | undefined;
  readonly name?: string | undefined;
  readonly ctrl?: boolean;
  readonly meta?: boolean;
  readonly shift?: boolean;
}

/** `right`, `S-tab`, `C-c`, or the character itself; empty for what is none of these. */
export function keyName({ sequence = '', name, ctrl, meta, shift }: RawKey): string {
  if (ctrl === true) return name === undefined ? '' : `C-${name}`;
  if (meta === true && name !== 'escape') return '';
  if (name === 'enter') return 'return';
  // A character, not the name of one: `/`, `N`, and letters outside of ASCII.
  if (/^[^\p{Cc}]$/u.test(sequence)) return sequence;
  if (name === undefined) return '';
  return shift === true ? `S-${name}` : name;
}
