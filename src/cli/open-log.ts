// Opening logs for commands.
import type { LogHeader } from '../../replays/log/format.js';
import { LogReader } from '../../replays/log/reader.js';
import type { Behaviours } from '../kernel/behaviours.js';
import { BEHAVIOUR_NAMES } from '../kernel/behaviours.js';
import type { MachineSettings } from '../kernel/kernel.js';
import { DEFAULT_MACHINE, PAGE_SIZE, TASK_SIZE } from '../kernel/kernel.js';
import { EXIT, InputError, UserError } from '../lib/errors.js';
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

/**
 * Behaviours and settings that a log's run had. A behaviour that the log does not name did not
 * exist when it was written: it is off. A setting that it does not name was the one there always is.
 * @throws InputError, without file name, for settings that no machine has.
 */
export function settingsOf(header: LogHeader): { behaviours: Behaviours; machine: MachineSettings } {
  const behaviours = Object.fromEntries(BEHAVIOUR_NAMES.map((name) => [name, header.behaviours[name] === true]));
  const machine = Object.fromEntries(
    Object.keys(DEFAULT_MACHINE).map((name) => {
      const value = header.machine[name] ?? DEFAULT_MACHINE[name as keyof MachineSettings];
      if (!Number.isSafeInteger(value) || (value as number) < -1)
        throw new InputError({}, `the log says nothing that makes sense of the machine's ${name}`);
      return [name, value];
    }),
  ) as unknown as MachineSettings;
  const { faultAroundPages, mmapBase } = machine;
  if (faultAroundPages < 1 || faultAroundPages > 512 || (faultAroundPages & (faultAroundPages - 1)) !== 0)
    throw new InputError({}, `the log says that a fault maps ${faultAroundPages} pages around itself`);
  if (mmapBase % PAGE_SIZE !== 0 || mmapBase < 0 || mmapBase > TASK_SIZE)
    throw new InputError({}, 'the log says that mappings go where no addresses are');
  return { behaviours: behaviours as Behaviours, machine };
}
