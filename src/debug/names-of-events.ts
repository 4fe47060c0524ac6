// Which page-table entries and frames an event speaks of, and which type and fields a person means.
import type { EventType, FieldKind, KernelEvent } from '../../events/index.js';
import { HUGE_ENTRY_EVENTS, SHAPES } from '../../events/index.js';
import { HPAGE_PMD_NR } from '../../reducers/state.js';
import { forEachNamedFrame } from '../../projections/invariants/named-frames.js';
import { EXIT, UserError } from '../lib/errors.js';
import type { EventPredicate } from './scan.js';

type Fields = Readonly<Record<string, number | string | readonly number[]>>;

/** Where pages stand in runs of a kind: [stride, place of the count]; the vpn comes first. */
const PAGE_RUNS: Partial<Record<FieldKind, readonly [number, number]>> = {
  vpnRuns: [2, 1],
  pteRuns3: [3, 2],
  pteRuns4: [4, 2],
  pteRuns5: [5, 2],
};

/** Types that name a table with `vpn`, not an entry. */
const NO_ENTRY: ReadonlySet<EventType> = new Set<EventType>(['PageTableAllocated', 'PageTablesFreed']);

/** Types whose `vpn` is the first of the 512 pages around a huge entry. */
const BLOCKS: ReadonlySet<EventType> = new Set(HUGE_ENTRY_EVENTS);
/** Pages that the `vpn` of an event stands for. */
const pagesAt = (type: EventType): number => (BLOCKS.has(type) ? HPAGE_PMD_NR : 1);

function inRuns(runs: readonly number[], stride: number, count: number, vpn: number): boolean {
  for (let i = 0; i + stride <= runs.length; i += stride) {
    const first = runs[i] as number;
    if (vpn >= first && vpn < first + (runs[i + count] as number)) return true;
  }
  return false;
}

/** Whether the entry at `vpn` of address space `mm` may be another one after `event`. */
export function writesEntry(event: KernelEvent, mm: number, vpn: number): boolean {
  if (NO_ENTRY.has(event.type)) return false;
  const fields = event as unknown as Fields;
  if (fields['mm'] !== mm && fields['child'] !== mm) return false;
  if (event.type === 'PtesMoved') return inMove(event, vpn - event.vpn) || inMove(event, vpn - event.newVpn);
  const pages = pagesAt(event.type);
  for (const [name, kind] of Object.entries(SHAPES[event.type].fields)) {
    if (kind === 'vpn' && vpn >= (fields[name] as number) && vpn < (fields[name] as number) + pages) return true;
    const runs = PAGE_RUNS[kind];
    if (runs !== undefined && inRuns(fields[name] as readonly number[], runs[0], runs[1], vpn)) return true;
  }
  return false;
}

/** Whether an event that moves entries moves the one `offset` pages behind its first. */
function inMove(event: { readonly runs: readonly number[] }, offset: number): boolean {
  return inRuns(event.runs, 2, 1, offset);
}

/** Neighbouring entries of an address space. */
export interface EntryRun {
  readonly mm: number;
  readonly vpn: number;
  readonly pages: number;
}

/** All entries that may be others after `event`: those for which writesEntry() holds. */
export function entriesWritten(event: KernelEvent): EntryRun[] {
  if (NO_ENTRY.has(event.type)) return [];
  const fields = event as unknown as Fields;
  const found: { vpn: number; pages: number }[] = [];
  if (event.type === 'PtesMoved') for (const base of [event.vpn, event.newVpn]) addRuns(found, event.runs, 2, 1, base);
  else
    for (const [name, kind] of Object.entries(SHAPES[event.type].fields)) {
      if (kind === 'vpn') found.push({ vpn: fields[name] as number, pages: pagesAt(event.type) });
      const runs = PAGE_RUNS[kind];
      if (runs !== undefined) addRuns(found, fields[name] as readonly number[], runs[0], runs[1], 0);
    }
  const mms = [fields['mm'], fields['child']].filter((mm) => typeof mm === 'number');
  return mms.flatMap((mm) => found.map((run) => ({ mm, ...run })));
}

function addRuns(
  to: { vpn: number; pages: number }[],
  runs: readonly number[],
  stride: number,
  count: number,
  base: number,
): void {
  for (let i = 0; i + stride <= runs.length; i += stride) {
    const pages = runs[i + count] as number;
    if (pages > 0) to.push({ vpn: base + (runs[i] as number), pages });
  }
}

/** Whether `event` names frame `pfn`. */
export function namesFrame(event: KernelEvent, pfn: number): boolean {
  let named = false;
  forEachNamedFrame(event, (each) => (named ||= each === pfn));
  return named;
}

/** All types, in the order of the alphabet. */
export const EVENT_TYPES: readonly EventType[] = (Object.keys(SHAPES) as EventType[]).sort();

/** The type that `text` means: its name, whatever the case, or a beginning that only one has. @throws UserError. */
export function typeNamed(text: string): EventType {
  const wanted = text.toLowerCase();
  const exact = EVENT_TYPES.find((type) => type.toLowerCase() === wanted);
  if (exact !== undefined) return exact;
  const found = EVENT_TYPES.filter((type) => type.toLowerCase().startsWith(wanted));
  const [only] = found;
  if (found.length === 1 && only !== undefined) return only;
  if (found.length > 1) throw new UserError(`'${text}' may be ${found.join(', ')}`, EXIT.input);
  throw new UserError(`no event type '${text}'; \`help types\` lists them`, EXIT.input);
}

/** One field of an event that must be so. */
type FieldTest = (event: KernelEvent) => boolean;

function fieldTest(type: EventType, name: string, value: number): FieldTest {
  const { fields } = SHAPES[type];
  const vpn = name === 'addr' && fields['addr'] === undefined ? Math.floor(value / 4096) : value;
  const isEntry = name === 'vpn' || (name === 'addr' && fields['addr'] === undefined);
  if (isEntry && fields['vpn'] === undefined) {
    const runs = Object.entries(fields).flatMap(([field, kind]) => {
      const shape = PAGE_RUNS[kind];
      return shape === undefined ? [] : [[field, shape] as const];
    });
    if (runs.length > 0)
      return (event) =>
        runs.some(([field, [stride, at]]) =>
          inRuns((event as unknown as Fields)[field] as readonly number[], stride, at, vpn),
        );
  }
  if (name === 'pfn' && fields['pfn'] === undefined) return (event) => namesFrame(event, value);
  const field = isEntry ? 'vpn' : name;
  if (fields[field] === undefined)
    throw new UserError(`${type} has no field '${name}', but ${Object.keys(fields).join(', ')}`, EXIT.input);
  return (event) => (event as unknown as Fields)[field] === vpn;
}

/**
 * What `TYPE [field=value ...]` means. `addr=` and `vpn=` also find runs of pages, `pfn=` runs of frames. `number` gives the value of the text
 * behind `=`.
 * @throws UserError for types and fields that are not there.
 */
export function eventPredicate(
  text: string,
  number: (text: string) => number,
): { type: EventType; is: EventPredicate } {
  const [name = '', ...tests] = text.trim().split(/\s+/);
  if (name === '') throw new UserError('which type of event?', EXIT.input);
  const type = typeNamed(name);
  const wanted = tests.map((test) => {
    const match = /^(\w+)=(.+)$/.exec(test);
    if (match === null) throw new UserError(`'${test}' is no field=value`, EXIT.input);
    return fieldTest(type, match[1] as string, number(match[2] as string));
  });
  return { type, is: (event) => event.type === type && wanted.every((test) => test(event)) };
}
