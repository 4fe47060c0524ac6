// Files in memory and their seals.
import type { BehaviourDefinition } from './definition.js';

/** Switches, oldest first. */
export const FILES_BEHAVIOURS = {
  'future-write-seal-spares-private': {
    description:
      'F_SEAL_FUTURE_WRITE takes the right to become writable from new shared mappings alone; before, private ones lost it as well, and fork then took them for shared.',
    commit: '05d351102dbe',
    since: '5.5',
    requires: [],
    aliases: [],
  },
  'seal-exec-checks-mappings': {
    description:
      'F_SEAL_EXEC on a file that may be executed brings in the seals against writing, and is refused like them while a shared mapping may write; before, such a mapping went on writing to the sealed file. Mended in 2026; 6.18.44 has it.',
    commit: '3b041514cb6e',
    since: '6.18',
    requires: [],
    aliases: [],
  },
} as const satisfies Readonly<Record<string, BehaviourDefinition>>;
