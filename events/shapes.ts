// What an event type looks like in a log: its opcode and the kinds of its fields.

/**
 * What a field holds. The log's column codec and the rolling digest are driven by it.
 * Numbers: `int` and subjects (`mm`, `tid`, `vpn`, `pfn`, `inode`, `anonVma`, `addr`, `cpu`).
 * Lists of numbers, with the meaning of their stride: `pfnRuns` [pfn,n], `vpnRuns` [vpn,n], `pteRuns3` [vpn,pfn,n],
 * `pteRuns4` [vpn,pfn,n,flags], `pteRuns5` [vpn,pfn,n,flags,flags], `cacheRuns` [index,pfn,n], `ints`. `text` is a string.
 */
export type FieldKind =
  | 'int'
  | 'mm'
  | 'tid'
  | 'vpn'
  | 'pfn'
  | 'inode'
  | 'anonVma'
  | 'addr'
  | 'cpu'
  | 'pfnRuns'
  | 'vpnRuns'
  | 'pteRuns3'
  | 'pteRuns4'
  | 'pteRuns5'
  | 'cacheRuns'
  | 'ints'
  | 'text';

/** Field kinds whose column is a list of numbers per event. */
export const LIST_KINDS: ReadonlySet<FieldKind> = new Set<FieldKind>([
  'pfnRuns',
  'vpnRuns',
  'pteRuns3',
  'pteRuns4',
  'pteRuns5',
  'cacheRuns',
  'ints',
]);

/** Opcode of an event type, and the kind of each of its fields. */
export interface EventShape {
  readonly opcode: number;
  readonly fields: Readonly<Record<string, FieldKind>>;
}

/** Shape of every type of a family. The compiler checks that the fields are exactly those of the type. */
export type ShapesOf<E extends { readonly type: string }> = {
  readonly [T in E['type']]: {
    readonly opcode: number;
    readonly fields: { readonly [K in Exclude<keyof Extract<E, { type: T }>, 'type'>]: FieldKind };
  };
};
