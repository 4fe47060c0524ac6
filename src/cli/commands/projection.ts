// folioscope projection NAME LOG
import { accounting } from '../../../projections/accounting.js';
import { activity } from '../../../projections/activity.js';
import { cowCost } from '../../../projections/cow-cost.js';
import { hugetlbReserves } from '../../../projections/hugetlb-reserves.js';
import { exclusivity } from '../../../projections/exclusivity.js';
import type { ReadableProjection } from '../../../projections/projection.js';
import { rmap } from '../../../projections/rmap.js';
import { shmem } from '../../../projections/shmem.js';
import { userfaults } from '../../../projections/userfaults.js';
import type { ExitCode } from '../../lib/errors.js';
import { EXIT, UserError } from '../../lib/errors.js';
import { foldProjection } from '../fold-projection.js';
import { openLog, positionOf } from '../open-log.js';
import { flushOut, out } from '../output.js';

const PROJECTIONS = [
  rmap,
  accounting,
  exclusivity,
  shmem,
  cowCost,
  hugetlbReserves,
  userfaults,
  { ...activity, read: (view: unknown) => view },
] as readonly ReadableProjection<unknown>[];

/** Names that the command takes. */
export const PROJECTION_NAMES = PROJECTIONS.map(({ name }) => name);

export interface ProjectionOptions {
  readonly at?: string;
  readonly json: boolean;
}

/** Prints a projection as it stands at a position. */
export async function projectionCommand(name: string, path: string, options: ProjectionOptions): Promise<ExitCode> {
  const projection = PROJECTIONS.find((each) => each.name === name);
  if (projection === undefined)
    throw new UserError(`no projection '${name}'; there are ${PROJECTION_NAMES.join(', ')}`, EXIT.input);
  const reader = openLog(path);
  const at = positionOf(reader, options.at);
  const view = projection.read(foldProjection(reader, projection, at));
  if (options.json) out(JSON.stringify({ log: path, projection: name, at, view }));
  else out(JSON.stringify(view, null, 2));
  flushOut();
  return EXIT.ok;
}
