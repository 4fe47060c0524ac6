// Errors of expressions that a command was given are said to be theirs.
import { InputError } from '../lib/errors.js';

/** Runs `work`; an error that names no file is told to be in the argument `what`. */
export async function expressionErrors<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof InputError && error.place.file === undefined)
      throw new InputError({ ...error.place, file: what }, error.problem);
    throw error;
  }
}
