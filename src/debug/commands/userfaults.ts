// The command that shows who sleeps in a fault that a userfaultfd watches for.
import { userfaults, viewOf } from '../../../projections/userfaults.js';
import type { Command } from '../command.js';
import { lastEvent } from '../scan.js';
import type { Session } from '../session.js';
import { hex } from '../words.js';

/** When the task fell asleep, and in what. */
async function sinceText(session: Session, task: number): Promise<string> {
  const queued = await lastEvent(
    session.log,
    (event) => (event.type === 'UffdFaultQueued' || event.type === 'UffdEventQueued') && event.tid === task,
    session.position,
  );
  if (queued === null) return 'since before the log begins';
  return `since event ${queued.number}, ${session.placeText(session.operations.ofEvent(queued.number))}`;
}

async function show(session: Session): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const { uffd, mm, monitors, waits } of viewOf(userfaults.begin(session.state))) {
    const held = monitors.map(({ tgid, fd }) => `descriptor ${fd} of task ${tgid}`).join(', ');
    const asleep = waits.length === 1 ? '1 task sleeps' : `${waits.length} tasks sleep`;
    lines.push(`userfaultfd ${uffd} watches mm ${mm} (${held || 'no descriptor'}): ${asleep}`);
    for (const { task, addr, access, read, endedBy } of waits) {
      lines.push(`  task ${task}: ${access}${addr === 0 ? '' : ` at ${hex(addr)}`}, ${await sinceText(session, task)}`);
      lines.push(`    ${read ? 'its message was read' : 'nobody read its message'}; ended by ${endedBy.join(', ')}`);
    }
  }
  return lines.length === 0 ? ['nothing is watched by a userfaultfd'] : lines;
}

export const USERFAULT_COMMANDS: readonly Command[] = [
  {
    names: ['userfaults'],
    usage: 'userfaults',
    summary: 'who sleeps in a fault that a userfaultfd watches for, since when, and what would end it',
    run: show,
  },
];
