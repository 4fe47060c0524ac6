// Commands that show the state at the position: values, mappings, page tables, who maps a frame, operations around.
import type { QueryValue } from '../../../projections/query/evaluate.js';
import { canonicalPage, canonicalVma } from '../../../projections/canonical.js';
import type { CanonicalPage } from '../../../projections/canonical.js';
import { factsOf } from '../../../projections/facts/from-state.js';
import { mappersOf } from '../../../projections/rmap.js';
import type { Smaps } from '../../../projections/smaps.js';
import { smapsOf } from '../../../projections/smaps.js';
import { forEachPte } from '../../../reducers/pte.js';
import type { MmView, TaskView } from '../../../reducers/state.js';
import {
  PG_ANON,
  PG_ANON_EXCLUSIVE,
  PG_FREE,
  folioAt,
  mmAt,
  pageAt,
  pageMapcount,
  rssPages,
} from '../../../reducers/state.js';
import { parseExpression } from '../../../projections/query/parse.js';
import { EXIT, UserError } from '../../lib/errors.js';
import type { Command } from '../command.js';
import { words } from '../command.js';
import { runTexts, vmaText } from '../pages.js';
import { valueAt, wholeText } from '../probe.js';
import type { Session } from '../session.js';
import { briefly, count, hex, operationText, plural } from '../words.js';
import { stopLines } from './stop.js';

/** Operations and events shown on either side. */
const AROUND = 5;
const END_VPN = 2 ** 35;

/** A value as the expression language writes it; null for subjects. */
function literal(value: QueryValue): string | null {
  if (value === null) return 'none';
  if (typeof value === 'object') return null;
  return typeof value === 'string' ? `"${value}"` : String(value);
}

function ask(session: Session, text: string): QueryValue {
  if (text === '') throw new UserError('usage: print EXPR', EXIT.input);
  const value = valueAt(parseExpression(text), session.names(), session.state);
  session.asked.push({ position: session.position, text, literal: literal(value) });
  return value;
}

function assertHolds(session: Session, text: string): readonly string[] {
  const probe = session.probe(text);
  session.asked.push({ position: session.position, text, literal: 'true' });
  if (probe.holds(session.state)) return [`holds: ${text}`];
  session.failed++;
  return [`does not hold: ${text}`];
}

function taskAt(session: Session, text: string | undefined): TaskView {
  const { state } = session;
  const pid = text === undefined ? session.names().pid : session.number(text);
  const task = state.tasks[pid];
  if (task === undefined) throw new UserError(`there is no task ${pid} at ${session.position}`, EXIT.input);
  return task;
}

function spaceAt(session: Session, text: string | undefined): MmView {
  const task = taskAt(session, text);
  if (task.mm === 0) throw new UserError(`task ${task.tid} has exited`, EXIT.input);
  return mmAt(session.state, task.mm);
}

function maps(session: Session, rest: string): readonly string[] {
  const [pid] = words(rest, 0, '');
  const lines = spaceAt(session, pid).vmas.map((vma) => vmaText(canonicalVma(session.state, vma)));
  return lines.length === 0 ? ['nothing is mapped'] : lines;
}

function smapsText(sizes: Smaps): string {
  const shown = Object.entries(sizes).filter(([name, kb]) => kb > 0 && name !== 'start' && name !== 'end');
  return shown.length === 0 ? '' : shown.map(([name, kb]) => `${name} ${count(kb)}`).join(', ');
}

function smaps(session: Session, rest: string): readonly string[] {
  const [pid] = words(rest, 0, '');
  const mm = spaceAt(session, pid);
  const facts = factsOf(session.state);
  const space = facts.mappings.of(mm.id);
  if (space === undefined) return [];
  return mm.vmas.flatMap((vma) => {
    const text = smapsText(smapsOf(facts, space, { ...vma, chain: [...vma.chain] }));
    return [vmaText(canonicalVma(session.state, vma)), `    ${text === '' ? 'nothing resident' : `${text} kB`}`];
  });
}

function pagemap(session: Session, rest: string): readonly string[] {
  const [pid, at, length] = words(rest, 0, '');
  const mm = spaceAt(session, pid);
  const from = at === undefined ? 0 : Math.floor(session.number(at) / 4096);
  const bytes = length === undefined ? 4096 : session.number(length);
  const to = at === undefined ? END_VPN : from + Math.max(1, Math.ceil(bytes / 4096));
  const pages: CanonicalPage[] = [];
  forEachPte(mm, from, to, (vpn, entry) => pages.push(canonicalPage(session.state, vpn * 4096, entry, (pfn) => pfn)));
  return pages.length === 0 ? ['no entries there'] : runTexts(pages);
}

/** The frame that `page(...)`, `folio(N)` or a number means. */
function frameOf(session: Session, text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : valueAt(parseExpression(text), session.names(), session.state);
  if (typeof value === 'number') return value;
  const folio = /^folio\((\d+)\)$/.exec(typeof value === 'object' && value !== null ? value.name : '')?.[1];
  if (folio !== undefined) return Number(folio);
  const frame = typeof value === 'object' && value !== null ? value.fields['frame'] : undefined;
  if (typeof frame !== 'number') throw new UserError(`${text} leads to no frame`, EXIT.input);
  return frame;
}

function rmap(session: Session, rest: string): readonly string[] {
  const { state } = session;
  const text = rest.trim();
  if (text === '') throw new UserError('usage: rmap page(PID, ADDR) | folio(N) | N', EXIT.input);
  const pfn = frameOf(session, text);
  if (pfn < 0 || pfn >= state.maxPfn) throw new UserError(`there is no frame ${pfn}`, EXIT.input);
  const page = pageAt(state, pfn);
  const mappers = mappersOf(factsOf(state), pfn);
  const kind = (page.flags & PG_FREE) !== 0 ? 'free' : (page.flags & PG_ANON) !== 0 ? 'anonymous' : 'page cache';
  const exclusive = (page.flags & PG_ANON_EXCLUSIVE) !== 0 ? ', exclusive' : '';
  return [
    `frame ${pfn}: ${kind}${exclusive}, mapcount ${pageMapcount(state, pfn)}, refs ${folioAt(state, pfn).ref}; entries that lead to it: ${mappers.length}`,
    ...mappers.map(({ mm, vpn }) => {
      const tasks = Object.values(state.tasks).filter((task) => task.mm === mm);
      const who = tasks.length === 0 ? `mm ${mm}` : `task ${tasks.map(({ tid }) => tid).join(' ')}`;
      return `  ${who} at ${hex(vpn * 4096)}`;
    }),
  ];
}

function list(session: Session, rest: string): readonly string[] {
  const { position, operations } = session;
  const { firstEvent } = session.reader;
  const last = position > firstEvent ? operations.ofEvent(position - 1) : null;
  const center = rest === '' ? (last?.id ?? operations.first) : session.number(rest);
  const lines: string[] = [];
  const from = Math.max(operations.first, center - AROUND);
  const to = Math.min(operations.end, center + AROUND + 1);
  for (let id = from; id < to; id++) {
    const operation = operations.at(id);
    if (operation === null) continue;
    const { firstEvent: begin, events, line } = operation;
    const span = events === 0 ? 'no events' : `events ${begin}-${begin + events - 1}`;
    lines.push(`${id === last?.id ? '=>' : '  '} op ${id}, line ${line}: ${operationText(operation)}  (${span})`);
  }
  return lines.length === 0 ? ['the log holds no operations'] : lines;
}

function events(session: Session, rest: string): readonly string[] {
  const { firstEvent, eventCount } = session.reader;
  const n = rest === '' ? AROUND : session.number(rest);
  const lines: string[] = [];
  for (let at = Math.max(firstEvent, session.position - n); at < Math.min(eventCount, session.position + n); at++) {
    if (at === session.position) lines.push(`=> ${at}`);
    lines.push(`   ${at}  op ${session.timeline.operationOf(at)}  ${briefly(session.timeline.event(at))}`);
  }
  if (session.position === eventCount) lines.push(`=> ${eventCount}, the end`);
  return lines;
}

function tasks(session: Session): readonly string[] {
  const { state } = session;
  const lines = Object.values(state.tasks).map(({ tid, tgid, parent, mm, cpu, exited }) => {
    const thread = tgid === tid ? '' : `, thread of ${tgid}`;
    const space = mm === 0 ? '' : `, mm ${mm}, rss ${plural(rssPages(mmAt(state, mm)), 'page')}`;
    return `  task ${tid}${thread}, parent ${parent}, cpu ${cpu}${exited === 1 ? ', exited' : ''}${space}`;
  });
  return lines.length === 0 ? ['no tasks yet'] : lines;
}

function info(session: Session, rest: string): readonly string[] {
  const [about = ''] = rest.split(/\s+/);
  if (about !== '' && ['breakpoints', 'stops', 'watchpoints'].some((name) => name.startsWith(about)))
    return stopLines(session);
  if (about !== '' && 'log'.startsWith(about)) {
    const { header, footer, eventCount } = session.reader;
    const on = Object.entries(header.behaviours).filter(([, value]) => value === true);
    return [
      `run of ${header.sourceName} on kernel ${header.kernel}, ${header.recorded ? 'a recording' : 'a workload'}`,
      `${plural(eventCount - footer.firstEvent, 'event')}, ${plural(footer.operations - footer.firstOperation, 'operation')}`,
      `behaviours ${on.map(([name]) => name).join(' ')}`,
    ];
  }
  throw new UserError('usage: info breakpoints | log', EXIT.input);
}

export const LOOK_COMMANDS: readonly Command[] = [
  {
    names: ['where', 'wh', 'bt'],
    usage: 'where',
    summary: 'position, operation, line, and the events on either side',
    run: (session) => session.where(),
  },
  {
    names: ['print', 'p'],
    usage: 'print EXPR',
    summary: 'the value of an expression (docs/workload.md, "Checks"); subjects with all their fields',
    run: (session, rest) => [`${rest} = ${wholeText(ask(session, rest))}`],
  },
  {
    names: ['assert'],
    usage: 'assert EXPR',
    summary: 'says whether EXPR holds; if one did not, the debugger exits with 1',
    run: assertHolds,
  },
  {
    names: ['list', 'l'],
    usage: 'list [OP]',
    summary: 'operations around the position, or around operation OP',
    run: list,
  },
  {
    names: ['events', 'x'],
    usage: 'events [N]',
    summary: 'N events on either side of the position',
    run: events,
  },
  { names: ['tasks'], usage: 'tasks', summary: 'tasks at the position', run: tasks },
  { names: ['maps'], usage: 'maps [PID]', summary: 'mappings of a task, as /proc/PID/maps', run: maps },
  {
    names: ['smaps'],
    usage: 'smaps [PID]',
    summary: 'the same with what is resident, from page tables and frames, not from counters',
    run: smaps,
  },
  {
    names: ['pagemap'],
    usage: 'pagemap [PID [ADDR [LEN]]]',
    summary: 'page-table entries of a task, neighbours that agree on one line',
    run: pagemap,
  },
  {
    names: ['rmap'],
    usage: 'rmap page(PID, ADDR) | folio(N) | N',
    summary: 'who maps a frame, from page tables alone, beside its counters',
    run: rmap,
  },
  { names: ['info', 'i'], usage: 'info breakpoints | log', summary: 'stops, or what the log is', run: info },
];
