// How one historical change of the kernel is told apart.

/** How one historical change of the kernel is told apart. */
export interface BehaviourDefinition<Name extends string = string> {
  readonly description: string;
  /** Mainline commit; null where none was read in a source. */
  readonly commit: string | null;
  /** First mainline version that has it; null where none has it unasked: a configuration, or a change that was not made. */
  readonly since: string | null;
  /** First mainline version that has it no more, of what was taken back or replaced. */
  readonly until?: string;
  /** Switches without which it makes no sense. */
  readonly requires: readonly Name[];
  /** Names the reference documents use for it. */
  readonly aliases: readonly string[];
}
