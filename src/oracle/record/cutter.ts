// Cuts the text of a system-wide recording to one command's process tree, line by line.
import type { PerfRecord } from '../../workload/perf/record.js';
import { Kind, parseRecord } from '../../workload/perf/record.js';

/** Takes part of the text that is kept, in order. */
export type Keep = (line: string) => void;

/** A file that the tree mapped. */
export interface MappedFile {
  /** As PERF_RECORD_MMAP2 prints it: hexadecimal. */
  readonly major: number;
  readonly minor: number;
  readonly inode: number;
  readonly path: string;
}

const MINORS = 2 ** 20;
/** Lines held back while it is open whether an execve succeeds. */
const HELD_LINES_MAX = 1_000_000;

/**
 * Keeps what the command and its descendants did, from the execve that started the command on. Of other tasks it keeps what touches
 * the tree's pages: LRU insertions (a batch is drained by whoever fills it) and frees of frames that the tree took, and the page cache.
 */
export class TreeCutter {
  readonly #keep: Keep;
  readonly #root: number;
  readonly #followed = new Set<number>();
  readonly #everFollowed = new Set<number>();
  /** Frames that the tree took and nobody gave back; the value says whether they may still sit in a batch. */
  readonly #frames = new Map<number, boolean>();
  readonly #files = new Map<string, MappedFile>();
  /** What happened first to each page of the page cache, by file: true if it was added. */
  readonly #cache = new Map<string, Map<number, boolean>>();
  /** Lines since an execve of the root that may be the one; null before the first and once it is decided. */
  #held: { readonly text: string; readonly record: PerfRecord }[] | null = null;
  #begun = false;
  /** Nanoseconds. */
  #beginning = 0;
  #number = 0;
  lines = 0;
  lost = 0;

  /** `root` is the process that is to become the command. */
  constructor(root: number, keep: Keep) {
    this.#root = root;
    this.#keep = keep;
  }

  get begun(): boolean {
    return this.#begun;
  }

  get tasks(): number {
    return this.#everFollowed.size;
  }

  get files(): readonly MappedFile[] {
    return [...this.#files.values()];
  }

  /** What was first seen to happen to pages of a file: index to added (true) or removed. */
  cacheChanges(file: MappedFile): ReadonlyMap<number, boolean> {
    return this.#cache.get(`${file.major * MINORS + file.minor}:${file.inode}`) ?? new Map();
  }

  /** A line of the recording that watched the page cache alone and for longer. */
  laterCacheLine(text: string): void {
    const record = parseRecord(text, ++this.#number);
    if (record === null || record.time < this.#beginning) return;
    if (record.kind === Kind.cacheAdd || record.kind === Kind.cacheDelete) this.#cacheChanged(record);
  }

  line(text: string): void {
    const record = parseRecord(text, ++this.#number);
    if (record === null) return;
    if (record.kind === Kind.lost) this.lost += lostEvents(text);
    if (this.#begun) {
      this.#cut(text, record);
      return;
    }
    // The shell's way of finding a command is to try it in every directory of PATH: the last execve before the exec counts.
    if (record.tid === this.#root && record.kind === Kind.sysEnter && record.text === 'execve') this.#held = [];
    if (this.#held === null) return;
    if (this.#held.length < HELD_LINES_MAX) this.#held.push({ text, record });
    if (record.tid !== this.#root || record.kind !== Kind.commExec) return;
    this.#begun = true;
    this.#beginning = this.#held[0]?.record.time ?? record.time;
    this.#follow(this.#root);
    for (const held of this.#held) this.#cut(held.text, held.record);
    this.#held = null;
  }

  #follow(tid: number): void {
    this.#followed.add(tid);
    this.#everFollowed.add(tid);
  }

  #cut(text: string, record: PerfRecord): void {
    const ours = this.#followed.has(record.tid);
    if (!this.#matters(record, ours)) return;
    this.lines++;
    this.#keep(text);
  }

  #matters(record: PerfRecord, ours: boolean): boolean {
    switch (record.kind) {
      case Kind.lost:
        return true;
      case Kind.newTask:
        // Numbers are used again: a task of somebody else's is not followed because ours once had its number.
        if (ours) this.#follow(record.a);
        else this.#followed.delete(record.a);
        return ours;
      case Kind.pageAlloc:
        if (ours) this.#frames.set(record.a, true);
        else this.#frames.delete(record.a);
        return ours;
      case Kind.lruInsertion:
        if (this.#frames.get(record.a) !== true) return false;
        this.#frames.set(record.a, false);
        return true;
      case Kind.pageFree:
        return this.#frames.delete(record.a) || ours;
      case Kind.cacheAdd:
      case Kind.cacheDelete:
        this.#cacheChanged(record);
        return true;
      case Kind.cacheTouch:
        return true;
      case Kind.mmap2:
        if (ours) this.#mapped(record);
        return ours;
      default:
        return ours;
    }
  }

  #cacheChanged(record: PerfRecord): void {
    const key = `${record.d}:${record.a}`;
    let pages = this.#cache.get(key);
    if (pages === undefined) this.#cache.set(key, (pages = new Map()));
    for (let index = record.b; index < record.b + record.c; index++)
      if (!pages.has(index)) pages.set(index, record.kind === Kind.cacheAdd);
  }

  #mapped(record: PerfRecord): void {
    const [, , , device = 0, inode = 0] = record.args;
    if (inode === 0 || !record.text.startsWith('/') || record.text.startsWith('//')) return;
    const key = `${device}:${inode}`;
    if (this.#files.has(key)) return;
    this.#files.set(key, { major: Math.floor(device / MINORS), minor: device % MINORS, inode, path: record.text });
  }
}

/**
 * Is a kept line about the page cache of a file that was never mapped, or about a look at one that has no readahead marks? `mapped`
 * and `marked` hold "MAJOR:MINOR:INODE", decimal.
 */
export function isIdleCacheLine(text: string, mapped: ReadonlySet<string>, marked: ReadonlySet<string>): boolean {
  const at = text.indexOf('filemap:mm_filemap_');
  if (at < 0 || text.startsWith('map_pages', at + 19)) return false;
  const match = /dev[ =](\d+):(\d+) ino[ =]([0-9a-f]+) /.exec(text);
  if (match === null) return false;
  const key = `${match[1]}:${match[2]}:${parseInt(match[3] as string, 16)}`;
  return !(/^(fault|get_pages)/.test(text.slice(at + 19)) ? marked : mapped).has(key);
}

function lostEvents(text: string): number {
  const match = /PERF_RECORD_LOST\w* lost (\d+)/.exec(text);
  return match === null ? 1 : Number(match[1]);
}
