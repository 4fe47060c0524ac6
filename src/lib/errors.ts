// Errors that users see: one clear line and an exit code (see EXIT).

/** Exit codes of every command. */
export const EXIT = {
  ok: 0,
  /** The answer is no: violation, difference, mismatch, damage. */
  no: 1,
  /** Bad usage or bad input. */
  input: 2,
  /** Done in part, or with losses. */
  partial: 3,
  /** Cannot run here: a tool or a right is missing. */
  unable: 4,
  /** Reading or writing failed. */
  io: 5,
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Something the user can mend, told in one line. */
export class UserError extends Error {
  override readonly name: string = 'UserError';
  readonly exitCode: ExitCode;
  constructor(message: string, exitCode: ExitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Where in an input something was found. */
export interface Place {
  readonly file?: string;
  /** 1-based. */
  readonly line?: number;
  /** 1-based. */
  readonly column?: number;
  /** Byte offset, for binary inputs. */
  readonly offset?: number;
}

/** `file:line:column` or `file: byte offset`, as far as known. */
export function placeText(place: Place): string {
  let text = place.file ?? '<input>';
  if (place.line !== undefined) text += `:${place.line}`;
  if (place.column !== undefined) text += `:${place.column}`;
  if (place.offset !== undefined) text += `: byte ${place.offset}`;
  return text;
}

/** On one line, and harmless to a terminal: inputs are quoted in messages. */
const printable = (text: string): string =>
  text.replaceAll(/[\p{Cc}\u2028\u2029]/gu, (each) => `\\x${each.charCodeAt(0).toString(16).padStart(2, '0')}`);

/** Input that cannot be what it claims to be, with its place. Exit code 2. */
export class InputError extends UserError {
  override readonly name = 'InputError';
  readonly place: Place;
  readonly problem: string;
  constructor(place: Place, problem: string) {
    super(`${placeText(place)}: ${printable(problem)}`, EXIT.input);
    this.place = place;
    this.problem = problem;
  }
}

/** A mechanism this version does not model; never guessed at. Exit code 2 unless --lenient counts it. */
export class NotModelledError extends UserError {
  override readonly name = 'NotModelledError';
  readonly what: string;
  constructor(what: string) {
    super(`not modelled: ${what}`, EXIT.input);
    this.what = what;
  }
}
