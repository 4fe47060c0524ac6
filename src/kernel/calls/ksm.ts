// What ksmd does when a workload says so, and what is set under /sys/kernel/mm/ksm.
import type { Handler } from '../call.js';
import { badArgument, intArg } from '../call.js';
import { ksmFullScan } from '../ksm-scan.js';

/** A page is merged at the second scan that finds its bytes unchanged; the third takes what the second could not. */
export const KSM_SCANS = 3;
/** More change nothing that fewer did not. */
const SCANS_MAX = 64;

/** Handlers by name. */
export const KSM_CALLS: Readonly<Record<string, Handler>> = {
  *ksm_scan(k, call) {
    const scans = intArg(call, 0, KSM_SCANS);
    if (scans < 1 || scans > SCANS_MAX) throw badArgument(call, 0, `a number of scans, 1 to ${SCANS_MAX}`);
    for (let i = 0; i < scans; i++) yield* ksmFullScan(k);
    return null;
  },
  *ksm_use_zero_pages(k, call) {
    const on = intArg(call, 0);
    if (on > 1) throw badArgument(call, 0, '0 or 1');
    if (k.view.ksm.useZeroPages !== on) k.emit({ type: 'KsmUseZeroPagesSet', on });
    return null;
  },
};
