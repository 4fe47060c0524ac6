// What stands on one line of a syzkaller program, as prog/encoding.go of syzkaller reads it.

/** An argument, or a part of one. `column` is where it begins, from 0. */
export type Arg = { readonly column: number } & (
  | { readonly kind: 'integer'; readonly value: bigint }
  /** `nil`: no pointer, or nothing behind one. */
  | { readonly kind: 'nil' }
  /** `AUTO`: what syzkaller would compute. */
  | { readonly kind: 'auto' }
  /** `r0/div+add`: what an earlier call gave. */
  | { readonly kind: 'resource'; readonly name: string; readonly div: bigint; readonly add: bigint }
  /** `<r1=>0x0`: the kernel writes a value here that is called `name` afterwards. */
  | { readonly kind: 'output'; readonly name: string; readonly inner: Arg }
  /** `&(0x7f0000000040/0x1000)=...`: `address` as written, null for `&AUTO`; `any`: `=ANY=...`, whose parts lie side by side. */
  | { readonly kind: 'pointer'; readonly address: bigint | null; readonly pointee: Arg | null; readonly any: boolean }
  | { readonly kind: 'struct'; readonly parts: readonly Arg[] }
  | { readonly kind: 'array'; readonly parts: readonly Arg[] }
  /** `@field=value` */
  | { readonly kind: 'union'; readonly field: string; readonly inner: Arg | null }
  /** A string. `bytes` is null for a compressed image; `size` is that of an output buffer, else null. */
  | { readonly kind: 'data'; readonly bytes: readonly number[] | null; readonly outputSize: number | null }
);

export type ArgOf<K extends Arg['kind']> = Extract<Arg, { readonly kind: K }>;

/** One call. */
export interface SyzCall {
  /** `r0` of `r0 = ...`. */
  readonly result: string | null;
  /** As written, with its `$variant`. */
  readonly fullName: string;
  readonly name: string;
  readonly args: readonly Arg[];
  readonly async: boolean;
  /** How often it is done in all. */
  readonly times: number;
  /** Which allocation inside it fails; 0: none. */
  readonly failNth: number;
}
