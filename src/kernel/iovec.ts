// Lists of buffers: `import_iovec()` of lib/iov_iter.c.
import { isStruct } from '../workload/operation.js';
import type { Call } from './call.js';
import { badArgument, cIntArg } from './call.js';
import { EFAULT, EINVAL, TASK_SIZE } from './kernel.js';

/** `struct iovec`. */
export interface Iovec {
  readonly base: number;
  readonly length: number;
}

const UIO_MAXIOV = 1024;

/**
 * Argument `i`, `[{iov_base=A, iov_len=4096}, ...]` or in short `[{A, 4096}]`, of which argument `countAt` says how many count. An errno for
 * more than the kernel takes, or, unless `remote`, for a buffer that leaves user space.
 */
export function iovecs(call: Call, i: number, countAt: number, remote = false): readonly Iovec[] | number {
  const value = call.args[i];
  const count = cIntArg(call, countAt, Array.isArray(value) ? value.length : 0);
  if (count < 0 || count > UIO_MAXIOV) return -EINVAL;
  if (count === 0) return [];
  if (value === null || value === undefined) return -EFAULT;
  if (!Array.isArray(value)) throw badArgument(call, i, 'a list of {iov_base=..., iov_len=...}');
  const found: Iovec[] = [];
  for (const each of value.slice(0, count)) {
    if (each === null || typeof each !== 'object' || !isStruct(each))
      throw badArgument(call, i, 'a list of {iov_base=..., iov_len=...}');
    const base = each.fields['iov_base'] ?? 0;
    const length = each.fields['iov_len'];
    if (typeof base !== 'number' || typeof length !== 'number')
      throw badArgument(call, i, 'a list of {iov_base=..., iov_len=...} with numbers below 2^53');
    if (length < 0) return -EINVAL;
    if (!remote && base + length > TASK_SIZE) return -EFAULT;
    found.push({ base, length });
  }
  return found;
}
