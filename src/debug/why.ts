// `why`: the events behind a value, back to the line of the workload. The last event that changed it, what that rested on (the fork that
// shared the page, the fault that made it, the mapping it lies in), and so on.
import { canonicalPage, pageSoftDirty } from '../../projections/canonical.js';
import { constantOf } from '../../projections/query/footprint.js';
import type { Expression } from '../../projections/query/parse.js';
import { parseExpression } from '../../projections/query/parse.js';
import type { KernelEvent } from '../../events/index.js';
import { pteAt } from '../../reducers/pte.js';
import type { KernelView } from '../../reducers/state.js';
import type { LoggedOperation } from '../../replays/log/operation-codec.js';
import type { NumberedEvent } from '../../replays/log/reader.js';
import { stateAt } from '../../replays/timeline.js';
import type { ValueOf } from './changes.js';
import { lastChange } from './changes.js';
import { namesFrame, writesEntry } from './names-of-events.js';
import type { Operations } from './operations.js';
import type { Names } from './probe.js';
import { Probe, wholeText } from './probe.js';
import type { SearchedLog } from './scan.js';
import { lastEvent } from './scan.js';
import type { Focus, Who } from './why-words.js';
import { givesUp, makesMapping, originOf, storyOf } from './why-words.js';
import { briefly, changeText, operationText } from './words.js';

/** Events of a chain; a page may have been shared and copied by hundreds of forks. */
const LINKS_MAX = 12;

/** One event of the chain. */
export interface WhyLink {
  /** Number of the event; the position behind it is one more. */
  readonly event: number;
  readonly type: KernelEvent['type'];
  /** -1 and 0 where it belongs to no operation. */
  readonly operation: number;
  readonly line: number;
  /** The operation as a line of a workload. */
  readonly call: string;
  readonly text: string;
}

/** A value and what led to it. */
export interface Why {
  readonly expression: string;
  /** Position that is asked about. */
  readonly at: number;
  readonly value: string;
  /** What it was before the first link's event; null if it has been so since the log begins. */
  readonly before: string | null;
  /** The last event since that wrote the same entry and left the value as it was; null if there is none. */
  readonly left: WhyLink | null;
  /** The latest first. */
  readonly chain: readonly WhyLink[];
  /** Whether the chain goes on further back than told. */
  readonly more: boolean;
}

const COMPARISONS: ReadonlySet<string> = new Set(['==', '!=', '<', '<=', '>', '>=']);

/** What a question is about: the left side of a comparison. */
const subjectOf = (expression: Expression): Expression =>
  expression.node === 'binary' && COMPARISONS.has(expression.operator) ? expression.left : expression;

/** `page(pid, addr)` or a field of it, as the entry it means in `state`; null for anything else. */
function pageAsked(
  expression: Expression,
  names: Names,
  state: KernelView,
): { readonly focus: Focus; readonly field: string | null } | null {
  const field = expression.node === 'field' ? expression.field : null;
  const call = expression.node === 'field' ? expression.of : expression;
  if (call.node !== 'call' || call.name !== 'page') return null;
  const args = call.args.map((arg) => constantOf(arg, names.nameOf));
  const [pid, addr] = args.length === 1 ? [names.pid, args[0]] : args;
  const mm = typeof pid === 'number' ? (state.tasks[pid]?.mm ?? 0) : 0;
  if (mm === 0 || typeof addr !== 'number') return null;
  return { focus: { mm, vpn: Math.floor(addr / 4096) }, field };
}

/** A page's field, or all of them, as the expression language has them, whatever tasks there are. */
function pageValue({ mm: id, vpn }: Focus, field: string | null): ValueOf {
  return (state) => {
    const mm = state.mms[id];
    const entry = mm ? pteAt(mm, vpn) : 0;
    const soft_dirty = mm !== null && mm !== undefined && pageSoftDirty(mm, vpn * 4096, entry);
    if (entry === 0 && field === 'soft_dirty') return String(soft_dirty);
    if (entry === 0) return field === 'present' || field === 'writable' || field === 'uffd_wp' ? 'false' : 'none';
    const page = canonicalPage(state, vpn * 4096, entry, (pfn) => pfn);
    const fields = { ...page, present: page.kind === 'present', soft_dirty } as Readonly<Record<string, unknown>>;
    if (field === null) return wholeText({ name: '', fields: fields as Readonly<Record<string, never>> });
    return wholeText((fields[field] ?? null) as string | null);
  };
}

/** The story of one question. */
class Chain {
  readonly links: WhyLink[] = [];
  more = false;
  readonly #log: SearchedLog;
  readonly #operations: Operations;
  readonly #told = new Set<number>();

  constructor(log: SearchedLog, operations: Operations) {
    this.#log = log;
    this.#operations = operations;
  }

  add(found: NumberedEvent, text: string): void {
    if (this.#told.has(found.number)) return;
    this.#told.add(found.number);
    this.links.push(this.link(found, text));
  }

  link({ number, event }: NumberedEvent, text: string): WhyLink {
    const operation: LoggedOperation | null = this.#operations.ofEvent(number);
    return {
      event: number,
      type: event.type,
      operation: operation?.id ?? -1,
      line: operation?.line ?? 0,
      call: operation === null ? '' : operationText(operation),
      text,
    };
  }

  /** Tells where the page that `focus` led to before event `to` came from. */
  async page(first: Focus, to: number, who: Who): Promise<void> {
    let focus = first;
    for (let before = to; ;) {
      const here: Focus = focus;
      const found = await lastEvent(this.#log, (event) => writesEntry(event, here.mm, here.vpn), before);
      if (found === null) break;
      if (this.links.length >= LINKS_MAX) {
        this.more = true;
        return;
      }
      await this.reason(found, here, who);
      const origin = originOf(found.event, here);
      if (origin === null) break;
      focus = origin;
      before = found.number;
    }
    await this.mapping(focus, to, who);
  }

  /** One event of a page, and for a page that was kept, who gave it up before. */
  async reason(found: NumberedEvent, focus: Focus, who: Who): Promise<void> {
    const { event, number } = found;
    this.add(found, storyOf(event, focus, who));
    if (event.type !== 'PageReused') return;
    const written = await lastEvent(this.#log, (each) => writesEntry(each, focus.mm, focus.vpn), number);
    const floor = written?.number ?? this.#log.reader.firstEvent;
    const gone = await lastEvent(this.#log, (each) => givesUp(each, event.pfn), number, floor);
    if (gone !== null) this.add(gone, storyOf(gone.event, focus, who));
  }

  /** The mapping that the page lies in. */
  async mapping(focus: Focus, to: number, who: Who): Promise<void> {
    const before = this.links.at(-1)?.event ?? to;
    const made = await lastEvent(this.#log, (event) => makesMapping(event, focus), before);
    if (made === null) return;
    const how = made.event.type === 'VmaInserted' ? 'made' : 'resized';
    this.add(made, `the mapping was ${how} for ${who(focus.mm)}`);
  }
}

/** Tasks by the address space they have or had, as position `at` knows them. */
function callers(state: KernelView): Who {
  const tids = new Map<number, number>();
  for (const { tid, mm, exitMm } of Object.values(state.tasks)) {
    const space = mm !== 0 ? mm : exitMm;
    if (!tids.has(space)) tids.set(space, tid);
  }
  return (mm) => (tids.has(mm) ? `task ${tids.get(mm)}` : `address space ${mm}`);
}

/**
 * Why `text` is at position `at` what it is.
 * @throws InputError with the column where `text` makes no sense there.
 */
export async function whyOf(
  log: SearchedLog,
  operations: Operations,
  text: string,
  names: Names,
  at: number,
): Promise<Why> {
  const state = stateAt(log.reader, at);
  const subject = subjectOf(parseExpression(text));
  const probe = new Probe(text, names, state, subject);
  const value = probe.value(state);
  const page = pageAsked(subject, names, state);
  const change = await lastChange(
    log,
    page === null ? (each) => probe.value(each) : pageValue(page.focus, page.field),
    at,
  );
  const chain = new Chain(log, operations);
  const who = callers(state);
  if (page !== null) await pageChain(chain, page.focus, change, at, who);
  else if (change !== null) {
    chain.add(change, briefly(change.event));
    await frameChain(chain, log, subject, names, change.number, who);
  }
  const left =
    page === null || change === null ? null : await leftBy(chain, log, page.focus, change.number + 1, at, who);
  return { expression: text, at, value, before: change?.before ?? null, left, chain: chain.links, more: chain.more };
}

/** The last event in [from, to) that wrote the entry, though not what was asked about. */
async function leftBy(
  chain: Chain,
  log: SearchedLog,
  focus: Focus,
  from: number,
  to: number,
  who: Who,
): Promise<WhyLink | null> {
  const found = await lastEvent(log, (event) => writesEntry(event, focus.mm, focus.vpn), to, from);
  return found === null ? null : chain.link(found, storyOf(found.event, focus, who));
}

async function pageChain(
  chain: Chain,
  focus: Focus,
  change: NumberedEvent | null,
  at: number,
  who: Who,
): Promise<void> {
  if (change === null) return chain.page(focus, at, who);
  if (writesEntry(change.event, focus.mm, focus.vpn)) return chain.page(focus, change.number + 1, who);
  // The entry led to the frame already: what changed was the frame, or another mapping of it.
  chain.add(change, storyOf(change.event, focus, who));
  return chain.page(focus, change.number, who);
}

/** `folio(pfn)`: where the frame was taken from the free list. */
async function frameChain(
  chain: Chain,
  log: SearchedLog,
  subject: Expression,
  names: Names,
  to: number,
  who: Who,
): Promise<void> {
  const call = subject.node === 'field' ? subject.of : subject;
  if (call.node !== 'call' || call.name !== 'folio') return;
  const pfn = call.args[0] === undefined ? null : constantOf(call.args[0], names.nameOf);
  if (pfn === null) return;
  const taken = await lastEvent(log, (event) => event.type === 'FolioAllocated' && event.pfn === pfn, to);
  if (taken === null) return;
  const put = await lastEvent(
    log,
    (event) => event.type !== 'FolioAllocated' && namesFrame(event, pfn),
    to,
    taken.number,
  );
  if (put !== null) chain.add(put, storyOf(put.event, { mm: -1, vpn: -1 }, who));
  chain.add(taken, `frame ${pfn} left the free list`);
}

const placeIn = (source: string, { line, call }: WhyLink): string =>
  call === '' ? 'no operation' : `${source}:${line}  ${call}`;

/** The chain as people read it; `source` names the file that lines are of. */
export function whyLines(why: Why, source: string): string[] {
  const { expression, at, value, before, left, chain, more } = why;
  const lines = [`${expression} at ${at}: ${value}`];
  if (chain.length === 0) lines.push('  so since the log begins: no event is behind it');
  if (left !== null)
    lines.push(`  left so by event ${left.event}, ${placeIn(source, left)}`, `     ${left.type}: ${left.text}`);
  chain.forEach((link, i) => {
    const { event, type, text } = link;
    lines.push(`  ${i + 1}. event ${event}, ${placeIn(source, link)}`);
    if (i === 0 && before !== null) lines.push(`     ${changeText(before, value)}`);
    lines.push(`     ${text.startsWith(type) ? text : `${type}: ${text}`}`);
  });
  if (more) lines.push('  and further back');
  return lines;
}
