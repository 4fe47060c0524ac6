// The full-screen mode without its terminal: what is selected, and what keys do. It asks the debugger's session for everything.
import type { KernelEvent } from '../../events/index.js';
import { EXIT, UserError } from '../lib/errors.js';
import type { ExitCode } from '../lib/errors.js';
import { EVENT_TYPES, eventPredicate } from '../debug/names-of-events.js';
import { Debugger, errorText } from '../debug/repl.js';
import { Interrupted } from '../debug/session.js';
import type { Session } from '../debug/session.js';
import type { Stop } from '../debug/stops.js';
import { nextHits, previousHits } from '../debug/stops.js';
import type { Thing } from '../debug/timeline-text.js';
import { happenings, markings } from '../debug/timeline-text.js';
import { Violations } from '../debug/violations.js';
import { briefly, count, operationText } from '../debug/words.js';
import type { Action } from './keys.js';
import { actionOf, helpLines } from './keys.js';
import type { MapRow, Touched } from './page-map.js';
import { mapRows, touchedBy } from './page-map.js';
import type { MappingRow, Selected } from './selection.js';
import { firstVpn, nextMapping, nextProcess, pagesOf, recordOf, rowOf, taskOf, within } from './selection.js';

const PANES = ['events', 'pages', 'details'] as const;
export type Pane = (typeof PANES)[number];

/** Text that stands over the details until the position changes. */
export interface Overlay {
  readonly title: string;
  readonly lines: readonly string[];
}

/** A line that is being typed. */
export interface Prompt {
  readonly label: string;
  readonly text: string;
  readonly done: (text: string) => Promise<void>;
}

/** An event as the list of events shows it. */
export interface Entry {
  /** -1 for none. */
  readonly operation: number;
  /** The operation as a line of the workload. */
  readonly heading: string;
  readonly text: string;
}

/** Entries kept: some screens of them. Between two chunks of a log each look at an event may decode a chunk. */
const ENTRIES_KEPT = 2048;

/** What the drawing remembers from one frame to the next. */
export interface Scroll {
  pages: number;
  details: number;
}

export class FullScreen {
  readonly session: Session;
  readonly scroll: Scroll = { pages: 0, details: 0 };
  focus: Pane = 'events';
  /** What the details are about: the pane that had the focus before they got it. */
  about: 'events' | 'pages' = 'events';
  overlay: Overlay | null = null;
  prompt: Prompt | null = null;
  /** What the last key brought, or why it brought nothing. */
  message = '';
  /** A search is under way. */
  busy = '';
  /** Pages that one cell of the selected row stands for: the drawing knows. */
  perCell = 1;
  zoom = false;
  follow = true;
  /** Set when it is over. */
  exitCode: ExitCode | null = null;
  readonly #repl: Debugger;
  readonly #breathe: () => Promise<void>;
  readonly #background: Violations;
  /** Forks, violations and the like; null until the log was gone through. */
  #things: readonly Thing[] | null = null;
  #loading: Promise<void> | null = null;
  #event: number | null = null;
  #selected: Selected | null = null;
  #field: string | null = null;
  #search = '';
  readonly #entries = new Map<number, Entry>();
  #rows: { readonly at: number; readonly rows: readonly MapRow[] } | null = null;

  /** `breathe` lets keys be heard between pieces of work that nobody waits for. */
  constructor(session: Session, breathe: () => Promise<void>) {
    this.session = session;
    this.#repl = new Debugger(session);
    this.#breathe = breathe;
    this.#background = new Violations({ reader: session.reader, breathe }, session.operations);
    this.#followEvent();
  }

  /** Looks for forks, violations and the like, once. */
  load(): Promise<void> {
    return (this.#loading ??= happenings(
      { reader: this.session.reader, breathe: this.#breathe },
      this.#background,
    ).then((things) => void (this.#things = things)));
  }

  /** Waits for load(), and hears whether the user does not want to. */
  async #loaded(): Promise<void> {
    const wait = { over: false };
    const loading = this.load().finally(() => (wait.over = true));
    while (!wait.over) await this.session.log.breathe();
    return loading;
  }

  /** Whether the whole log was gone through. */
  get loaded(): boolean {
    return this.#things !== null;
  }

  /** Everything that has a sign on the timeline, as far as known. */
  get things(): readonly Thing[] {
    return [...(this.#things ?? []), ...markings(this.session)];
  }

  /** The event that led to the position; null at the beginning. */
  get lastEvent(): KernelEvent | null {
    const { position, reader, timeline } = this.session;
    return position > reader.firstEvent ? timeline.event(position - 1) : null;
  }

  /** Number of the selected event: that before the position unless another one was chosen; null in an empty log. */
  get event(): number | null {
    const { position, reader } = this.session;
    if (this.#event !== null) return this.#event;
    if (reader.eventCount === reader.firstEvent) return null;
    return Math.max(reader.firstEvent, position - 1);
  }

  /** Lines of the page map. */
  get rows(): readonly MapRow[] {
    const { position, state } = this.session;
    if (this.#rows?.at !== position) this.#rows = { at: position, rows: mapRows(state) };
    return this.#rows.rows;
  }

  /** Index of the selected row of the page map; -1 where nothing is mapped. */
  get row(): number {
    return rowOf(this.rows, this.#selected);
  }

  /** The selected page and its mapping; null where nothing is mapped. */
  get page(): { readonly row: MappingRow; readonly vpn: number } | null {
    const row = this.rows[this.row];
    return row?.kind === 'mapping' ? { row, vpn: within(row, this.#selected).vpn } : null;
  }

  /** The selected field of the selected page; null for all of it. */
  get field(): string | null {
    return this.#field;
  }

  /** Event `number` for the list of events. */
  entry(number: number): Entry {
    const known = this.#entries.get(number);
    if (known !== undefined) return known;
    const { timeline, operations, reader } = this.session;
    const id = timeline.operationOf(number);
    const logged = operations.at(id);
    const entry = {
      operation: id,
      heading: logged === null ? 'no operation' : `line ${logged.line}  ${operationText(logged)}`,
      text: `${String(number).padStart(String(reader.eventCount).length)} ${briefly(timeline.event(number))}`,
    };
    if (this.#entries.size >= ENTRIES_KEPT) this.#entries.clear();
    this.#entries.set(number, entry);
    return entry;
  }

  /** What the event before the position touched. */
  get touched(): Touched {
    return touchedBy(this.lastEvent);
  }

  /** `page(1, 0x7f0000001000)`, as expressions have it; null where no task has the page. */
  pageExpression(): string | null {
    const { page } = this;
    const tid = page === null ? null : taskOf(this.session.state, page.row.mm);
    return page === null || tid === null ? null : `page(${tid}, 0x${(page.vpn * 4096).toString(16)})`;
  }

  /** Does what a key means. Errors that the user can mend become the message. */
  async key(key: string): Promise<void> {
    this.message = '';
    if (key === 'C-c') return this.#interrupt();
    if (this.prompt !== null) return this.#type(this.prompt, key);
    const action = actionOf(key);
    if (action !== null) await this.#guarded(() => this.#do(action));
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    const { position } = this.session;
    try {
      await work();
    } catch (error) {
      if (error instanceof Interrupted) this.message = `stopped; still at ${count(position)}`;
      else if (error instanceof UserError) this.message = errorText(error);
      else throw error;
    } finally {
      this.busy = '';
      if (this.session.position !== position) this.#moved();
    }
  }

  #interrupt(): void {
    if (this.prompt === null) this.exitCode = EXIT.interrupted;
    this.prompt = null;
  }

  async #type(prompt: Prompt, key: string): Promise<void> {
    const { text } = prompt;
    if (key === 'escape') this.prompt = null;
    else if (key === 'backspace') this.prompt = text === '' ? null : { ...prompt, text: text.replace(/.$/u, '') };
    else if (key === 'C-u') this.prompt = { ...prompt, text: '' };
    else if (key === 'return') {
      this.prompt = null;
      if (text.trim() !== '') await this.#guarded(() => prompt.done(text.trim()));
    } else if (/^.$/u.test(key)) this.prompt = { ...prompt, text: text + key };
  }

  #moved(): void {
    this.overlay = null;
    this.scroll.details = 0;
    this.#event = null;
    if (this.follow) this.#followEvent();
  }

  /** Selects what the event before the position touched, if that is mapped. */
  #followEvent(): void {
    const written = this.touched.runs.find(({ mm }) => this.session.state.mms[mm]);
    if (written !== undefined) this.#selected = { mm: written.mm, vpn: written.vpn };
  }

  async #do(action: Action): Promise<void> {
    switch (action) {
      case 'forward':
        return this.#command('stepi');
      case 'backward':
        return this.#command('backi');
      case 'operation-forward':
        return this.#command('step');
      case 'operation-backward':
        return this.#command('back');
      case 'start':
        return this.#command('goto start');
      case 'end':
        return this.#command('goto end');
      case 'undo':
        return this.#command('undo');
      case 'redo':
        return this.#command('redo');
      case 'goto':
        return this.#ask('goto ', (text) => this.#command(`goto ${text}`));
      case 'mark':
        return this.#ask('mark ', (text) => this.#command(`mark ${text}`, true));
      case 'search':
        return this.#ask('/', (text) => this.#searchFor(text, true));
      case 'search-back':
        return this.#ask('?', (text) => this.#searchFor(text, false));
      case 'command':
        return this.#ask(':', (text) => this.#any(text));
      case 'again':
      case 'again-back':
        if (this.#search === '') throw new UserError('nothing was searched for yet', EXIT.input);
        return this.#searchFor(this.#search, action === 'again');
      case 'violation':
      case 'violation-back':
        return this.#violation(action === 'violation');
      case 'why':
        return this.#why();
      case 'choose':
        return this.#choose();
      case 'quit':
        this.exitCode = EXIT.ok;
        return;
      default:
        return this.#look(action);
    }
  }

  /** Keys that leave the position. */
  #look(action: Action): void {
    switch (action) {
      case 'next-pane':
      case 'previous-pane': {
        const at = PANES.indexOf(this.focus) + (action === 'next-pane' ? 1 : PANES.length - 1);
        this.focus = PANES[at % PANES.length] as Pane;
        if (this.focus !== 'details') this.about = this.focus;
        return;
      }
      case 'up':
      case 'down':
        return this.#select(action === 'up' ? -1 : 1);
      case 'next-page':
      case 'previous-page':
        return this.#selectPage(action === 'next-page' ? 1 : -1);
      case 'next-process':
        return this.#selectRow(nextProcess(this.rows, this.row));
      case 'zoom':
        this.zoom = !this.zoom;
        return;
      case 'follow':
        this.follow = !this.follow;
        this.message = this.follow ? 'the selection follows events' : 'the selection stays';
        if (this.follow) this.#followEvent();
        return;
      case 'help':
        return this.#show('keys', helpLines());
      case 'close':
        this.overlay = null;
        this.#field = null;
        this.scroll.details = 0;
    }
  }

  #show(title: string, lines: readonly string[]): void {
    this.overlay = { title, lines };
    this.scroll.details = 0;
    this.focus = 'details';
  }

  #ask(label: string, done: (text: string) => Promise<void>): void {
    this.prompt = { label, text: '', done };
  }

  /** Runs a command of the debugger; where it moves, the screen is the answer, and its first line elsewhere. */
  async #command(line: string, told = false): Promise<void> {
    const { position } = this.session;
    this.busy = line;
    const { lines } = await this.#repl.execute(line);
    if (told || this.session.position === position) this.message = lines[0] ?? '';
  }

  /** Any command; what it answers stands over the details, unless it moves. */
  async #any(line: string): Promise<void> {
    const { position } = this.session;
    this.busy = line;
    const { lines, quit } = await this.#repl.execute(line);
    if (quit) this.exitCode = EXIT.ok;
    if (lines.length === 1 || this.session.position !== position) this.message = lines[0] ?? '';
    else if (lines.length > 0) this.#show(line, lines);
  }

  async #searchFor(text: string, forward: boolean): Promise<void> {
    this.#search = text;
    this.busy = `searching ${forward ? 'forward' : 'backward'} for ${text}`;
    const { log, position } = this.session;
    const stop: Stop = { id: 0, text, what: this.#searched(text), condition: null, hits: 0 };
    const [hit] = await (forward ? nextHits : previousHits)(log, [stop], position);
    if (hit === undefined) {
      this.message = `not found ${forward ? 'after' : 'before'} ${count(position)}: ${text}`;
      return;
    }
    this.session.move(hit.position);
    this.message = hit.why;
  }

  /** An event type with fields, or else an expression. */
  #searched(text: string): Stop['what'] {
    const [word = ''] = text.split(/\s+/);
    const isType = EVENT_TYPES.some((type) => type.toLowerCase().startsWith(word.toLowerCase()));
    if (isType) return { kind: 'event', is: eventPredicate(text, (value) => this.session.number(value)).is };
    return { kind: 'turn', probe: this.session.probe(text) };
  }

  async #violation(forward: boolean): Promise<void> {
    this.busy = 'checking invariants';
    await this.#loaded();
    const { position } = this.session;
    const broken = (this.#things ?? []).filter(({ sign }) => sign === '!');
    const found = forward ? broken.find(({ at }) => at + 1 > position) : broken.findLast(({ at }) => at + 1 < position);
    if (found === undefined) {
      const where = broken.length === 0 ? 'in this log' : `${forward ? 'after' : 'before'} ${count(position)}`;
      this.message = `no violation ${where}`;
      return;
    }
    this.session.move(found.at + 1);
    this.message = `broken by event ${count(found.at)}: ${found.text}`;
  }

  async #why(): Promise<void> {
    const expression = this.pageExpression();
    if (expression === null) throw new UserError('no page is selected', EXIT.input);
    const asked = this.#field === null ? expression : `${expression}.${this.#field}`;
    this.busy = `why ${asked}`;
    const { lines } = await this.#repl.execute(`why ${asked}`);
    this.#show(`why ${asked}`, lines);
  }

  async #choose(): Promise<void> {
    if (this.focus !== 'events' || this.event === null) return;
    await this.#command(`goto ${this.event + 1}`);
    this.#event = null;
  }

  #select(step: 1 | -1): void {
    if (this.focus === 'events') return this.#selectEvent(step);
    if (this.focus === 'pages') return this.#selectRow(nextMapping(this.rows, this.row, step));
    if (this.overlay !== null || this.about === 'events') this.scroll.details = Math.max(0, this.scroll.details + step);
    else this.#selectField(step);
  }

  #selectEvent(step: 1 | -1): void {
    const { firstEvent, eventCount } = this.session.reader;
    if (this.event === null) return;
    this.#event = Math.max(firstEvent, Math.min(eventCount - 1, this.event + step));
    this.overlay = null;
  }

  #selectRow(index: number): void {
    const row = this.rows[index];
    if (row?.kind !== 'mapping') return;
    this.#pick({ mm: row.mm.id, vpn: firstVpn(row.vma) });
  }

  #selectPage(step: 1 | -1): void {
    const { page } = this;
    if (page === null) return;
    const start = firstVpn(page.row.vma);
    const vpn = page.vpn + step * this.perCell;
    this.#pick({ mm: page.row.mm.id, vpn: Math.max(start, Math.min(start + pagesOf(page.row.vma) - 1, vpn)) });
  }

  #pick(selected: Selected): void {
    this.#selected = selected;
    this.follow = false;
    this.about = 'pages';
    if (this.focus === 'events') this.focus = 'pages';
    this.overlay = null;
  }

  #selectField(step: 1 | -1): void {
    const { page } = this;
    if (page === null) return;
    const names = recordOf(this.session.state, page.row.mm, page.vpn).map(([name]) => name);
    const at = this.#field === null ? (step > 0 ? 0 : -1) : names.indexOf(this.#field) + step;
    this.#field = names[at] ?? null;
  }
}
