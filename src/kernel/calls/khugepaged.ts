// What khugepaged does when a workload says so.
import type { Handler } from '../call.js';
import { khugepagedFullScan } from '../khugepaged.js';

/** Handlers by name. */
export const KHUGEPAGED_CALLS: Readonly<Record<string, Handler>> = {
  *khugepaged_scan(k) {
    yield* khugepagedFullScan(k);
    return null;
  },
};
