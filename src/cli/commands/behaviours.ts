// folioscope behaviours
import { BEHAVIOURS, BEHAVIOUR_NAMES, behavioursOf, originOf } from '../../kernel/behaviours.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT } from '../../lib/errors.js';
import { bold, flushOut, out } from '../output.js';

/** Lists the switches with their values in one kernel version. */
export async function behavioursCommand(options: {
  readonly kernel: string;
  readonly json: boolean;
}): Promise<ExitCode> {
  const values = behavioursOf(options.kernel);
  if (options.json) {
    const behaviours = BEHAVIOUR_NAMES.map((name) => ({ name, value: values[name], ...BEHAVIOURS[name] }));
    out(JSON.stringify({ kernel: options.kernel, behaviours }));
  } else {
    for (const name of BEHAVIOUR_NAMES) {
      out(`${values[name] ? 'on ' : 'off'} ${bold(name)} (${originOf(name)})`);
      out(`    ${BEHAVIOURS[name].description}`);
    }
  }
  flushOut();
  return EXIT.ok;
}
