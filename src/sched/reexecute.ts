// Running a log's operations again: the same version and behaviours give the same events.
import type { KernelEvent } from '../../events/index.js';
import type { Operation } from '../workload/operation.js';
import type { RunOptions } from './run.js';
import { Run } from './run.js';

/** The events that `operations` cause, operation by operation. */
export function* reexecute(operations: Iterable<Operation>, options: RunOptions): Generator<KernelEvent> {
  let events: KernelEvent[] = [];
  const run = new Run(options, [{ event: (event) => events.push(event) }]);
  for (const operation of operations) {
    run.execute(operation);
    yield* events;
    events = [];
  }
  run.settle();
  yield* events;
}
