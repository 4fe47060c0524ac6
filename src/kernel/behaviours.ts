// Behaviours: each historical change that matters is a named switch. A kernel version is a set of values.
import { EXIT, UserError } from '../lib/errors.js';
import { ANONYMOUS_BEHAVIOURS } from './behaviours/anonymous.js';
import { GUP_BEHAVIOURS } from './behaviours/gup.js';
import { HUGE_BEHAVIOURS } from './behaviours/huge.js';
import { HUGETLB_BEHAVIOURS } from './behaviours/hugetlb.js';
import { KSM_BEHAVIOURS } from './behaviours/ksm.js';
import { FILES_BEHAVIOURS } from './behaviours/files.js';
import { MAPPINGS_BEHAVIOURS } from './behaviours/mappings.js';
import { USERFAULTFD_BEHAVIOURS } from './behaviours/userfaultfd.js';
import type { BehaviourDefinition } from './behaviours/definition.js';

const DEFINITIONS = {
  ...MAPPINGS_BEHAVIOURS,
  ...FILES_BEHAVIOURS,
  ...ANONYMOUS_BEHAVIOURS,
  ...GUP_BEHAVIOURS,
  ...HUGE_BEHAVIOURS,
  ...HUGETLB_BEHAVIOURS,
  ...KSM_BEHAVIOURS,
  ...USERFAULTFD_BEHAVIOURS,
};
export type BehaviourName = keyof typeof DEFINITIONS;

/** Every switch. */
export const BEHAVIOURS: Readonly<Record<BehaviourName, BehaviourDefinition<BehaviourName>>> = DEFINITIONS;

const OLDEST: readonly [number, number, number] = [2, 6, 26];

function parseVersion(text: string): readonly [number, number, number] {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) throw new UserError(`'${text}' is no kernel version; write it as 5.18 or 2.6.26`, EXIT.input);
  return [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

function compare(a: readonly [number, number, number], b: readonly [number, number, number]): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/** Names of all switches, oldest first; those that no kernel has unasked come last. */
export const BEHAVIOUR_NAMES: readonly BehaviourName[] = (Object.keys(DEFINITIONS) as BehaviourName[]).toSorted(
  (a, b) => {
    const [first, second] = [BEHAVIOURS[a].since, BEHAVIOURS[b].since];
    if (first === null || second === null) return Number(first === null) - Number(second === null);
    return compare(parseVersion(first), parseVersion(second));
  },
);

/** Where a switch comes from, in words: `since 5.19, commit a7f226604170`. */
export function originOf(name: BehaviourName): string {
  const { since, commit } = BEHAVIOURS[name];
  return [
    since === null ? 'in no kernel unasked' : `since ${since}`,
    ...(commit === null ? [] : [`commit ${commit}`]),
  ].join(', ');
}

/** The value of every switch. */
export type Behaviours = Readonly<Record<BehaviourName, boolean>>;

/** The version modelled unless told otherwise: what the machines this was measured on run. */
export const DEFAULT_KERNEL = '6.18';
/**
 * The behaviours of mainline kernel `version` ("5.18"), 2.6.26 to 6.18.
 * @throws UserError for a version outside that range.
 */
export function behavioursOf(version: string): Behaviours {
  const wanted = parseVersion(version);
  const newest = parseVersion(DEFAULT_KERNEL);
  // Stable updates (6.18.44) count as their mainline version.
  const known = compare(wanted, OLDEST) >= 0 && compare([wanted[0], wanted[1], 0], newest) <= 0;
  if (!known) throw new UserError(`kernel ${version} is not modelled; 2.6.26 to ${DEFAULT_KERNEL} are`, EXIT.input);
  const has = ({ since, until }: BehaviourDefinition): boolean =>
    since !== null &&
    compare(wanted, parseVersion(since)) >= 0 &&
    (until === undefined || compare(wanted, parseVersion(until)) < 0);
  const entries = BEHAVIOUR_NAMES.map((name) => [name, has(BEHAVIOURS[name])]);
  return Object.fromEntries(entries) as Behaviours;
}

/**
 * `base` with some switches turned: names of BEHAVIOURS. A switch turned on brings what it requires; one turned off takes along
 * what requires it.
 * @throws UserError for an unknown name, or one both on and off.
 */
export function withBehaviours(base: Behaviours, on: readonly string[], off: readonly string[]): Behaviours {
  const result: Record<BehaviourName, boolean> = { ...base };
  for (const name of on)
    if (off.includes(name)) throw new UserError(`behaviour '${name}' is both with and without`, EXIT.input);
  const turnOn = (name: BehaviourName): void => {
    result[name] = true;
    BEHAVIOURS[name].requires.forEach(turnOn);
  };
  const turnOff = (name: BehaviourName): void => {
    result[name] = false;
    for (const other of BEHAVIOUR_NAMES) if (result[other] && BEHAVIOURS[other].requires.includes(name)) turnOff(other);
  };
  on.map(behaviourName).forEach(turnOn);
  off.map(behaviourName).forEach(turnOff);
  return result;
}

function behaviourName(text: string): BehaviourName {
  const name = BEHAVIOUR_NAMES.find((each) => each === text);
  if (name === undefined)
    throw new UserError(`no behaviour '${text}'; known are ${BEHAVIOUR_NAMES.join(', ')}`, EXIT.input);
  return name;
}
