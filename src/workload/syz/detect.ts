// Tells syzkaller programs from other texts.

/** Lines looked at. */
const LINES = 200;
const LINE_LENGTH_MAX = 4096;

const HEADER = /^#\s*\{(?:Threaded:|"threaded":|Repeat:|"repeat":|Procs:|"procs":)/;
const CALL = /^(r\d+ = )?[a-z_]\w*(\$\w+)?\(/;
/** Arguments that no other format writes so. */
const ARGUMENT = /&\(0x[0-9a-f]+|&AUTO|=ANY=\[|=nil[,)]/;

/** Whether a text is a syzkaller program: a line of it holds a form that only these have. */
export function looksLikeSyz(head: string): boolean {
  let start = 0;
  for (let n = 0; n < LINES && start < head.length; n++) {
    const newline = head.indexOf('\n', start);
    const end = newline < 0 ? head.length : newline;
    const line = head.slice(start, Math.min(end, start + LINE_LENGTH_MAX)).trim();
    start = end + 1;
    if (line.startsWith('# folioscope')) return false;
    if (HEADER.test(line)) return true;
    const call = CALL.exec(line);
    if (call !== null && (call[1] !== undefined || call[2] !== undefined || ARGUMENT.test(line))) return true;
  }
  return false;
}
