// Files of a perf recording. Records name them by device and inode number, descriptors by number only; here they come together.
import { InputError } from '../../lib/errors.js';
import type { Operation } from '../operation.js';
import { NO_RESULT } from '../operation.js';
import type { PerfRecord } from './record.js';
import { Kind } from './record.js';

/** Inode kinds as `inode(...)` takes them: reducers/state.ts InodeKind. */
const FILE = 0;
const SHMEM = 1;
const VDSO = 2;
const VVAR = 3;
const PAGE_SIZE = 4096;
const MINORS = 2 ** 20;

/** Changes to the cache of files that nobody has mapped yet: kept for this many pages, in case somebody will. */
const EARLY_PAGES_MAX = 2_000_000;

/** What is known of a file's cache before the model hears of the file. */
interface CacheKnown {
  /** -1: unknown. */
  size: number;
  /** Pages absent when recording began, as [index, n]*. */
  holes: readonly number[];
  /** Pages added (true) and removed since. */
  readonly changed: Map<number, boolean>;
  /** Folios with the readahead mark, [index, n]: fault-around passes over them as if they were absent. */
  marked: (readonly [number, number])[];
}

/** Tells the model of files when they first matter: `inode(...)`, `cache_holes(...)`, `cache_add(...)`, `cache_remove(...)`. */
export class FileTable {
  readonly #deliver: (operation: Operation) => void;
  readonly #names = new Map<string, string>();
  readonly #told = new Set<string>();
  readonly #cache = new Map<string, CacheKnown>();
  #early = 0;
  /** Bytes written through a descriptor since it was opened, by "tgid:fd": shared memory gets pages that way. */
  readonly #written = new Map<string, number>();

  constructor(deliver: (operation: Operation) => void) {
    this.#deliver = deliver;
  }

  /**
   * Lines that `record` adds: `# folioscope residency MAJOR:MINOR INODE SIZE [index,n ...] PATH`, holes only, and
   * `# folioscope readahead MAJOR:MINOR INODE [index,n ...] PATH`, folios with the mark.
   */
  told(text: string, line: number): void {
    const match = /^# folioscope (residency|readahead) ([0-9a-f]+):([0-9a-f]+) (\d+) (?:(\d+) )?\[([\d, ]*)\]/.exec(
      text,
    );
    if (!match || (match[1] === 'residency') !== (match[5] !== undefined))
      throw new InputError({ line }, 'a residency line that cannot be read');
    const known = this.#known(`${parseInt(match[2] as string, 16)}:${parseInt(match[3] as string, 16)}:${match[4]}`);
    const numbers = (match[6] as string).trim() === '' ? [] : (match[6] as string).split(/[ ,]+/).map(Number);
    if (match[5] !== undefined) {
      known.size = Number(match[5]);
      known.holes = numbers;
      return;
    }
    for (let i = 0; i + 1 < numbers.length; i += 2) known.marked.push([numbers[i] as number, numbers[i + 1] as number]);
  }

  #known(key: string): CacheKnown {
    let known = this.#cache.get(key);
    if (known === undefined) this.#cache.set(key, (known = { size: -1, holes: [], changed: new Map(), marked: [] }));
    return known;
  }

  /** The name the model knows the file of a mapping by, announced on first sight; '' for anonymous memory. */
  name(record: PerfRecord, device: number, inode: number, path: string): string {
    if (path === '[vdso]') return this.#announce(record, '[vdso]', VDSO, -1, 1);
    if (path.startsWith('[vvar')) return this.#announce(record, path, VVAR, -1, 1);
    if (inode === 0 || path.startsWith('//anon') || path === '[heap]' || path.startsWith('[stack')) return '';
    const [major, minor] = [Math.floor(device / MINORS), device % MINORS];
    const key = `${major}:${minor}:${inode}`;
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const name = `${major.toString(16)}:${minor.toString(16)}:${inode} ${path}`;
    this.#names.set(key, name);
    // Anonymous block devices (major 0) hold tmpfs; nothing else there is mapped in practice.
    const shmem = major === 0;
    const seen = this.#known(key);
    this.#announce(record, name, shmem ? SHMEM : FILE, seen.size, shmem ? 0 : 1);
    const holes = holesNow(seen);
    if (holes.length > 0) this.#operation(record, 'cache_holes', [{ text: name }, holes]);
    this.#early -= seen.changed.size;
    seen.changed.clear();
    return name;
  }

  #announce(record: PerfRecord, name: string, kind: number, size: number, resident: number): string {
    if (this.#told.has(name)) return name;
    this.#told.add(name);
    this.#operation(record, 'inode', [{ text: name }, kind, size, resident]);
    return name;
  }

  #operation(record: PerfRecord, name: string, args: Operation['args']): void {
    this.#deliver({ line: record.line, pid: null, name, args, result: NO_RESULT });
  }

  /** filemap:mm_filemap_add_to_page_cache and _delete_. */
  cacheEvent(record: PerfRecord): void {
    const key = keyOf(record);
    const known = this.#known(key);
    const name = this.#names.get(key);
    const added = record.kind === Kind.cacheAdd;
    if (name === undefined) {
      if (this.#early + record.c > EARLY_PAGES_MAX) return;
      const before = known.changed.size;
      for (let i = 0; i < record.c; i++) known.changed.set(record.b + i, added);
      this.#early += known.changed.size - before;
      return;
    }
    // A folio that came with the mark is not there for fault-around before somebody looks it up.
    if (added && isMarked(known, record.b)) return;
    this.#operation(record, added ? 'cache_add' : 'cache_remove', [{ text: name }, record.b, record.c]);
  }

  /** filemap:mm_filemap_fault and _get_pages: somebody looked pages up, which clears their readahead marks. */
  cacheTouched(record: PerfRecord): void {
    const key = keyOf(record);
    const known = this.#cache.get(key);
    if (known === undefined || known.marked.length === 0) return;
    const touched = known.marked.filter(([index, n]) => index <= record.c && record.b < index + n);
    if (touched.length === 0) return;
    known.marked = known.marked.filter((each) => !touched.includes(each));
    const name = this.#names.get(key);
    if (name === undefined) return;
    for (const [index, n] of touched) this.#operation(record, 'cache_add', [{ text: name }, index, n]);
  }

  /** A call returned: a descriptor is new, or was written through. */
  returned(tgid: number, call: string, args: readonly number[], result: number): void {
    if (result < 0) return;
    const key = `${tgid}:${args[0] ?? -1}`;
    switch (call) {
      case 'openat':
      case 'open':
      case 'memfd_create':
        this.#written.delete(`${tgid}:${result}`);
        return;
      case 'write':
        this.#written.set(key, (this.#written.get(key) ?? 0) + result);
        return;
      case 'pwrite64':
        this.#written.set(key, Math.max(this.#written.get(key) ?? 0, (args[3] ?? 0) + result));
        return;
      case 'fallocate':
        this.#written.set(key, Math.max(this.#written.get(key) ?? 0, (args[2] ?? 0) + (args[3] ?? 0)));
        return;
      default:
        return;
    }
  }

  closed(tgid: number, fd: number): void {
    this.#written.delete(`${tgid}:${fd}`);
  }

  /** A child process has its parent's descriptors. */
  forked(from: number, to: number): void {
    for (const [key, bytes] of [...this.#written])
      if (key.startsWith(`${from}:`)) this.#written.set(`${to}:${key.slice(key.indexOf(':') + 1)}`, bytes);
  }

  /** A descriptor was mapped, so its file is known: what was written through it before is in the cache. */
  mapped(record: PerfRecord, tgid: number, fd: number, name: string): void {
    const key = `${tgid}:${fd}`;
    const written = this.#written.get(key) ?? 0;
    if (written > 0) this.#operation(record, 'cache_add', [{ text: name }, 0, Math.ceil(written / PAGE_SIZE)]);
  }
}

const keyOf = (record: PerfRecord): string => `${Math.floor(record.d / MINORS)}:${record.d % MINORS}:${record.a}`;

const isMarked = (known: CacheKnown, index: number): boolean =>
  known.marked.some(([first, n]) => first <= index && index < first + n);

/** Pages that fault-around does not find, as [index, n]*. */
function holesNow(known: CacheKnown): number[] {
  const holes = new Set<number>();
  for (let i = 0; i + 1 < known.holes.length; i += 2)
    for (let j = 0; j < (known.holes[i + 1] as number); j++) holes.add((known.holes[i] as number) + j);
  for (const [index, added] of known.changed)
    if (added) holes.delete(index);
    else holes.add(index);
  for (const [index, n] of known.marked) for (let j = 0; j < n; j++) holes.add(index + j);
  const runs: number[] = [];
  for (const index of [...holes].toSorted((a, b) => a - b)) {
    const last = runs.length - 2;
    if (last >= 0 && (runs[last] as number) + (runs[last + 1] as number) === index)
      runs[last + 1] = (runs[last + 1] as number) + 1;
    else runs.push(index, 1);
  }
  return runs;
}
