// folioscope info LOG
import type { ExitCode } from '../../lib/errors.js';
import { EXIT } from '../../lib/errors.js';
import { openLog } from '../open-log.js';
import { bold, count, flushOut, out, table } from '../output.js';

/** Prints header, footer and size; reads nothing else, so it takes as long for any log. */
export async function infoCommand(path: string, options: { readonly json: boolean }): Promise<ExitCode> {
  const reader = openLog(path);
  const { header, footer } = reader;
  const bytes = reader.source.size;
  const events = footer.events - footer.firstEvent;
  const operations = footer.operations - footer.firstOperation;
  if (options.json) {
    const { chunks, operationFrames, keyframes, ...rest } = footer;
    out(
      JSON.stringify({
        log: path,
        bytes,
        header,
        ...rest,
        chunks: chunks.length,
        operationFrames: operationFrames.length,
        keyframes: keyframes.length,
      }),
    );
  } else {
    out(bold(`${path}: run of ${header.sourceName} on kernel ${header.kernel}`));
    const per = events === 0 ? '' : ` (${(bytes / events).toFixed(2)} bytes/event)`;
    out(`  ${count(events)} events, ${count(operations)} operations in ${count(bytes)} bytes${per}`);
    out(`  ${header.tool}, log format ${header.format}, event catalogue ${header.catalogue}, digest ${footer.digest}`);
    out(
      `  source ${count(footer.source.lines)} lines, ${count(footer.source.bytes)} bytes, CRC-32 ${footer.source.crc32.toString(16)}`,
    );
    const whole = footer.keyframes.filter((keyframe) => keyframe[2] === 1).length;
    out(
      `  ${count(footer.chunks.length)} chunks, ${count(footer.keyframes.length)} keyframes, ${count(whole)} of them whole`,
    );
    if (header.parent !== undefined)
      out(`  events ${header.parent.event} to ${footer.events - 1} of the log with digest ${header.parent.digest}`);
    if (footer.incomplete === true) out('  recovered: what came after the last event is lost');
    const on = Object.entries(header.behaviours).filter(([, value]) => value !== false);
    out(`  behaviours ${on.map(([name, value]) => (value === true ? name : `${name}=${value}`)).join(' ') || 'none'}`);
    out('');
    const rows = Object.entries(footer.counts).toSorted((a, b) => b[1] - a[1]);
    for (const line of table(rows.map(([type, n]) => [type, count(n)]))) out(`  ${line}`);
  }
  flushOut();
  return EXIT.ok;
}
