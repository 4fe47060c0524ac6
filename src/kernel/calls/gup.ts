// Calls that take references to user pages: pins, pipes fed by vmsplice, process_vm_readv and its kin, io_uring.
import type { Handler } from '../call.js';
import { doFixed, doRegister, doSetup } from '../io-uring.js';
import { doVmsplice } from '../pipe.js';
import { doProcessVm } from '../process-vm.js';
import { doPtrace } from '../ptrace.js';
import { NotModelledError } from '../../lib/errors.js';
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
  *vmsplice(k, call) {
    if (call.recorded) throw new NotModelledError('vmsplice of a recording, whose pipes are not followed');
    return yield* doVmsplice(k, call);
  },
  *process_vm_readv(k, call) {
    return yield* doProcessVm(k, call, false);
  },
  *process_vm_writev(k, call) {
    return yield* doProcessVm(k, call, true);
  },
  *ptrace(k, call) {
    return yield* doPtrace(k, call);
  },
  *io_uring_setup(k, call) {
    if (call.recorded) throw new NotModelledError('io_uring of a recording, whose rings are not followed');
    return yield* doSetup(k, call);
  },
  *io_uring_register(k, call) {
    if (call.recorded) throw new NotModelledError('io_uring of a recording, whose rings are not followed');
    return yield* doRegister(k, call);
  },
  *io_uring_read_fixed(k, call) {
    return yield* doFixed(k, call, false);
  },
  *io_uring_write_fixed(k, call) {
    return yield* doFixed(k, call, true);
  },
};
