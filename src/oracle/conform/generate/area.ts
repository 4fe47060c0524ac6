// What an area of the model contributes to generated workloads. A new area is one file that exports an Area, and a line in index.ts.
import type { Draft } from './picture.js';

/** Appends one operation, or a few that belong together; false if the draft has nothing to do it on. */
export type Step = (draft: Draft) => boolean;

/** Appends operations that must come first, such as opening a file. Shared between areas by identity: done once. */
export type Preparation = (draft: Draft) => void;

/** A part of the model with the operations that exercise it. */
export interface Area {
  readonly name: string;
  readonly prologue: readonly Preparation[];
  /** What is written to the machine's settings, which only stands at the beginning: before any area's prologue. */
  readonly settings?: readonly Preparation[];
  /** By name, which says what it is for: how often relative to the others, and what. */
  /**
   * How much a workload that has other areas as well is about this one: times that its steps count, drawn for each workload. None: once. For
   * what needs many steps in a row to get anywhere.
   */
  readonly emphasis?: readonly number[];
  readonly steps: Readonly<Record<string, readonly [weight: number, step: Step]>>;
}
