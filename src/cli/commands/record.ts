import type { ExitCode } from '../../lib/errors.js';
import { EXIT, UserError } from '../../lib/errors.js';
export async function recordCommand(
  _command: readonly string[],
  _options: { output: string; json: boolean; quiet: boolean },
): Promise<ExitCode> {
  throw new UserError('recording is not there yet', EXIT.unable);
}
