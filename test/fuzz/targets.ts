// What can be fuzzed, by name.
import type { Random } from '../../src/lib/random.js';
import { askLog } from './ask-log.js';
import { askTrace } from './ask-trace.js';
import { baseLogs, recordingText } from './base-logs.js';
import { baseTraces } from './base-traces.js';
import type { Target } from './campaign.js';
import { damagedLog } from './log-mutator.js';
import { damagedTrace } from './trace-mutator.js';

/** Questions asked of one log; with all eight there would be a third of the logs in the same time. */
const QUESTIONS_ASKED = 2;

/** Damaged logs. */
function logTarget(): Target {
  const logs = baseLogs(recordingText('cow.strace.txt.gz'));
  return {
    name: 'logs',
    try: (random: Random) => askLog(damagedLog(random, random.pick(logs), random.pick(logs)), random, QUESTIONS_ASKED),
  };
}

/** Damaged recordings, workloads and programs of syzkaller. */
function traceTarget(): Target {
  const traces = baseTraces();
  return {
    name: 'traces',
    try: (random: Random) => {
      const sound = random.pick(traces);
      const text = damagedTrace(random, sound, random.pick(traces));
      return [askTrace(sound.name, text, random.below(2) === 0)];
    },
  };
}

/** Each makes its target anew. */
export const TARGETS: Readonly<Record<string, () => Target>> = {
  logs: logTarget,
  traces: traceTarget,
};
