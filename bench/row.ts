// What the benchmark prints.

export interface Row {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** Against the floor measured in the same run, where there is one. */
  readonly ratio?: number;
  readonly target?: string;
}
