// Calls that take references to user pages: pins, pipes fed by vmsplice, process_vm_readv and its kin, io_uring.
import type { Handler } from '../call.js';
import { doPin, doPinLoad, doPinStore, doUnpin } from '../pins.js';

/** Handlers by name. */
export const GUP_CALLS: Readonly<Record<string, Handler>> = {
  *pin(k, call) {
    return yield* doPin(k, call);
  },
  *pin_load(k, call) {
    return doPinLoad(k, call);
  },
  *pin_store(k, call) {
    return doPinStore(k, call);
  },
  *unpin(k, call) {
    return doUnpin(k, call);
  },
};
