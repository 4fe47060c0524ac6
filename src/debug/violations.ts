// The broken invariants of a log, found once and kept: stops and the timeline ask for them again and again.
import { invariantNamed, invariantsFor } from '../../projections/invariants/catalogue.js';
import { Checker } from '../../projections/invariants/checker.js';
import type { Violation } from '../../projections/invariants/invariant.js';
import { apply } from '../../reducers/index.js';
import { unfoldable } from '../../replays/guard.js';
import { stateAt } from '../../replays/timeline.js';
import { EXIT, InputError, UserError } from '../lib/errors.js';
import type { Operations } from './operations.js';
import type { SearchedLog } from './scan.js';

/** Events between two breaths: checking so many takes some milliseconds. */
const BREATH_EVENTS = 128;

export class Violations {
  readonly #log: SearchedLog;
  readonly #operations: Operations;
  #found: readonly Violation[] | null = null;

  constructor(log: SearchedLog, operations: Operations) {
    this.#log = log;
    this.#operations = operations;
  }

  /**
   * Violations of the invariant `name`, of all where it is null, by the event that caused them. The first thousand.
   * @throws UserError where there is no such invariant.
   */
  async of(name: string | null): Promise<readonly Violation[]> {
    const wanted = name === null ? null : invariantNamed(name);
    if (wanted === undefined) throw new UserError(`no invariant '${name}'; docs/invariants.md lists them`, EXIT.input);
    this.#found ??= await this.#audit();
    return wanted === null ? this.#found : this.#found.filter(({ invariant }) => invariant === wanted.name);
  }

  async #audit(): Promise<readonly Violation[]> {
    const { reader } = this.#log;
    const state = stateAt(reader, reader.firstEvent);
    const checker = new Checker(state, invariantsFor(reader.header.behaviours));
    let last: number | null = null;
    for (const chunk of reader.chunks(reader.firstEvent)) {
      const events = chunk.events();
      const problem = unfoldable(state, events);
      if (problem !== null) throw new InputError({ file: reader.source.name, offset: chunk.offset }, problem);
      let at = 0;
      let breath = 0;
      for (const { operation, count } of chunk.runs) {
        if (operation !== last) {
          if (last !== null) checker.endOperation();
          checker.beginOperation(this.#operations.at(operation));
          last = operation;
        }
        for (const end = at + count; at < end; at++) {
          apply(state, events[at]!);
          checker.event(events[at]!, chunk.first + at);
        }
        if (at - breath < BREATH_EVENTS) continue;
        breath = at;
        await this.#log.breathe();
      }
      await this.#log.breathe();
    }
    if (last !== null) checker.endOperation();
    return checker.violations.toSorted((a, b) => a.cause - b.cause);
  }
}
