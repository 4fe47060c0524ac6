// Printing results on standard output.
import { styleText } from 'node:util';
import { EXIT, UserError } from '../lib/errors.js';

/** Text waits here until there is enough of it for one write. */
const BUFFER = 64 * 1024;
let buffer = '';

/** Prints a line. Results only; everything else goes to stderr. */
export function out(line: string): void {
  buffer += `${line}\n`;
  if (buffer.length >= BUFFER) flushOut();
}

/** Writes what out() holds back. Every command ends with it. */
export function flushOut(): void {
  if (buffer === '') return;
  process.stdout.write(buffer);
  buffer = '';
}

/** Lets the reader of a pipe catch up, so that a long print does not pile up in memory. */
export async function drained(): Promise<void> {
  flushOut();
  if (process.stdout.writableNeedDrain) await new Promise((done) => process.stdout.once('drain', done));
}

export const bold = (text: string): string => styleText('bold', text, { stream: process.stdout });
export const dim = (text: string): string => styleText('dim', text, { stream: process.stdout });

/** `12,345`. */
export const count = (n: number): string => n.toLocaleString('en-US');
/** `99.96 %`, never rounded up to 100. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return '-';
  if (part === whole) return '100 %';
  return `${(Math.floor((10_000 * part) / whole) / 100).toFixed(2)} %`;
}
export const hex = (n: number): string => `0x${n.toString(16)}`;

/** Rows as columns of equal width; the first column to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** A whole number of an option, from 0 to `max`. */
export function wholeNumber(text: string, what: string, max = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > max)
    throw new UserError(
      `${what} must be a whole number${max < Number.MAX_SAFE_INTEGER ? ` from 0 to ${max}` : ''}, not '${text}'`,
      EXIT.input,
    );
  return value;
}
