// Parsing a whole text in one go.

import type { Operation } from '../../../src/workload/operation.js';
import { TextParser } from '../../../src/workload/text/workload.js';

export interface Parsed {
  readonly operations: Operation[];
  /** `reason:line`. */
  readonly skipped: string[];
}

/** Parses a text; lines count from 1. */
export function parse(text: string, options: { recorded: boolean; lenient?: boolean }): Parsed {
  const operations: Operation[] = [];
  const skipped: string[] = [];
  const sink = {
    operation: (operation: Operation) => void operations.push(operation),
    skipped: (reason: string, line: number) => void skipped.push(`${reason}:${line}`),
  };
  const parser = new TextParser(sink, { recorded: options.recorded, lenient: options.lenient ?? false });
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  lines.forEach((line, index) => parser.line(line, index + 1));
  parser.end();
  return { operations, skipped };
}

/** Parses a recording. */
export const parseRecording = (text: string): Parsed => parse(text, { recorded: true });

/** Parses a hand-written workload. */
export const parseWorkload = (text: string): Operation[] => parse(text, { recorded: false }).operations;

/** The only operation of a hand-written line. */
export function one(line: string): Operation {
  const [operation] = parseWorkload(line);
  if (operation === undefined) throw new Error(`no operation in ${line}`);
  return operation;
}

/** `pid name` of each operation, in order. */
export const sequence = (operations: readonly Operation[]): string[] =>
  operations.map(({ pid, name }) => `${pid ?? 'machine'} ${name}`);
