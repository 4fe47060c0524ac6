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

/** What the recorder saw of a file: its size and which pages were cached. */
interface Residency {
  readonly size: number;
  readonly holes: readonly number[];
}

/** Tells the model of files when they first matter: `inode(...)`, `cache_holes(...)`, `cache_add(...)`, `cache_remove(...)`. */
export class FileTable {
  readonly #deliver: (operation: Operation) => void;
  readonly #names = new Map<string, string>();
  readonly #told = new Set<string>();
  readonly #residency = new Map<string, Residency>();
  /** Bytes written through a descriptor since it was opened, by "tgid:fd": shared memory gets pages that way. */
  readonly #written = new Map<string, number>();
  readonly #descriptors = new Map<string, string>();

  constructor(deliver: (operation: Operation) => void) {
    this.#deliver = deliver;
  }

  /** A line that `record` adds: `# folioscope residency MAJOR:MINOR INODE SIZE [index,n ...] PATH`; holes only. */
  residency(text: string, line: number): void {
    const match = /^# folioscope residency ([0-9a-f]+):([0-9a-f]+) (\d+) (\d+) \[([\d, ]*)\]/.exec(text);
    if (!match) throw new InputError({ line }, 'a residency line that cannot be read');
    const key = `${parseInt(match[1] as string, 16)}:${parseInt(match[2] as string, 16)}:${match[3]}`;
    const holes = (match[5] as string).trim() === '' ? [] : (match[5] as string).split(/[ ,]+/).map(Number);
    this.#residency.set(key, { size: Number(match[4]), holes });
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
    const seen = this.#residency.get(key);
    this.#announce(record, name, shmem ? SHMEM : FILE, seen?.size ?? -1, shmem ? 0 : 1);
    if (seen && seen.holes.length > 0) this.#operation(record, 'cache_holes', [{ text: name }, seen.holes]);
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

  /** filemap:mm_filemap_add_to_page_cache and _delete_ of files that are mapped. */
  cacheEvent(record: PerfRecord): void {
    const name = this.#names.get(`${Math.floor(record.d / MINORS)}:${record.d % MINORS}:${record.a}`);
    if (name === undefined) return;
    this.#operation(record, record.kind === Kind.cacheAdd ? 'cache_add' : 'cache_remove', [
      { text: name },
      record.b,
      record.c,
    ]);
  }

  /** A call returned: descriptors come to life, grow, or double. */
  returned(tgid: number, call: string, args: readonly number[], result: number): void {
    if (result < 0) return;
    const key = `${tgid}:${args[0] ?? -1}`;
    switch (call) {
      case 'openat':
      case 'open':
      case 'memfd_create':
        this.#written.delete(`${tgid}:${result}`);
        this.#descriptors.delete(`${tgid}:${result}`);
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
    this.#descriptors.delete(`${tgid}:${fd}`);
  }

  /** A child process has its parent's descriptors. */
  forked(from: number, to: number): void {
    for (const table of [this.#written, this.#descriptors] as Map<string, number | string>[])
      for (const [key, value] of [...table])
        if (key.startsWith(`${from}:`)) table.set(`${to}:${key.slice(key.indexOf(':') + 1)}`, value);
  }

  /** A descriptor was mapped, so its file is known: what was written through it before is in the cache. */
  mapped(record: PerfRecord, tgid: number, fd: number, name: string): void {
    const key = `${tgid}:${fd}`;
    this.#descriptors.set(key, name);
    const written = this.#written.get(key) ?? 0;
    if (written > 0) this.#operation(record, 'cache_add', [{ text: name }, 0, Math.ceil(written / PAGE_SIZE)]);
  }
}
