// Kernels as options say them: a version, with behaviours turned on and off.
import type { Behaviours } from '../kernel/behaviours.js';
import { BEHAVIOUR_NAMES, DEFAULT_KERNEL, behavioursOf, withBehaviours } from '../kernel/behaviours.js';
import { EXIT, UserError } from '../lib/errors.js';

/** A modelled kernel and how it is called: `5.18 -anon-exclusive`. */
export interface ModelledKernel {
  readonly version: string;
  readonly behaviours: Behaviours;
  readonly words: string;
}

/** Kernel `version` with behaviours turned. @throws UserError for an unknown version or name. */
export function modelledKernel(version: string, on: readonly string[], off: readonly string[]): ModelledKernel {
  const base = behavioursOf(version);
  const behaviours = withBehaviours(base, on, off);
  const turned = BEHAVIOUR_NAMES.filter((name) => behaviours[name] !== base[name]);
  const words = [version, ...turned.map((name) => `${behaviours[name] ? '+' : '-'}${name}`)].join(' ');
  return { version, behaviours, words };
}

/**
 * What `text` means beside `base`: `5.8`, `+NAME`, `-NAME`, or several of them with commas (`5.18,-wp-reuse-drains-lru`).
 * @throws UserError for anything else.
 */
export function otherKernel(text: string, base: ModelledKernel, option: string): ModelledKernel {
  const parts = text.split(',').map((each) => each.trim());
  const versions = parts.filter((each) => /^\d/.test(each));
  const turned = parts.filter((each) => /^[+-]./.test(each));
  const [version] = versions;
  if (versions.length > 1 || versions.length + turned.length !== parts.length)
    throw new UserError(
      `${option} takes a kernel version, +BEHAVIOUR or -BEHAVIOUR (several with commas), not '${text}'`,
      EXIT.input,
    );
  const named = (sign: string): string[] => turned.flatMap((each) => (each[0] === sign ? [each.slice(1)] : []));
  if (version !== undefined) return modelledKernel(version, named('+'), named('-'));
  const behaviours = withBehaviours(base.behaviours, named('+'), named('-'));
  return { version: base.version, behaviours, words: `${base.words} ${turned.join(' ')}` };
}

/** The version of the running kernel (`uname -r`) if it is modelled, else the newest that is. */
export function nearestVersion(release: string): string {
  const version = /^\d+\.\d+/.exec(release)?.[0] ?? DEFAULT_KERNEL;
  try {
    behavioursOf(version);
    return version;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return DEFAULT_KERNEL;
  }
}
