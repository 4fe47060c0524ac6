// folioscope recover LOG
import { existsSync } from 'node:fs';
import type { LostRange, Recovery } from '../../../replays/recover.js';
import { recoverLog } from '../../../replays/recover.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, InputError, UserError } from '../../lib/errors.js';
import { fileSink, fileSource, nodeTools } from '../node-io.js';
import { count, flushOut, out } from '../output.js';

export interface RecoverOptions {
  readonly output?: string;
  readonly json: boolean;
}

/** Where a recovered log goes unless told: the name that the run would have given it, or one beside the damaged log. */
export function recoveredName(path: string): string {
  return path.endsWith('.partial') ? path.slice(0, -'.partial'.length) : `${path.replace(/\.fsl$/, '')}.recovered.fsl`;
}

/** Saves what can be read of a damaged log into a new one: 0 all of it, 3 a part, 1 nothing. */
export async function recoverCommand(path: string, options: RecoverOptions): Promise<ExitCode> {
  const target = options.output ?? recoveredName(path);
  const source = fileSource(path);
  if (options.output === undefined && existsSync(target))
    throw new UserError(`${target}: is there already: choose another name with -o`, EXIT.input);
  // The partial file of the target may be the very log to be recovered.
  const sink = fileSink(target, `${target}.recovering`);
  let result: Recovery;
  try {
    result = recoverLog(source, sink, nodeTools);
    if (nothing(result)) sink.abort();
    else sink.commit();
  } catch (error) {
    sink.abort();
    if (!(error instanceof InputError)) throw error;
    if (options.json) out(JSON.stringify({ log: path, output: null, problem: error.message }));
    else out(`${error.message}: nothing can be recovered`);
    flushOut();
    return EXIT.no;
  } finally {
    source.close();
  }
  const output = nothing(result) ? null : target;
  if (options.json) out(JSON.stringify({ log: path, output, ...result }));
  else print(path, output, result);
  flushOut();
  if (output === null) return EXIT.no;
  return result.complete ? EXIT.ok : EXIT.partial;
}

const nothing = ({ complete, firstEvent, events, operations }: Recovery): boolean =>
  !complete && events === firstEvent && operations === 0;

function print(path: string, output: string | null, result: Recovery): void {
  for (const { offset, why } of result.skipped) out(`${path}: byte ${offset}: left out: ${why}`);
  if (result.stopped !== null) out(`${path}: byte ${result.stopped.offset}: stopped here: ${result.stopped.why}`);
  if (result.lostEvents !== null) out(`lost: ${rangeText('event', result.lostEvents)}`);
  if (result.lostOperations !== null) out(`lost: ${rangeText('operation', result.lostOperations)}`);
  if (output === null) return out('nothing can be recovered');
  const all = result.complete ? 'all of it' : 'a part';
  out(`${output}: ${count(result.events)} events, ${count(result.operations)} operations, ${all}`);
}

function rangeText(what: string, { from, to }: LostRange): string {
  if (to === null) return `${what}s from ${from} on, if there were any`;
  return to - from === 1 ? `${what} ${from}` : `${what}s ${from} to ${to - 1}`;
}
