// Which behaviours make the difference between two kernels: switches whose turning carries the one outcome to the other, none of them in vain.
import type { BehaviourName, Behaviours } from '../kernel/behaviours.js';
import { BEHAVIOURS, BEHAVIOUR_NAMES } from '../kernel/behaviours.js';

/** Switches, turned from one kernel's values to the other's. */
export type Switches = ReadonlySet<BehaviourName>;

/** What was found. */
export interface DecidingSwitches {
  /** Turning these in `from` gives the outcome of `to`; turning fewer of them does not. Oldest first. */
  readonly turned: readonly BehaviourName[];
  /** Those of them that are there only because another one requires them (or, turned off, is required by it). */
  readonly brought: readonly BehaviourName[];
  /** Does turning all of them back in `to` (with what they bring) give the outcome of `from`? If not, others do the same. */
  readonly necessary: boolean;
  /** Sets of behaviours run. */
  readonly runs: number;
}

/** Where `from` and `to` differ, oldest first. */
export const differing = (from: Behaviours, to: Behaviours): readonly BehaviourName[] =>
  BEHAVIOUR_NAMES.filter((name) => from[name] !== to[name]);

/** `from` with `switches` as `to` has them. */
export function turnedTo(from: Behaviours, to: Behaviours, switches: Switches): Behaviours {
  const entries = BEHAVIOUR_NAMES.map((name) => [name, switches.has(name) ? to[name] : from[name]]);
  return Object.fromEntries(entries) as Behaviours;
}

/** `switches` and all that must turn with them, so that nothing is on without what it requires. */
export function closed(from: Behaviours, to: Behaviours, switches: Iterable<BehaviourName>): Switches {
  const turned = new Set(switches);
  for (let before = -1; before !== turned.size;) {
    before = turned.size;
    const values = turnedTo(from, to, turned);
    for (const name of BEHAVIOUR_NAMES)
      for (const required of BEHAVIOURS[name].requires)
        // One of the two was turned, and both kernels are sound: the other one turns as well.
        if (values[name] && !values[required]) turned.add(turned.has(name) ? required : name);
  }
  return turned;
}

/**
 * A set of switches that carries the outcome of `from` to that of `to`, and of which none can be left out; a single one (with what it
 * brings) where one is enough. `likeTo` says whether behaviours give the outcome of `to`: it does for `to`, and does not for `from`. It is
 * asked once for each set: about twice as often as there are switches.
 */
export async function decidingSwitches(
  from: Behaviours,
  to: Behaviours,
  likeTo: (behaviours: Behaviours) => Promise<boolean>,
): Promise<DecidingSwitches> {
  const all = differing(from, to);
  const asked = new Map<string, boolean>();
  const like = async (behaviours: Behaviours): Promise<boolean> => {
    const key = BEHAVIOUR_NAMES.map((name) => (behaviours[name] ? '1' : '0')).join('');
    let answer = asked.get(key);
    if (answer === undefined) asked.set(key, (answer = await likeTo(behaviours)));
    return answer;
  };
  const works = (switches: Switches): Promise<boolean> => like(turnedTo(from, to, switches));

  // What must turn with several is what must turn with each.
  const bringing = new Map(all.map((name) => [name, [...closed(from, to, [name])]]));
  // One switch with what it brings, the smallest such set first; else all, without what can be left out.
  const alone = all.map((name): Switches => new Set(bringing.get(name))).toSorted((a, b) => a.size - b.size);
  let best: Switches = new Set(all);
  for (const set of alone) if (set.size < best.size && (await works(set))) best = set;
  best = await withoutAny(bringing, best, works);

  const turned = all.filter((name) => best.has(name));
  const brought = turned.filter((name) =>
    turned.some((other) => other !== name && closed(from, to, [other]).has(name)),
  );
  const back = closed(
    to,
    from,
    turned.filter((name) => !brought.includes(name)),
  );
  const necessary = !(await like(turnedTo(to, from, back)));
  return { turned, brought, necessary, runs: asked.size };
}

/** `switches` without any (and what needs them) that it works without: halves are left out first, then smaller and smaller parts. */
async function withoutAny(
  bringing: ReadonlyMap<BehaviourName, readonly BehaviourName[]>,
  switches: Switches,
  works: (switches: Switches) => Promise<boolean>,
): Promise<Switches> {
  let best = switches;
  for (let size = Math.ceil(best.size / 2); size > 0;) {
    const before = best.size;
    const names = [...best];
    for (let i = 0; i < names.length; i += size) {
      const part = new Set(names.slice(i, i + size));
      const rest = new Set([...best].filter((each) => bringing.get(each)?.some((name) => part.has(name)) !== true));
      if (rest.size < best.size && (await works(rest))) best = rest;
    }
    // Single ones until none can go.
    if (size > 1) size = Math.ceil(size / 2);
    else if (best.size === before) size = 0;
  }
  return best;
}
