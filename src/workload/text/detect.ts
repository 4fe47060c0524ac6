// Tells hand-written workloads from strace recordings by how they begin.

import { CALLS } from './calls.js';
import { RECORDING_HEADER, WORKLOAD_HEADER } from './print.js';

/** Lines longer than this are judged by their beginning. */
const LINE_LENGTH_MAX = 4096;

/** Forms of workloads that are also names of system calls. */
const ALSO_SYSCALLS: ReadonlySet<string> = new Set(['unshare', 'swapon', 'swapoff', 'sysfs']);

const BLOCK = /^(?:\d+\s+)?(?:check|steps)\s|^parallel\s*\{|^schedule\s|^\}/;
const CALL = /^(?:\d+\s+)?([A-Za-z_]\w*)\(/;
/** A result that is a name: strace prints numbers and question marks. */
const NAMED_RESULT = /\)\s*=\s*[A-Za-z[][^"]*$/;
const SHORT_FORM = /^(?:\d+\s+)?\w+\([^"]*[\s(,|*](?:RW|RO|PRIV|ANON|P|H)(?:[\s,|+*)-]|$)/;

const PID = String.raw`(?:\[pid\s+\d+(?:<.*?>)?\] |\d+(?:<.*?>)?\s+)?`;
const TIME = String.raw`(?:\s*[\d:.]+ )?(?:\(\+\s*[\d.]+\) )?(?:\[[\s\da-f?]+\] )*`;
const STRACE_LINE = new RegExp(
  String.raw`^${PID}\s*${TIME}\s*(?:[a-z_]\w*\(|<\.\.\. \w+ resumed>|\+\+\+ |--- SIG|--- stopped)`,
);
const STRACE_NOTE = /^strace: |^\[ Process PID=/;

function* linesOf(head: string): Generator<string> {
  let start = 0;
  while (start < head.length) {
    const newline = head.indexOf('\n', start);
    const end = newline < 0 ? head.length : newline;
    const line = head.slice(start, Math.min(end, start + LINE_LENGTH_MAX)).trimEnd();
    if (line !== '') yield line;
    start = end + 1;
  }
}

/** Whether a line holds a form that strace never prints. */
function isWorkloadForm(line: string): boolean {
  if (BLOCK.test(line)) return true;
  const name = CALL.exec(line)?.[1];
  if (name === undefined) return false;
  const call = CALLS.get(name);
  if (call !== undefined && call.kind !== 'syscall' && !ALSO_SYSCALLS.has(name)) return true;
  const hash = line.indexOf('#');
  return NAMED_RESULT.test(hash < 0 || line.includes('"') ? line : line.slice(0, hash)) || SHORT_FORM.test(line);
}

/** Whether a text is a hand-written workload rather than a recording, judged by its first 64 KiB. */
export function looksHandWritten(head: string): boolean {
  for (const line of linesOf(head)) {
    if (line.startsWith(RECORDING_HEADER)) return false;
    if (line.startsWith(WORKLOAD_HEADER)) return true;
    if (!line.startsWith('#') && isWorkloadForm(line.trimStart())) return true;
  }
  return false;
}

/** Whether a text begins as strace's output does, or is a recording that this program printed. */
export function looksLikeStrace(head: string): boolean {
  for (const line of linesOf(head)) {
    if (line.startsWith(RECORDING_HEADER)) return true;
    if (line.startsWith('#') || STRACE_NOTE.test(line)) continue;
    return STRACE_LINE.test(line);
  }
  return false;
}
