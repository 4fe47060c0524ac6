// What khugepaged and the shrinker of large folios do when a workload says so.
import { NotModelledError } from '../../lib/errors.js';
import type { Handler } from '../call.js';
import { intArg } from '../call.js';
import { deferredSplitScan } from '../deferred-split.js';
import { khugepagedFullScan } from '../khugepaged.js';

/** Handlers by name. */
export const KHUGEPAGED_CALLS: Readonly<Record<string, Handler>> = {
  *drop_caches(k, call) {
    if (intArg(call, 0) !== 2) throw new NotModelledError('dropping the page cache');
    yield* deferredSplitScan(k, 0);
    return null;
  },
  *khugepaged_scan(k) {
    yield* khugepagedFullScan(k);
    return null;
  },
};
