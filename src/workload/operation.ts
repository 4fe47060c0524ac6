// Operations: what a workload asks of the machine. Their text form is strace's, see docs/workload.md.

/** A name bound by an earlier line, plus an offset: `A+0x1000`. */
export interface NameRef {
  readonly ref: string;
  readonly add: number;
}
/** A quoted string. */
export interface Text {
  readonly text: string;
}
/** A file descriptor with the file it leads to, as `strace -y` prints it: `3</etc/ld.so.cache>`. */
export interface FdValue {
  readonly fd: number;
  readonly path: string;
}
/** `{name=value, ...}`. */
export interface Struct {
  readonly fields: Readonly<Record<string, Value>>;
}
/** An identifier that is neither a known constant nor a bound name. */
export interface Word {
  readonly word: string;
}
/**
 * One argument. Integers are numbers below 2^53 in size and bigints beyond; flags are already combined to a number;
 * NULL is null; `[a, b]` an array.
 */
export type Value = number | bigint | null | NameRef | Text | FdValue | Struct | Word | readonly Value[];

/** What the line says about the outcome. */
export type Result =
  | { readonly kind: 'value'; readonly value: number | bigint }
  /** Bound to a name, or to several: `= A`, `= [R, W]`. With `value` if the line also tells it. */
  | { readonly kind: 'bind'; readonly names: readonly string[] }
  /** An expression over bound names: `= A+0x1000`. */
  | { readonly kind: 'ref'; readonly ref: NameRef }
  | { readonly kind: 'errno'; readonly errno: string }
  | { readonly kind: 'signal'; readonly signal: string }
  /** `= mixed` of a load. */
  | { readonly kind: 'word'; readonly word: string }
  /** `= ?`, or no result on the line. */
  | { readonly kind: 'none' };

/** One line of a workload, or one fact of a recording. Plain data: it goes into the log as it is. */
export interface Operation {
  /** Line of the source it came from, 1-based. */
  readonly line: number;
  /** Task that does it; null for the machine itself. */
  readonly pid: number | null;
  readonly name: string;
  readonly args: readonly Value[];
  readonly result: Result;
  /** Left blocked: `<unfinished ...>` without a resumption. */
  readonly unfinished?: boolean;
}

export const NO_RESULT: Result = { kind: 'none' };

/** Where a parser delivers. */
export interface OperationSink {
  operation(operation: Operation): void;
  /** A line that is fine but does not concern memory management, or (lenient) was not understood. */
  skipped(reason: string, line: number): void;
}

/** A parser fed line by line. `line` and `end` throw InputError (without file name) for what cannot be. */
export interface LineParser {
  line(text: string, number: number): void;
  /** No more lines; what was held back is delivered. */
  end(): void;
}

export const isNameRef = (value: Value): value is NameRef =>
  typeof value === 'object' && value !== null && 'ref' in value;
export const isText = (value: Value): value is Text => typeof value === 'object' && value !== null && 'text' in value;
export const isFd = (value: Value): value is FdValue => typeof value === 'object' && value !== null && 'fd' in value;
export const isStruct = (value: Value): value is Struct =>
  typeof value === 'object' && value !== null && 'fields' in value;
export const isWord = (value: Value): value is Word => typeof value === 'object' && value !== null && 'word' in value;
