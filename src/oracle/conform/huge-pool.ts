// The machine's pool of huge pages before a workload: empty, at rest, and then as large as it asks for.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, UserError } from '../../lib/errors.js';
import type { Settings } from '../settings.js';

/** What registered buffers of a ring held Linux gives back a little after its process ended. */
const REST_MS_MAX = 3000;
const POLL_MS = 5;
const COMPACT = '/proc/sys/vm/compact_memory';

interface Pool {
  readonly total: number;
  readonly free: number;
  readonly reserved: number;
}

/** HugePages_* of /proc/meminfo. */
function readPool(): Pool {
  const meminfo = readFileSync('/proc/meminfo', 'latin1');
  const pages = (name: string): number =>
    Number(new RegExp(`^HugePages_${name}:\\s+(\\d+)`, 'm').exec(meminfo)?.[1] ?? 0);
  return { total: pages('Total'), free: pages('Free'), reserved: pages('Rsvd') };
}

/**
 * Waits until nobody uses a page of the pool, which was told to be empty.
 * @returns reservations that nobody has: Linux lost them, and has them until the machine starts anew. A pool is to have as many pages more.
 * @throws UserError (unable) if others go on using huge pages, or fewer than none are reserved.
 */
export async function lostHugePages(read: () => Pool = readPool, waitMs = REST_MS_MAX): Promise<number> {
  for (let waited = 0; ; waited += POLL_MS) {
    const { total, free, reserved } = read();
    if (total === free && Number.isSafeInteger(reserved)) return reserved;
    if (waited >= waitMs) {
      const what =
        total > free
          ? `${total - free} huge pages are in use by somebody else`
          : 'fewer huge pages than none are reserved, until it starts anew';
      throw new UserError(`the running kernel cannot be asked: ${what}`, EXIT.unable);
    }
    await sleep(POLL_MS);
  }
}

function compactMemory(): void {
  if (existsSync(COMPACT)) writeFileSync(COMPACT, '1');
}

/**
 * Makes a pool of `wanted` pages at `path`, the second time after memory was compacted.
 * @throws UserError (unable) if there are not as many blocks of 2 MiB.
 */
export async function fillPool(
  settings: Pick<Settings, 'set'>,
  path: string,
  wanted: number,
  compact: () => void = compactMemory,
): Promise<void> {
  let got = await settings.set(path, wanted);
  if (got === String(wanted)) return;
  compact();
  got = await settings.set(path, wanted);
  if (got !== String(wanted))
    throw new UserError(
      `the running kernel cannot be asked: memory is too fragmented, it has ${got} huge pages where ${wanted} are asked for`,
      EXIT.unable,
    );
}
