// The kernel's type information: offsets and flags from a blob built here, damage told, and the running kernel's where it is at hand.
import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KERNEL_BTF, kernelLayout, layoutText, readKernelLayout } from '../../src/oracle/agent/btf.js';
import { UserError } from '../../src/lib/errors.js';

const INT = 1;
const PTR = 2;
const ARRAY = 3;
const STRUCT = 4;
const UNION = 5;
const ENUM = 6;
const TYPEDEF = 8;

type Field = readonly [name: string, type: number, bit: number, bitfieldBits?: number];

/** Builds BTF; each method returns the id of its type. */
class Builder {
  #types: number[] = [];
  #strings = '\0';
  #next = 1;

  #name(name: string): number {
    if (name === '') return 0;
    const at = this.#strings.length;
    this.#strings += `${name}\0`;
    return at;
  }
  #add(name: string, kind: number, vlen: number, sizeOrType: number, rest: readonly number[], kflag = 0): number {
    this.#types.push(this.#name(name), ((kflag << 31) | (kind << 24) | vlen) >>> 0, sizeOrType, ...rest);
    return this.#next++;
  }
  int(name: string, size: number): number {
    return this.#add(name, INT, 0, size, [size * 8]);
  }
  pointer(to: number): number {
    return this.#add('', PTR, 0, to, []);
  }
  array(of: number, n: number): number {
    return this.#add('', ARRAY, 0, 0, [of, of, n]);
  }
  typedef(name: string, to: number): number {
    return this.#add(name, TYPEDEF, 0, to, []);
  }
  compound(
    kind: typeof STRUCT | typeof UNION,
    name: string,
    size: number,
    fields: readonly Field[],
    kflag = 0,
  ): number {
    const rest = fields.flatMap(([field, type, bit, bits]) => [this.#name(field), type, ((bits ?? 0) << 24) | bit]);
    return this.#add(name, kind, fields.length, size, rest, kflag);
  }
  enumeration(name: string, values: Readonly<Record<string, number>>): number {
    const rest = Object.entries(values).flatMap(([key, value]) => [this.#name(key), value]);
    return this.#add(name, ENUM, Object.keys(values).length, 4, rest);
  }
  bytes(): Uint8Array {
    const types = Uint8Array.from(new Uint8Array(Uint32Array.from(this.#types).buffer));
    const strings = Buffer.from(this.#strings, 'latin1');
    const header = Buffer.alloc(24);
    header.writeUInt16LE(0xeb9f, 0);
    header.writeUInt8(1, 2);
    header.writeUInt32LE(24, 4);
    header.writeUInt32LE(types.length, 12);
    header.writeUInt32LE(types.length, 16);
    header.writeUInt32LE(strings.length, 20);
    return Buffer.concat([header, types, strings]);
  }
}

interface Variant {
  /** Bytes of an owner slot's number; 0: a kernel without slots. */
  readonly idBytes?: number;
  readonly pageflags?: Readonly<Record<string, number>>;
  readonly orderMember?: string;
  /** _refcount as a bitfield, which no kernel has. */
  readonly bitfield?: boolean;
}

/** The smallest kernel that has everything, with other offsets than any real one. */
function kernel({ idBytes = 4, pageflags, orderMember = '_flags_1', bitfield = false }: Variant = {}): Uint8Array {
  const b = new Builder();
  const long = b.int('unsigned long', 8);
  const int = b.int('int', 4);
  const pointer = b.pointer(0);
  const atomic = b.typedef('atomic_t', b.compound(STRUCT, '', 4, [['counter', int, 0]]));
  const inner = b.compound(STRUCT, '', 24, [
    ['decoy', long, 0],
    ['pgd', pointer, 128],
  ]);
  b.compound(STRUCT, 'task_struct', 200, [
    ['state', long, 0],
    ['mm', pointer, 8 * 96],
  ]);
  const mmId = b.int('short', 2);
  b.compound(STRUCT, 'mm_struct', 100, [
    ['', inner, 64],
    ['mm_id', idBytes === 4 ? int : mmId, 8 * 80],
  ]);
  const union = b.compound(UNION, '', 40, [
    ['', b.compound(STRUCT, '', 16, [['compound_head', long, 64]]), 0],
    ['other', long, 0],
  ]);
  b.compound(
    STRUCT,
    'page',
    64,
    [
      ['flags', long, 0],
      ['', union, 64],
      ['_mapcount', atomic, 8 * 52],
      ['_refcount', atomic, 8 * 56, bitfield ? 7 : 0],
    ],
    bitfield ? 1 : 0,
  );
  const slot = b.typedef('mm_id_t', idBytes === 4 ? int : mmId);
  const slots: Field[] =
    idBytes === 0
      ? []
      : [
          ['_mm_id_mapcount', b.array(int, 2), 8 * 32],
          ['_mm_id', b.array(slot, 2), 8 * 40],
        ];
  const tail = b.compound(STRUCT, '', 64, [[orderMember, long, 0], ['_pincount', atomic, 8 * 24], ...slots]);
  const head = b.compound(STRUCT, '', 64, [
    ['mapping', pointer, 8 * 16],
    ['index', long, 8 * 40],
  ]);
  b.compound(STRUCT, 'folio', 128, [
    ['', head, 0],
    ['', b.compound(UNION, '', 64, [['', tail, 0]]), 8 * 64],
  ]);
  b.enumeration(
    'pageflags',
    pageflags ?? { PG_locked: 0, PG_head: 7, PG_owner_2: 12, PG_anon_exclusive: 12, NR_PAGEFLAGS: 30 },
  );
  return b.bytes();
}

describe('layout of a made-up kernel', () => {
  it('adds up the offsets of nested anonymous members', () => {
    expect(kernelLayout(kernel())).toEqual({
      pageSize: 64,
      offsets: {
        task_mm: 96,
        mm_pgd: 24,
        mm_id: 80,
        page_flags: 0,
        page_compound_head: 16,
        page_mapcount: 52,
        page_refcount: 56,
        folio_mapping: 16,
        folio_index: 40,
        folio_order: 64,
        folio_pincount: 88,
        folio_mm_id_mapcount: 96,
        folio_mm_id: 104,
      },
      flags: { locked: 0, head: 7, owner_2: 12, anon_exclusive: 12 },
    });
  });
  it('leaves out what the kernel lacks, or has in another size', () => {
    expect(kernelLayout(kernel({ idBytes: 0 })).offsets).not.toHaveProperty('folio_mm_id');
    const small = kernelLayout(kernel({ idBytes: 2 })).offsets;
    expect(small).not.toHaveProperty('folio_mm_id');
    expect(small).not.toHaveProperty('mm_id');
    expect(small).toHaveProperty('folio_mm_id_mapcount');
  });
  it('takes an older name of the order', () => {
    expect(kernelLayout(kernel({ orderMember: '_folio_order' })).offsets.folio_order).toBe(64);
  });
  it.each([
    [{ orderMember: 'something' }, /does not name folio\._flags_1 or folio\._folio_order/],
    [{ pageflags: { PG_locked: 0 } }, /does not name PG_head/],
    [{ bitfield: true }, /does not name page\._refcount/],
  ] satisfies [Variant, RegExp][])('says what is missing: %j', (variant, message) => {
    expect(() => kernelLayout(kernel(variant))).toThrow(message);
  });
  it('as text', () => {
    const text = layoutText(kernelLayout(kernel({ idBytes: 0 })));
    expect(text).toMatch(/^page_sizeof=64,task_mm=96,mm_pgd=24,/);
    expect(text).toMatch(/,PG_head=7,PG_owner_2=12,PG_anon_exclusive=12$/);
  });
});

describe('damage', () => {
  it.each([
    ['nothing', new Uint8Array(0), /shorter than its header/],
    ['another file', Buffer.from('\x7fELF'.padEnd(64)), /magic number is 0x457f/],
    ['another version', kernel().with(2, 2), /version 2/],
    ['another kind', kernel().with(24 + 7, 31), /kind 31 is not known/],
    ['sections beyond the end', kernel().with(12, 255).with(13, 255), /ends after the data/],
  ])('%s', (_, bytes, message) => {
    expect(() => kernelLayout(bytes)).toThrow(message);
    expect(() => kernelLayout(bytes)).toThrow(UserError);
  });
  it('cut anywhere, it is an error', () => {
    const whole = kernel();
    for (let length = 0; length < whole.length; length++)
      expect(() => kernelLayout(whole.subarray(0, length)), `${length} bytes`).toThrow(UserError);
  });
  it('any bytes changed give a layout or an error that a user can read', () => {
    const whole = kernel();
    const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Uint8Array.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          return Object.values(kernelLayout(bytes).offsets).every(Number.isSafeInteger);
        } catch (error) {
          return error instanceof UserError;
        }
      }),
      { numRuns: 3000 },
    );
  });
  it('a file that is not there', async () => {
    await expect(readKernelLayout('/nonexistent/vmlinux')).rejects.toThrow(UserError);
  });
});

describe.skipIf(!existsSync(KERNEL_BTF))(`the running kernel (skipped without ${KERNEL_BTF})`, () => {
  it('has a sane layout', () => {
    const { pageSize, offsets, flags } = kernelLayout(readFileSync(KERNEL_BTF));
    expect(pageSize).toBe(64);
    expect(offsets.page_flags).toBe(0);
    expect(offsets.page_compound_head).toBe(8);
    expect(offsets.page_refcount).toBe(offsets.page_mapcount + 4);
    expect(offsets.folio_mapping).toBeLessThan(offsets.folio_index);
    expect(offsets.folio_index).toBeLessThan(pageSize);
    expect(offsets.folio_order).toBeGreaterThanOrEqual(pageSize);
    expect(offsets.folio_pincount).not.toBe(offsets.folio_entire_mapcount);
    expect(flags['locked']).toBe(0);
    expect(new Set(['head', 'lru', 'swapbacked', 'dirty', 'active'].map((name) => flags[name])).size).toBe(5);
    expect(flags['anon_exclusive']).toBe(flags['mappedtodisk']);
  });
});
