// Pages that show the same, in rows: a huge page is 512 pages, of which nearly all are alike. They are compared as such, and told page by page.
import type { Fields, Scalar } from './observation.js';

const PAGE = 4096;
/** Frames that are looked for together: what one huge entry maps. */
const BLOCK = 512;

/** A page by which a frame or a slot of the swap area is named: the first one that leads to it. */
export interface PageName {
  readonly task: number;
  readonly addr: number;
}

/** Stands in the fields of a row for what is another page's name from page to page (`frame`, `slot`): PageRun.name says it. */
export const NAMED = 'named';

/** Pages of one task that follow each other: page i of them is i * 4096 bytes and i frames (or slots) behind the first. */
export interface PageRun extends PageName {
  readonly pages: number;
  /** What each of them shows. */
  readonly fields: Fields;
  /** What NAMED stands for, of the first page; of page i as many pages further on. Null: no field is NAMED. */
  readonly name: PageName | null;
  /** Frame number of the first page, -1 for pages without one. Not compared as such. */
  readonly frame: number;
  /** The same frames as before the operation? Absent where that cannot be told. */
  readonly kept?: boolean;
}

export const pageKey = (task: number, addr: number): string => `page ${task} 0x${addr.toString(16)}`;
const PAGE_KEY = /^page (\d+) 0x([0-9a-f]+)$/;

/** The page that `subject` is the name of, or null. */
export function pageName(subject: string): PageName | null {
  const [, task, hex] = PAGE_KEY.exec(subject) ?? [];
  return task === undefined || hex === undefined ? null : { task: Number(task), addr: Number.parseInt(hex, 16) };
}

/** What stands for NAMED of page `i` of the row. */
export const nameOf = ({ name }: PageRun, i: number): string =>
  name === null ? '' : pageKey(name.task, name.addr + i * PAGE);

/** What page `i` of the row shows, in full. */
export function pageFields(run: PageRun, i: number): Fields {
  const fields: Record<string, Scalar | undefined> = { ...run.fields };
  if (run.name !== null) for (const field in fields) if (fields[field] === NAMED) fields[field] = nameOf(run, i);
  if (run.kept !== undefined) fields['kept'] = run.kept;
  return fields;
}

/** Page `page` as a row of its own; what `fields` says of its frame or slot is the name of a page. */
export function singleRun(page: PageName, { kept, ...fields }: Fields): PageRun {
  const { frame, slot } = fields;
  const name = pageName(String(frame ?? slot ?? ''));
  return {
    ...page,
    pages: 1,
    fields: name === null ? fields : { ...fields, [frame === undefined ? 'slot' : 'frame']: NAMED },
    name,
    frame: -1,
    ...(typeof kept === 'boolean' ? { kept } : {}),
  };
}

interface Named extends PageName {
  readonly first: number;
  readonly count: number;
}

/** Names numbers, of frames or of slots, by the page that leads to them first. */
class RunNaming {
  readonly #blocks = new Map<number, Named[]>();

  /** Names `count` numbers from `first` on, met from `page` on; `each` is told of those that were met in one row. */
  names(
    first: number,
    count: number,
    page: PageName,
    each: (from: number, count: number, name: PageName) => void,
  ): void {
    for (let from = 0; from < count;) {
      const at = first + from;
      const here = Math.min(count - from, BLOCK - (at % BLOCK));
      this.#block(Math.floor(at / BLOCK), at, from, here, page, each);
      from += here;
    }
  }

  #block(
    block: number,
    first: number,
    offset: number,
    count: number,
    { task, addr }: PageName,
    each: (from: number, count: number, name: PageName) => void,
  ): void {
    let known = this.#blocks.get(block);
    if (known === undefined) this.#blocks.set(block, (known = []));
    const before = known.length;
    for (let i = 0; i < count;) {
      const at = first + i;
      let rest = count - i;
      let found: Named | null = null;
      for (let k = 0; k < before && found === null; k++) {
        const each = known[k] as Named;
        if (at >= each.first && at < each.first + each.count) found = each;
        else if (each.first > at) rest = Math.min(rest, each.first - at);
      }
      if (found === null) {
        const name = { task, addr: addr + (offset + i) * PAGE };
        known.push({ ...name, first: at, count: rest });
        each(offset + i, rest, name);
      } else {
        rest = Math.min(count - i, found.first + found.count - at);
        each(offset + i, rest, { task: found.task, addr: found.addr + (at - found.first) * PAGE });
      }
      i += rest;
    }
  }
}

/** Rows of one observation as they are met, in order of tasks and addresses. */
export class PageRuns {
  readonly runs: PageRun[] = [];
  readonly #frames = new RunNaming();
  readonly #slots = new RunNaming();

  /**
   * `pages` pages from `addr` on that show `fields`; where `frame` or `slot` among these is NAMED, `first` is the number of the first page's frame or slot
   * and the others' follow.
   */
  add(task: number, addr: number, pages: number, fields: Fields, first: number): void {
    const framed = fields['frame'] === NAMED;
    const naming = framed ? this.#frames : fields['slot'] === NAMED ? this.#slots : null;
    if (naming === null) {
      this.runs.push({ task, addr, pages, fields, name: null, frame: -1 });
      return;
    }
    naming.names(first, pages, { task, addr }, (from, count, name) => {
      const frame = framed ? first + from : -1;
      this.runs.push({ task, addr: addr + from * PAGE, pages: count, fields, name, frame });
    });
  }
}

/**
 * Calls `each` for the pages of `runs` in order, in stretches that lie in one row of `others` (`from` of `run` on is `at` of `other` on) or in none of
 * them (`other` is null). Both are in order of tasks and addresses.
 */
export function overlay(
  runs: readonly PageRun[],
  others: readonly PageRun[],
  each: (run: PageRun, from: number, pages: number, other: PageRun | null, at: number) => void,
): void {
  let k = 0;
  for (const run of runs)
    for (let from = 0; from < run.pages;) {
      const addr = run.addr + from * PAGE;
      while (k < others.length && endsBefore(others[k] as PageRun, run.task, addr)) k++;
      const other = others[k];
      let pages = run.pages - from;
      if (other === undefined || other.task !== run.task || other.addr >= addr + pages * PAGE) {
        each(run, from, pages, null, 0);
      } else if (other.addr > addr) {
        pages = (other.addr - addr) / PAGE;
        each(run, from, pages, null, 0);
      } else {
        const at = (addr - other.addr) / PAGE;
        pages = Math.min(pages, other.pages - at);
        each(run, from, pages, other, at);
      }
      from += pages;
    }
}

const endsBefore = ({ task, addr, pages }: PageRun, otherTask: number, at: number): boolean =>
  task < otherTask || (task === otherTask && addr + pages * PAGE <= at);

/** The rows of `now`, each with `kept`, where a page with a frame stood in `before` as well. */
export function keptRuns(before: readonly PageRun[], now: readonly PageRun[]): PageRun[] {
  const result: PageRun[] = [];
  overlay(now, before, (run, from, pages, other, at) => {
    const part = partOf(run, from, pages);
    if (run.frame < 0 || other === null || other.frame < 0) result.push(part);
    else result.push({ ...part, kept: run.frame + from === other.frame + at });
  });
  return result;
}

/** Pages [from, from + pages) of a row. */
function partOf(run: PageRun, from: number, pages: number): PageRun {
  if (from === 0 && pages === run.pages) return run;
  const { task, addr, name, frame } = run;
  return {
    ...run,
    task,
    addr: addr + from * PAGE,
    pages,
    name: name === null ? null : { task: name.task, addr: name.addr + from * PAGE },
    frame: frame < 0 ? -1 : frame + from,
  };
}
