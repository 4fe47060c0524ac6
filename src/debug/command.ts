// What a command of the debugger is.
import { EXIT, UserError } from '../lib/errors.js';
import type { Session } from './session.js';

export interface Command {
  /** What it is called, the full name first. */
  readonly names: readonly [string, ...string[]];
  /** How it is called, one form a line. */
  readonly usage: string;
  readonly summary: string;
  /** What else there is to know. */
  readonly more?: string;
  /** Does it; gives the lines that answer. `rest` is what stands behind the name. */
  run(session: Session, rest: string): readonly string[] | Promise<readonly string[]>;
}

/** How often: a whole number from 1 on, 1 where nothing is said. @throws UserError. */
export function times(rest: string): number {
  if (rest === '') return 1;
  const n = Number(rest);
  if (!/^\d+$/.test(rest) || n < 1) throw new UserError(`how often? '${rest}' is no whole number`, EXIT.input);
  return n;
}

/** Words of `rest`, at least `least` of them. @throws UserError with the usage. */
export function words(rest: string, least: number, usage: string): string[] {
  const found = rest.split(/\s+/).filter((word) => word !== '');
  if (found.length < least) throw new UserError(`usage: ${usage}`, EXIT.input);
  return found;
}
