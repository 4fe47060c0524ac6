// Assertions about our own code. What the modelled kernel does wrong is never an assertion, it is an event.

/** A bug of folioscope itself. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Throws an AssertionError with a stable code and the ids concerned unless `condition` holds. */
export function assert(condition: unknown, code: string, ...ids: readonly unknown[]): asserts condition {
  if (!condition) throw new AssertionError(ids.length > 0 ? `${code}: ${ids.join(', ')}` : code);
}
