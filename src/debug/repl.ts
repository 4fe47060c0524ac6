// Reads commands, finds out which is meant, and answers. No terminal here: lines in, lines out.
import type { ExitCode } from '../lib/errors.js';
import { EXIT, InputError, UserError } from '../lib/errors.js';
import type { Command } from './command.js';
import { EXPERIMENT_COMMANDS } from './commands/experiment.js';
import { LOOK_COMMANDS } from './commands/look.js';
import { MOVE_COMMANDS } from './commands/move.js';
import { SEARCH_COMMANDS } from './commands/search.js';
import { STOP_COMMANDS } from './commands/stop.js';
import { USERFAULT_COMMANDS } from './commands/userfaults.js';
import { EVENT_TYPES } from './names-of-events.js';
import type { Session } from './session.js';
import { Interrupted } from './session.js';
import { count } from './words.js';

const GROUPS: readonly (readonly [string, readonly Command[]])[] = [
  ['through time', MOVE_COMMANDS],
  ['stops', STOP_COMMANDS],
  ['what is there', [...LOOK_COMMANDS, ...USERFAULT_COMMANDS]],
  ['over the whole log', SEARCH_COMMANDS],
  ['experiments', EXPERIMENT_COMMANDS],
];

const QUIT: Command = {
  names: ['quit', 'q', 'exit'],
  usage: 'quit',
  summary: 'leaves the debugger',
  run: () => [],
};

const HELP: Command = {
  names: ['help', '?'],
  usage: 'help [COMMAND | types]',
  summary: 'commands, one of them, or all types of events',
  run: (_session, rest) => help(rest),
};

/** All of them. */
export const COMMANDS: readonly Command[] = [...GROUPS.flatMap(([, commands]) => commands), HELP, QUIT];

function help(about: string): readonly string[] {
  if (about === 'types') return EVENT_TYPES.map((type) => `  ${type}`);
  if (about !== '') {
    const { names, usage, summary, more } = commandNamed(about);
    const [, ...others] = names;
    return [
      ...usage.split('\n'),
      `  ${summary}`,
      ...(more === undefined ? [] : more.split('\n').map((line) => `  ${line}`)),
      ...(others.length === 0 ? [] : [`  also ${others.join(', ')}`]),
    ];
  }
  const lines = GROUPS.flatMap(([title, commands]) => [
    `${title}:`,
    ...commands.map(({ names: [name, short], summary }) => {
      const shown = short !== undefined && short.length <= 2 ? `${name}, ${short}` : name;
      return `  ${shown.padEnd(20)} ${summary}`;
    }),
  ]);
  return [
    ...lines,
    'Any unique beginning of a name will do; an empty line repeats. `help COMMAND` tells more; `quit` leaves.',
  ];
}

/**
 * The command that `word` means: one of its names, or a beginning that only one command has. A name that begins all the others wins.
 * @throws UserError where none or several are meant.
 */
export function commandNamed(word: string): Command {
  const exact = COMMANDS.find(({ names }) => names.includes(word));
  if (exact !== undefined) return exact;
  const found = COMMANDS.filter(({ names: [name] }) => name.startsWith(word));
  const shortest = found.find(({ names: [name] }) => found.every(({ names: [other] }) => other.startsWith(name)));
  if (shortest !== undefined) return shortest;
  if (found.length > 1)
    throw new UserError(`'${word}' may be ${found.map(({ names: [name] }) => name).join(', ')}`, EXIT.input);
  throw new UserError(`no command '${word}'; \`help\` lists them`, EXIT.input);
}

/** What a line brought. */
export interface Answer {
  readonly lines: readonly string[];
  readonly quit: boolean;
}

/** A session that takes commands as text. */
export class Debugger {
  readonly session: Session;
  #last = '';
  /** A command made no sense. */
  #wrong = false;

  constructor(session: Session) {
    this.session = session;
  }

  /** Exit code of a script: 2 if a command made no sense, 1 if an assertion did not hold. */
  get exitCode(): ExitCode {
    if (this.#wrong) return EXIT.input;
    return this.session.failed > 0 ? EXIT.no : EXIT.ok;
  }

  /** Does what `line` says; an empty one repeats the last command, `#` begins a comment. Errors that users can mend are answers. */
  async execute(line: string): Promise<Answer> {
    const text = line.trim() === '' ? this.#last : line.trim();
    if (text === '' || text.startsWith('#')) return { lines: [], quit: false };
    this.#last = text;
    const { position } = this.session;
    try {
      const [word = ''] = text.split(/\s+/);
      const command = commandNamed(word);
      if (command === QUIT) return { lines: [], quit: true };
      return { lines: await command.run(this.session, text.slice(word.length).trim()), quit: false };
    } catch (error) {
      if (error instanceof Interrupted) return { lines: [`interrupted; still at ${count(position)}`], quit: false };
      if (!(error instanceof UserError)) throw error;
      this.#wrong = true;
      return { lines: errorText(error).split('\n'), quit: false };
    }
  }
}

/** What an error that users can mend says. Errors of expressions name a column of no file. */
export function errorText(error: UserError): string {
  if (!(error instanceof InputError) || error.place.file !== undefined) return error.message;
  const { column } = error.place;
  return column === undefined ? error.problem : `column ${column}: ${error.problem}`;
}
