// The running kernel made ready to be asked: agent, scratch directory, settings that the model has no notion of put out of the way.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { availableParallelism, release } from 'node:os';
import type { MachineSettings } from '../../kernel/kernel.js';
import { POOL_SETTINGS } from '../../kernel/hugetlb/pool.js';
import { SETTINGS as KERNEL_SETTINGS } from '../../kernel/thp.js';
import { DEFAULT_MACHINE, PAGE_SIZE } from '../../kernel/kernel.js';
import { EXIT, UserError } from '../../lib/errors.js';
import { Agent } from '../agent/agent.js';
import { layoutText, readKernelLayout } from '../agent/btf.js';
import { buildAgent } from '../agent/build.js';
import type { Operation, Value } from '../../workload/operation.js';
import { isText } from '../../workload/operation.js';
import { leadingSettings, wantsBlockDevice } from './commands.js';
import { Settings } from '../settings.js';
import { usesKsm } from './conform.js';
import { fillPool, lostHugePages } from './huge-pool.js';

/** Where tasks keep their files: a directory whose file system has a disk below it, which /tmp often has not. */
const SCRATCH_PARENT = '/var/tmp';
/** Pages of each kind of swap area: workloads never fill half of it. Large folios need rows of them. */
const SWAP_PAGES = { file: 4096, block: 65_536 } as const;
const MADV_PAGEOUT = 21;
/** Does an operation use the swap area? */
const swaps = ({ name, args }: Operation): boolean =>
  name === 'madvise' && (args[2] === MADV_PAGEOUT || (isWord(args[2]) && args[2].word === 'MADV_PAGEOUT'));
const isWord = (value: Value | undefined): value is { readonly word: string } =>
  typeof value === 'object' && value !== null && 'word' in value;
const isTextOf = (value: Value | undefined, text: string): boolean =>
  value !== undefined && value !== null && isText(value) && value.text === text;
const KSM = '/sys/kernel/mm/ksm';
/** Given back in the opposite order: pages_to_scan cannot be written while an advisor decides it. */
const KSM_SETTINGS: readonly (readonly [string, string | number])[] = [
  ['advisor_mode', 'none'],
  ['smart_scan', 0],
  ['use_zero_pages', 0],
  ['pages_to_scan', 1_000_000],
  ['sleep_millisecs', 1_000_000],
];
const THP = '/sys/kernel/mm/transparent_hugepage';
/** What would change memory behind the workload's back. Files that this kernel lacks need no setting. */
const SETTINGS: readonly (readonly [string, string])[] = [
  // khugepaged looks once when it hears of this, then sleeps for 49 days.
  [`${THP}/khugepaged/pages_to_scan`, '1'],
  [`${THP}/khugepaged/scan_sleep_millisecs`, '4294967295'],
  // A huge page is worth waiting for.
  [`${THP}/defrag`, 'madvise'],
  ['/sys/kernel/mm/ksm/run', '0'],
  ['/proc/sys/vm/overcommit_memory', '0'],
];

/** Sizes of huge pages of files in memory that this kernel would give unasked. */
const shmemSizes = (): readonly string[] =>
  (existsSync(THP) ? readdirSync(THP) : [])
    .filter((name) => name.startsWith('hugepages-'))
    .map((name) => `${THP}/${name}/shmem_enabled`)
    .filter((path) => existsSync(path) && !/\[(never|inherit)\]/.test(readFileSync(path, 'latin1')));

/** Why the real kernel cannot be asked here, in words, or null. */
export function whyNot(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return `it needs Linux on x86-64, this is ${process.platform} on ${process.arch}`;
  if (process.getuid?.() !== 0) return 'it needs root (page frames and page flags are shown to nobody else)';
  if (!existsSync('/proc/kpageflags')) return 'this kernel has no /proc/kpageflags';
  if (!['/usr/bin/cc', '/usr/local/bin/cc', '/bin/cc'].some(existsSync) && !pathHas('cc'))
    return 'no C compiler (cc): the native agent is built where it runs';
  return null;
}

/** A process whose memory ksmd would scan, or null. */
function otherMergeable(): string | null {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    try {
      if (/^ksm_mergeable: yes$|^ksm_rmap_items [1-9]/m.test(readFileSync(`/proc/${pid}/ksm_stat`, 'latin1')))
        return pid;
    } catch {
      // It has ended meanwhile.
    }
  return null;
}

const pathHas = (name: string): boolean =>
  (process.env['PATH'] ?? '').split(':').some((folder) => folder !== '' && existsSync(`${folder}/${name}`));

export interface SessionOptions {
  /** Read the kernel's memory (PG_anon_exclusive of every page, entries' bits, references, bytes)? */
  readonly deep: boolean;
  readonly tell: (line: string) => void;
}

/** The real side, ready. */
export class Session {
  readonly agent: Agent;
  readonly directory: string;
  /** `uname -r`. */
  readonly kernel: string;
  /** The machine's settings, for the model. */
  machine: MachineSettings;
  readonly #settings: Settings;
  #swaps: keyof typeof SWAP_PAGES | null = null;
  #merges = false;
  /** Huge pages that the pool has beside those that a workload asks for, as Linux lost their reservations. */
  lostHugePages = 0;
  /** Did a workload of this session write to the pool's files? */
  #pool = false;
  /** What the files that workloads may write say now. */
  readonly #written = new Map<string, string>();

  private constructor(agent: Agent, settings: Settings, directory: string) {
    this.agent = agent;
    this.#settings = settings;
    this.directory = directory;
    this.kernel = release();
    this.machine = machineSettings();
  }

  /** @throws UserError (unable) with the reason why the real kernel cannot be asked here. */
  static async open({ deep, tell }: SessionOptions): Promise<Session> {
    const reason = whyNot();
    if (reason !== null) throw new UserError(`the running kernel cannot be asked: ${reason}`, EXIT.unable);
    const program = await buildAgent({ tell });
    const settings = await Settings.acquire(program, undefined, { tell });
    try {
      const directory = await mkdtemp(`${SCRATCH_PARENT}/folioscope-`).catch((error: Error) => {
        throw new UserError(`cannot make a directory for the workloads' files: ${error.message}`, EXIT.io);
      });
      await settings.removeAtEnd(directory);
      for (const [path, value] of SETTINGS) if (existsSync(path)) await settings.set(path, value);
      for (const path of shmemSizes()) await settings.set(path, 'never');
      const layout = deep ? await layoutOrReason(tell) : null;
      const agent = await Agent.start(program, { cpu: availableParallelism() - 1, directory, layout });
      if (deep && layout !== null && !agent.deep) tell(`page tables are not read: ${agent.blind}`);
      return new Session(agent, settings, directory);
    } catch (error) {
      await settings.release();
      throw error;
    }
  }

  /**
   * Gets ready for `operations`: the settings that they begin with, and the model's where they name none; those that swap get a swap
   * area of their own, a file or a block device, used before any other swap.
   * @throws UserError (unable) if that cannot be.
   */
  async prepare(operations: readonly Operation[]): Promise<void> {
    const wanted = new Map(Object.entries(KERNEL_SETTINGS).map(([name, { first }]) => [name, first]));
    for (const [name, value] of leadingSettings(operations)) wanted.set(name, value);
    await this.#preparePool(wanted, operations);
    for (const [name, value] of wanted) {
      const path = `/sys/kernel/mm/${name}`;
      if (this.#written.get(name) === value || !existsSync(path)) continue;
      await this.#settings.set(path, value);
      this.#written.set(name, value);
    }
    if (usesKsm(operations)) await this.#prepareKsm();
    const area = wantsBlockDevice(operations) ? 'block' : 'file';
    if (this.#swaps === area || !operations.some(swaps)) return;
    const path = `${this.directory}.swap`;
    // Nothing is read ahead: how many pages would depend on chance.
    if (this.#swaps === null) await this.#settings.set('/proc/sys/vm/page-cluster', 0);
    else await this.#settings.swapOff(path);
    await this.#settings.swapOn(path, SWAP_PAGES[area] * PAGE_SIZE, area);
    this.#swaps = area;
    // The first page is the header.
    this.machine = { ...machineSettings(), swapPages: SWAP_PAGES[area] - 1 };
  }

  /**
   * The pool of huge pages as the workload begins with it, with fresh pages: those that were used may be dirty. It may write to the files
   * itself, so that nothing is known of them afterwards.
   */
  async #preparePool(wanted: Map<string, string>, operations: readonly Operation[]): Promise<void> {
    const names = Object.keys(POOL_SETTINGS);
    const asked = names.some((name) => operations.some(({ args: [file] }) => isTextOf(file, name)));
    const settings = names.map((name) => [`/sys/kernel/mm/${name}`, wanted.get(name) ?? '0'] as const);
    for (const name of names) wanted.delete(name);
    // A workload that does not say how large it is has none, after one that did.
    this.#pool ||= asked;
    if (!this.#pool) return;
    for (const [path] of settings) await this.#settings.set(path, 0);
    const lost = await lostHugePages();
    this.lostHugePages = lost;
    await this.agent.ask([`lost_hugepages ${lost}`]);
    for (const [path, value] of settings)
      await fillPool(this.#settings, path, Number(value) + (path.endsWith('/nr_hugepages') ? lost : 0));
  }

  /** ksmd scans when it is told, every page each time, and nobody else's memory. */
  async #prepareKsm(): Promise<void> {
    if (this.#merges) return;
    if (!existsSync(KSM)) throw new UserError('the running kernel cannot be asked: it has no KSM', EXIT.unable);
    const other = otherMergeable();
    if (other !== null)
      throw new UserError(
        `the running kernel cannot be asked about KSM: process ${other} has mergeable memory`,
        EXIT.unable,
      );
    this.#merges = true;
    for (const [name, value] of KSM_SETTINGS)
      if (existsSync(`${KSM}/${name}`)) await this.#settings.set(`${KSM}/${name}`, value);
  }

  /** Everything as it was found. */
  async close(): Promise<void> {
    await this.agent.close();
    await this.#settings.release();
  }
}

async function layoutOrReason(tell: (line: string) => void): Promise<string | null> {
  try {
    return layoutText(await readKernelLayout());
  } catch (error) {
    tell(`page tables are not read: ${(error as Error).message}`);
    return null;
  }
}

/** Settings of this machine that decide results. */
function machineSettings(): MachineSettings {
  const meminfo = readFileSync('/proc/meminfo', 'latin1');
  const kb = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(meminfo)?.[1] ?? 0);
  return {
    ...DEFAULT_MACHINE,
    maxMapCount: Number(readFileSync('/proc/sys/vm/max_map_count', 'latin1')),
    totalPages: Math.floor((kb('MemTotal') + kb('SwapTotal')) / 4),
  };
}
