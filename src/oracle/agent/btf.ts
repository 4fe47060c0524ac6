// Where the running kernel keeps what the agent reads: offsets of struct members and numbers of page flags, from the kernel's own type
// information (BTF, Documentation/bpf/btf.rst).
import { readFile } from 'node:fs/promises';
import { EXIT, UserError } from '../../lib/errors.js';

/** Members that the agent must find. */
const ESSENTIAL = {
  task_mm: [['task_struct', 'mm']],
  mm_pgd: [['mm_struct', 'pgd']],
  page_flags: [['page', 'flags']],
  page_compound_head: [['page', 'compound_head']],
  page_mapcount: [['page', '_mapcount']],
  page_refcount: [['page', '_refcount']],
  folio_mapping: [['folio', 'mapping']],
  folio_index: [['folio', 'index']],
  // The low byte in each: of the flags of page[1] since 6.6, a member of its own before.
  folio_order: [
    ['folio', '_flags_1'],
    ['folio', '_folio_order'],
  ],
} as const satisfies Paths;

/** Members that only some kernels have. */
const OPTIONAL = {
  task_stack_vm_area: [['task_struct', 'stack_vm_area']],
  vm_pages: [['vm_struct', 'pages']],
  mm_id: [['mm_struct', 'mm_id']],
  folio_large_mapcount: [['folio', '_large_mapcount']],
  folio_entire_mapcount: [['folio', '_entire_mapcount']],
  folio_pincount: [['folio', '_pincount']],
  folio_mm_id_mapcount: [['folio', '_mm_id_mapcount']],
  folio_mm_id: [['folio', '_mm_id']],
} as const satisfies Paths;

/** The places where a member may be: struct and name. The first that exists counts. */
type Paths = Readonly<Record<string, readonly (readonly [string, string])[]>>;

/** Sizes in bytes without which a member means something else than the agent thinks. */
const SIZES: Readonly<Record<string, number>> = { folio_mm_id_mapcount: 8, folio_mm_id: 8, mm_id: 4 };

/** What the agent needs to know of a kernel. */
export interface KernelLayout {
  /** sizeof(struct page). */
  readonly pageSize: number;
  /** Byte offsets from the beginning of the struct; only members that this kernel has. */
  readonly offsets: Readonly<Record<keyof typeof ESSENTIAL, number> & Partial<Record<keyof typeof OPTIONAL, number>>>;
  /** Bit numbers of page flags, by their names without `PG_` (enum pageflags, aliases included). */
  readonly flags: Readonly<Record<string, number>>;
}

const KIND = { array: 3, struct: 4, union: 5, enum: 6, last: 19 } as const;
/** Bytes that follow the 12 of a type, by kind: [fixed, for each of its vlen]; index 0 is no kind. */
const FOLLOWS: readonly (readonly [number, number] | null)[] = [
  null,
  [4, 0], // INT
  [0, 0], // PTR
  [12, 0], // ARRAY
  [0, 12], // STRUCT
  [0, 12], // UNION
  [0, 8], // ENUM
  [0, 0], // FWD
  [0, 0], // TYPEDEF
  [0, 0], // VOLATILE
  [0, 0], // CONST
  [0, 0], // RESTRICT
  [0, 0], // FUNC
  [0, 8], // FUNC_PROTO
  [4, 0], // VAR
  [0, 12], // DATASEC
  [0, 0], // FLOAT
  [4, 0], // DECL_TAG
  [0, 0], // TYPE_TAG
  [0, 12], // ENUM64
];
const KINDS_OF_SAME_SIZE = new Set([8, 9, 10, 11, 18]);
const HAS_SIZE = new Set([1, 4, 5, 6, 16, 19]);
const MAGIC = 0xeb9f;
const HEADER_BYTES = 24;
/** How deep anonymous members may be nested, and typedefs chained. */
const DEPTH_MAX = 32;

interface Member {
  /** Bits from the beginning of the struct that was asked for. */
  readonly bit: number;
  /** True of a bitfield: it has no address. */
  readonly isBitfield: boolean;
  readonly type: number;
}

/** Type information, looked at where it lies. */
class Btf {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  /** Where each type begins, by id; id 0 is void. */
  readonly #at: number[] = [0];
  readonly #strings: number;
  readonly #stringsEnd: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < HEADER_BYTES) throw damaged('shorter than its header', bytes.length);
    const magic = this.#view.getUint16(0, true);
    if (magic !== MAGIC) throw damaged(`magic number is 0x${magic.toString(16)}, not 0x${MAGIC.toString(16)}`, 0);
    const version = this.#view.getUint8(2);
    if (version !== 1) throw damaged(`version ${version} is not known`, 2);
    const header = this.#u32(4);
    const types = header + this.#u32(8);
    const typesEnd = types + this.#u32(12);
    this.#strings = header + this.#u32(16);
    this.#stringsEnd = this.#strings + this.#u32(20);
    if (header < HEADER_BYTES || typesEnd > bytes.length || this.#stringsEnd > bytes.length)
      throw damaged('a section ends after the data', 4);
    let at = types;
    while (at < typesEnd) {
      if (at + 12 > typesEnd) throw damaged('a type is cut off', at);
      const info = this.#u32(at + 4);
      const follows = FOLLOWS[(info >>> 24) & 0x1f];
      if (!follows) throw damaged(`kind ${(info >>> 24) & 0x1f} is not known`, at);
      this.#at.push(at);
      at += 12 + follows[0] + follows[1] * (info & 0xffff);
    }
    if (at !== typesEnd) throw damaged('the last type is cut off', at);
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  /** Where type `id` begins. */
  #type(id: number): number {
    const at = this.#at[id];
    if (at === undefined || id === 0) throw damaged(`there is no type ${id}`, 0);
    return at;
  }

  #kind(at: number): number {
    return (this.#u32(at + 4) >>> 24) & 0x1f;
  }

  #vlen(at: number): number {
    return this.#u32(at + 4) & 0xffff;
  }

  #isNamed(nameOffset: number, name: string): boolean {
    const at = this.#strings + nameOffset;
    if (at + name.length >= this.#stringsEnd) return false;
    for (let i = 0; i < name.length; i++) if (this.#bytes[at + i] !== name.charCodeAt(i)) return false;
    return this.#bytes[at + name.length] === 0;
  }

  #name(nameOffset: number): string {
    const at = this.#strings + nameOffset;
    const end = this.#bytes.indexOf(0, at);
    if (at >= this.#stringsEnd || end < 0 || end >= this.#stringsEnd) throw damaged('a name has no end', at);
    return String.fromCharCode(...this.#bytes.subarray(at, end));
  }

  /** The ids of the first type of each name, of `kind`; names that do not occur are absent. */
  find(kind: number, names: readonly string[]): Map<string, number> {
    const found = new Map<string, number>();
    for (let id = 1; id < this.#at.length && found.size < names.length; id++) {
      const at = this.#at[id] as number;
      if (this.#kind(at) !== kind) continue;
      const nameOffset = this.#u32(at);
      const name = names.find((each) => !found.has(each) && this.#isNamed(nameOffset, each));
      if (name !== undefined) found.set(name, id);
    }
    return found;
  }

  /** A member of struct or union `id`, also one of its anonymous members'; null if there is none of that name. */
  member(id: number, name: string, depth = 0): Member | null {
    const at = this.#type(id);
    const hasBitfields = this.#u32(at + 4) >>> 31 === 1;
    if (depth > DEPTH_MAX) throw damaged('structs nested too deep', at);
    for (let i = 0; i < this.#vlen(at); i++) {
      const place = at + 12 + 12 * i;
      const nameOffset = this.#u32(place);
      const type = this.#u32(place + 4);
      const bits = this.#u32(place + 8);
      const bit = hasBitfields ? bits & 0xffffff : bits;
      const isAnonymous = nameOffset === 0 || this.#isNamed(nameOffset, '');
      if (!isAnonymous) {
        if (this.#isNamed(nameOffset, name)) return { bit, isBitfield: hasBitfields && bits >>> 24 > 0, type };
        continue;
      }
      const inner = this.#bare(type);
      const kind = this.#kind(this.#type(inner));
      const found = kind === KIND.struct || kind === KIND.union ? this.member(inner, name, depth + 1) : null;
      if (found) return { ...found, bit: bit + found.bit };
    }
    return null;
  }

  /** `id` without typedefs and qualifiers. */
  #bare(id: number): number {
    let bare = id;
    for (let depth = 0; depth < DEPTH_MAX; depth++) {
      const at = this.#type(bare);
      if (!KINDS_OF_SAME_SIZE.has(this.#kind(at))) return bare;
      bare = this.#u32(at + 8);
    }
    throw damaged('a chain of typedefs has no end', this.#type(id));
  }

  /** sizeof, in bytes; null of what has none here (a pointer's is not told). */
  sizeOf(id: number): number | null {
    const at = this.#type(this.#bare(id));
    if (this.#kind(at) === KIND.array) {
      const element = this.sizeOf(this.#u32(at + 12));
      return element === null ? null : element * this.#u32(at + 20);
    }
    return HAS_SIZE.has(this.#kind(at)) ? this.#u32(at + 8) : null;
  }

  /** The enumerators of enum `id`. */
  *enumerators(id: number): Generator<[name: string, value: number]> {
    const at = this.#type(id);
    for (let i = 0; i < this.#vlen(at); i++) {
      const place = at + 12 + 8 * i;
      yield [this.#name(this.#u32(place)), this.#view.getInt32(place + 4, true)];
    }
  }
}

function damaged(problem: string, offset: number): UserError {
  return new UserError(`type information of the kernel (BTF) is damaged: ${problem} (byte ${offset})`, EXIT.unable);
}

/** The offset of the first of `paths` that exists; null if none does, or if it is of another kind than the agent reads. */
function offsetOf(
  btf: Btf,
  structs: ReadonlyMap<string, number>,
  paths: Paths[string],
  size: number | undefined,
): number | null {
  for (const [struct, name] of paths) {
    const id = structs.get(struct);
    const member = id === undefined ? null : btf.member(id, name);
    if (member === null) continue;
    if (member.isBitfield || member.bit % 8 !== 0) return null;
    if (size !== undefined && btf.sizeOf(member.type) !== size) return null;
    return member.bit / 8;
  }
  return null;
}

/**
 * What the agent needs, from the kernel's type information.
 * @throws UserError if the data is damaged, or lacks what the agent cannot do without (struct folio: Linux 5.16 or later).
 */
export function kernelLayout(bytes: Uint8Array): KernelLayout {
  const btf = new Btf(bytes);
  const structs = btf.find(KIND.struct, ['task_struct', 'mm_struct', 'page', 'folio', 'vm_struct']);
  const page = structs.get('page');
  const pageSize = page === undefined ? null : btf.sizeOf(page);
  if (pageSize === null) throw lacks('struct page');
  const offsets: Record<string, number> = {};
  for (const [key, paths] of Object.entries<Paths[string]>(ESSENTIAL)) {
    const offset = offsetOf(btf, structs, paths, SIZES[key]);
    if (offset === null) throw lacks(paths.map(([struct, name]) => `${struct}.${name}`).join(' or '));
    offsets[key] = offset;
  }
  for (const [key, paths] of Object.entries<Paths[string]>(OPTIONAL)) {
    const offset = offsetOf(btf, structs, paths, SIZES[key]);
    if (offset !== null) offsets[key] = offset;
  }
  const pageflags = btf.find(KIND.enum, ['pageflags']).get('pageflags');
  if (pageflags === undefined) throw lacks('enum pageflags');
  const flags: Record<string, number> = {};
  for (const [name, value] of btf.enumerators(pageflags)) if (name.startsWith('PG_')) flags[name.slice(3)] = value;
  if (flags['head'] === undefined) throw lacks('PG_head');
  return { pageSize, offsets: offsets as KernelLayout['offsets'], flags };
}

function lacks(what: string): UserError {
  return new UserError(`the kernel's type information (BTF) does not name ${what}`, EXIT.unable);
}

/** The layout as km_open of the agent takes it: `name=value,...`. */
export function layoutText({ pageSize, offsets, flags }: KernelLayout): string {
  const pairs = [
    ['page_sizeof', pageSize] as const,
    ...Object.entries(offsets),
    ...Object.entries(flags).map(([name, bit]) => [`PG_${name}`, bit] as const),
  ];
  return pairs.map(([name, value]) => `${name}=${value}`).join(',');
}

/** Where the kernel tells of its types, if it was built with CONFIG_DEBUG_INFO_BTF. */
export const KERNEL_BTF = '/sys/kernel/btf/vmlinux';

/**
 * The layout of the running kernel.
 * @throws UserError if the kernel tells nothing of its types, or not enough.
 */
export async function readKernelLayout(path: string = KERNEL_BTF): Promise<KernelLayout> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new UserError(`cannot read the kernel's type information: ${(error as Error).message}`, EXIT.unable);
  }
  return kernelLayout(bytes);
}
