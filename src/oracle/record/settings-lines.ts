// Which huge pages the machine gives while something is recorded: the settings that the model knows, as lines of the recording's heading.
import { readFileSync } from 'node:fs';
import { SETTINGS } from '../../kernel/thp.js';

/** Below it lie the files that SETTINGS names. */
const FOLDER = '/sys/kernel/mm/';

/** The word that such a file has chosen, `always [madvise] never`, or its number. */
const chosen = (text: string): string => /\[([^\]]*)\]/.exec(text)?.[1] ?? text.trim();

/** `# folioscope setting FILE VALUE`, one for each file that this kernel has; none where it has no huge pages. */
export function settingsLines(): string[] {
  return Object.keys(SETTINGS).flatMap((name) => {
    try {
      return [`# folioscope setting ${name} ${chosen(readFileSync(FOLDER + name, 'latin1'))}`];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  });
}
