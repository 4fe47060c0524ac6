// Opening logs for commands.
import type { LogHeader } from '../../replays/log/format.js';
import { LogReader } from '../../replays/log/reader.js';
import type { Behaviours } from '../kernel/behaviours.js';
import type { MachineSettings } from '../kernel/kernel.js';
import { EXIT, UserError } from '../lib/errors.js';
import { fileSource, nodeTools } from './node-io.js';
import { wholeNumber } from './output.js';

/** The log at `path`. Throws InputError with a byte offset for what is none, UserError where it cannot be read. */
export function openLog(path: string): LogReader {
  return new LogReader(fileSource(path), nodeTools);
}

/** Event number that a position means: `N`, `op:N` (after operation N), nothing (the end). */
export function positionOf(reader: LogReader, text: string | undefined): number {
  if (text === undefined) return reader.eventCount;
  if (!text.startsWith('op:')) {
    const at = wholeNumber(text, '--at', reader.eventCount);
    if (at < reader.firstEvent)
      throw new UserError(`the log begins with event ${reader.firstEvent}: it was cut out of another one`, EXIT.input);
    return at;
  }
  const { operations } = reader.footer;
  if (operations === 0) throw new UserError('the log holds no operations', EXIT.input);
  const operation = reader.operation(wholeNumber(text.slice(3), '--at op:', operations - 1));
  const end = operation.firstEvent + operation.events;
  if (end > reader.eventCount)
    throw new UserError(`operation ${operation.id} ends after event ${end}, which was lost`, EXIT.input);
  return end;
}

/** Behaviours and settings that a log's run had. */
export function settingsOf(header: LogHeader): { behaviours: Behaviours; machine: MachineSettings } {
  return { behaviours: header.behaviours as Behaviours, machine: header.machine as unknown as MachineSettings };
}
