// The command line: what there is, and where it is loaded from when called.
import { Command, CommanderError, Option } from 'commander';
import { EXIT, UserError } from '../lib/errors.js';
import type { ExitCode } from '../lib/errors.js';
import { TOOL } from '../../replays/log/format.js';

const EXIT_TEXT = `
Exit codes: 0 fine; 1 the answer is no (mismatch, damage); 2 bad usage or input; 3 done in part;
            4 cannot run here (missing tool or rights); 5 reading or writing failed; 130 interrupted.`;

const EXAMPLES = `
Examples:
  folioscope record -o ls.perf.txt.gz -- sh -c 'ls | wc'    record a program (root, perf)
  folioscope run ls.perf.txt.gz                              run the recording, write ls.fsl
  folioscope state ls.fsl --at 500 --pid 4711                memory after 500 events`;

/** A command's work: returns the exit code. Loaded when called, so that --help stays quick. */
type Action = (...args: never[]) => Promise<ExitCode>;

let exitCode: ExitCode = EXIT.ok;
const act =
  (action: Action) =>
  async (...args: unknown[]): Promise<void> => {
    exitCode = await (action as (...all: unknown[]) => Promise<ExitCode>)(...args);
  };

const json = (): Option => new Option('--json', 'print one JSON object').default(false);
const collect = (value: string, before: string[]): string[] => [...before, ...value.split(',')];

/** The whole command tree. */
export function program(): Command {
  const root = new Command('folioscope')
    .description(
      'A time machine for Linux memory management: recordings and bug reports run on a page-exact model of mm/.',
    )
    .version(TOOL, '-V, --version')
    .showSuggestionAfterError()
    .enablePositionalOptions()
    .addHelpText('after', `${EXAMPLES}\n${EXIT_TEXT}`);

  root
    .command('record')
    .description('record a program with perf: faults, calls, page cache, LRU, and the counters that judge the run')
    .argument('<command...>', 'the program and its arguments, after --')
    .option('-o, --output <file>', 'recording to write; gzip if it ends in .gz (default: NAME.perf.txt.gz)')
    .option('-q, --quiet', 'no progress', false)
    .addOption(json())
    .passThroughOptions()
    .action(
      act(async (command: string[], options: { output?: string; json: boolean; quiet: boolean }) => {
        const { recordCommand } = await import('./commands/record.js');
        const name = (command[0] ?? 'recording').replace(/^.*\//, '');
        return recordCommand(command, { ...options, output: options.output ?? `${name}.perf.txt.gz` });
      }),
    );

  root
    .command('run')
    .description('run a recording (perf script, strace) or a workload on the model and write its log')
    .argument('<file>', 'input, gzip or not; - for standard input')
    .option('-o, --output <log>', 'log to write (default: name of the input with .fsl, in this folder)')
    .option('--no-log', 'write no log')
    .option('--no-audit', 'do not check invariants while running')
    .option('--kernel <version>', 'kernel whose behaviour is modelled, 2.6.26 to 6.18', '6.18')
    .option('--with <behaviour>', 'turn a behaviour on (repeat or separate by commas)', collect, [])
    .option('--without <behaviour>', 'turn a behaviour off', collect, [])
    .option('--lenient', 'count lines and calls that are not understood or not modelled instead of stopping', false)
    .option('-q, --quiet', 'no progress', false)
    .addOption(json())
    .action(act(async (file: string, options: never) => (await import('./commands/run.js')).runCommand(file, options)));

  root
    .command('info')
    .description('what a log holds: header, counts, size')
    .argument('<log>')
    .addOption(json())
    .action(act(async (log: string, options: never) => (await import('./commands/info.js')).infoCommand(log, options)));

  root
    .command('cat')
    .description('print the events of a log, one a line')
    .argument('<log>')
    .option('--from <n>', 'first event number', '0')
    .option('--to <n>', 'event number to stop before')
    .option('--type <type>', 'only events of this type (repeat or separate by commas)', collect, [])
    .addOption(new Option('--json', 'one JSON object a line').default(false))
    .action(act(async (log: string, options: never) => (await import('./commands/cat.js')).catCommand(log, options)));

  root
    .command('print')
    .description('print the operations of a log as a workload that runs to the same events')
    .argument('<log>')
    .addOption(new Option('--json', 'one JSON object a line').default(false))
    .action(
      act(async (log: string, options: never) => (await import('./commands/print.js')).printCommand(log, options)),
    );

  root
    .command('verify')
    .description('check every byte of a log; --deep folds it and runs its operations again')
    .argument('<log>')
    .option('--deep', 'compare every digest and every event with a new run', false)
    .addOption(json())
    .action(
      act(async (log: string, options: never) => (await import('./commands/verify.js')).verifyCommand(log, options)),
    );

  root
    .command('recover')
    .description('save what can be read of a damaged log, or of one whose run crashed (LOG.partial), into a new one')
    .argument('<log>')
    .option('-o, --output <log>', 'log to write (default: LOG without .partial, or NAME.recovered.fsl)')
    .addOption(json())
    .action(
      act(async (log: string, options: never) => (await import('./commands/recover.js')).recoverCommand(log, options)),
    );

  root
    .command('cut')
    .description('write a stretch of events as a log of its own, which begins with the state before them')
    .argument('<log>')
    .requiredOption('--from <n>', 'first event number')
    .option('--to <n>', 'event number to stop before (default: the end)')
    .requiredOption('-o, --output <log>', 'log to write')
    .addOption(json())
    .action(act(async (log: string, options: never) => (await import('./commands/cut.js')).cutCommand(log, options)));

  root
    .command('state')
    .description('memory at one moment: processes, mappings, page-table entries')
    .argument('<log>')
    .option('--at <position>', 'after event N, or op:N after operation N (default: the end)')
    .option('--pid <pid>', 'only the address space of this task')
    .addOption(json())
    .action(
      act(async (log: string, options: never) => (await import('./commands/state.js')).stateCommand(log, options)),
    );

  root
    .command('audit')
    .description('check every invariant on a log: what was broken, by which event, operation and line')
    .argument('<log>')
    .option('--history', 'for each invariant the events after which it held, and those after which it did not', false)
    .option('--junit <file>', 'write JUnit XML, one test case for each invariant; - for standard output')
    .option('--sarif <file>', 'write SARIF 2.1.0, results at the lines of the workload; - for standard output')
    .option('--source <path>', 'with --sarif: path of the workload (default: its name, as the log has it)')
    .addOption(json())
    .action(
      act(async (log: string, options: never) => (await import('./commands/audit.js')).auditCommand(log, options)),
    );

  root
    .command('bisect')
    .description(
      'the first event that broke an invariant, or after which an expression holds; --behaviours: the change of the kernel that decides',
    )
    .argument('<log>', 'a log; with --behaviours any input that run takes, or a log')
    .option('--invariant <name>', 'an invariant of the catalogue (docs/invariants.md)')
    .option('--when <expr>', "an expression as in checks: 'mm(4711).rss_anon > 1000'")
    .option('--scan', 'look at every event: finds violations that were mended again before the end', false)
    .option('--behaviours', 'run it on two kernels and find the behaviours that make them differ', false)
    .option('--check', 'with --behaviours: does it fail an expectation?', false)
    .option('--from <kernel>', 'with --behaviours: the one kernel (default: 2.6.26), or +NAME or -NAME on top of --to')
    .option('--to <kernel>', 'with --behaviours: the other kernel (default: 6.18)')
    .option('--lenient', 'with --behaviours: skip lines that are not understood', false)
    .addOption(json())
    .action(
      act(async (log: string, options: never) => {
        const { behaviours } = options as { behaviours: boolean };
        if (behaviours) return (await import('./commands/bisect-behaviours.js')).bisectBehavioursCommand(log, options);
        return (await import('./commands/bisect.js')).bisectCommand(log, options);
      }),
    );

  root
    .command('minimise')
    .description(
      'shrink an input that breaks an invariant, fails an expectation or differs to a workload that still does',
    )
    .argument(
      '<file>',
      'recording (perf script, strace), printed run, workload or log, gzip or not; - for standard input',
    )
    .option('-o, --output <file>', 'workload to write; - for standard output (default: NAME.min.strace)')
    .option('--invariant <name>', 'keep that it breaks this one (default: the one that is broken first)')
    .option('--check', 'keep that it fails the expectation that fails first', false)
    .option('--when <expr>', 'keep that the expression holds at some moment')
    .option('--differs-from <kernel>', 'keep that it differs from another kernel, or from +BEHAVIOUR or -BEHAVIOUR')
    .option('--conform', 'keep that the running kernel differs from the model (root, cc)', false)
    .option('--kernel <version>', 'kernel whose behaviour is modelled (default: 6.18; --conform: the running one)')
    .option('--with <behaviour>', 'turn a behaviour on (repeat or separate by commas)', collect, [])
    .option('--without <behaviour>', 'turn a behaviour off', collect, [])
    .option('--trials <n>', 'candidates to run at most', '20000')
    .option('--lenient', 'skip lines that are not understood', false)
    .option('-q, --quiet', 'no notes and no progress', false)
    .addOption(json())
    .action(
      act(async (file: string, options: never) =>
        (await import('./commands/minimise.js')).minimiseCommand(file, options),
      ),
    );

  root
    .command('conform')
    .description('the same workload on the model and on the running kernel, compared after every operation (root, cc)')
    .argument('[workload...]')
    .option('--fuzz <n>', 'n random workloads instead; what differs is shrunk and written as a workload')
    .option('--seed <n>', 'of the random workloads', '1')
    .option(
      '--areas <list>',
      'what the random workloads are about, of cow,mmap,thread,cpu,gup,swap,guard,seal,migrate,ksm,thp',
      'cow,mmap',
    )
    .option('--length <n>', 'operations of a random workload', '25')
    .option('--from <n>', 'number of the first workload of the seed; a run can be made in pieces', '0')
    .option('--max-mismatches <n>', 'stop after so many workloads that differ', '1')
    .option('-o, --output <folder>', 'where shrunk workloads go', '.')
    .option('--record', 'write what the kernel showed beside each workload (NAME.observed.json)', false)
    .option('--no-deep', 'do not read the kernel’s own memory: only what /proc shows')
    .option('--kernel <version>', 'behaviours of the model (default: those of the running kernel)')
    .option('--with <name>', 'turn a behaviour of the model on', collect, [])
    .option('--without <name>', 'turn one off', collect, [])
    .option('-q, --quiet', 'no notes and no progress', false)
    .addOption(json())
    .action(
      act(async (workloads: string[], options: never) =>
        (await import('./commands/conform.js')).conformCommand(workloads, options),
      ),
    );

  root
    .command('debug')
    .description('step through a log forwards and backwards, with breakpoints, watches and questions; reads a pipe too')
    .argument('<log>')
    .option('--at <position>', 'where to begin: N, op:N, line:N, end (default: the beginning)')
    .option('--tui', 'on the whole screen: timeline, events, page map, details (docs/tui.md)', false)
    .action(
      act(async (log: string, options: never) => {
        const { tui } = options as { tui: boolean };
        if (tui) return (await import('./commands/debug-tui.js')).debugTuiCommand(log, options);
        return (await import('./commands/debug.js')).debugCommand(log, options);
      }),
    );

  root
    .command('diff')
    .description('two logs: where they part, which operations went otherwise, what differs at the end')
    .argument('<a>')
    .argument('<b>')
    .addOption(json())
    .action(
      act(async (a: string, b: string, options: never) =>
        (await import('./commands/diff.js')).diffCommand(a, b, options),
      ),
    );

  root
    .command('why')
    .description('the events behind a value, back to the lines of the workload')
    .argument('<log>')
    .argument('<expr>', "a value as in checks: 'page(2, A).anon_exclusive'")
    .option('--at <position>', 'after event N, or op:N after operation N (default: the end)')
    .addOption(json())
    .action(
      act(async (log: string, expr: string, options: never) =>
        (await import('./commands/why.js')).whyCommand(log, expr, options),
      ),
    );

  root
    .command('report')
    .description('what forks cost: `report cow LOG` tells per fork what was shared, and who copied which pages since')
    .argument('<what>', 'cow')
    .argument('<log>')
    .addOption(json())
    .action(
      act(async (what: string, log: string, options: never) =>
        (await import('./commands/report.js')).reportCommand(what, log, options),
      ),
    );

  root
    .command('projection')
    .description('what events add up to: rmap, accounting (smaps, meminfo), exclusivity, cow-cost, activity')
    .argument('<name>')
    .argument('<log>')
    .option('--at <position>', 'after event N, or op:N after operation N (default: the end)')
    .addOption(json())
    .action(
      act(async (name: string, log: string, options: never) =>
        (await import('./commands/projection.js')).projectionCommand(name, log, options),
      ),
    );

  root
    .command('behaviours')
    .description('the switches by which kernel versions differ')
    .option('--kernel <version>', 'version to show values for', '6.18')
    .addOption(json())
    .action(act(async (options: never) => (await import('./commands/behaviours.js')).behavioursCommand(options)));

  const quietExit = (command: Command): void => {
    command.exitOverride();
    command.commands.forEach(quietExit);
  };
  quietExit(root);
  return root;
}

/** A pipe that nobody reads any more ends the work, quietly. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  process.stderr.write(`folioscope: ${error.message}\n`);
  process.exit(EXIT.io);
});

try {
  const tree = program();
  if (process.argv.length <= 2) tree.outputHelp();
  else await tree.parseAsync();
  process.exitCode = exitCode;
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.input;
  else if (error instanceof UserError) {
    process.stderr.write(`folioscope: ${error.message}\n`);
    process.exitCode = error.exitCode;
  } else throw error;
}
