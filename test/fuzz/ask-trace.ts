// A text run as `run` does: a summary, or one clear error.
import { check } from '../../projections/query/check.js';
import { behavioursOf } from '../../src/kernel/behaviours.js';
import { DEFAULT_MACHINE } from '../../src/kernel/kernel.js';
import { InputError } from '../../src/lib/errors.js';
import { Run, resultOf } from '../../src/sched/run.js';
import type { Format } from '../../src/workload/detect.js';
import { detectFormat, isRecording } from '../../src/workload/detect.js';
import type { LineParser, Operation } from '../../src/workload/operation.js';
import { PerfParser } from '../../src/workload/perf/translate.js';
import { SyzParser } from '../../src/workload/syz/program.js';
import { printOperation } from '../../src/workload/text/print.js';
import { TextParser } from '../../src/workload/text/workload.js';
import type { Outcome } from './ask-log.js';
import { ask } from './ask-log.js';

const nothing = (): void => undefined;
const behaviours = behavioursOf('6.18');
/** So small a machine that no workload can ask for more memory than the test may use. */
const machine = { ...DEFAULT_MACHINE, addressSpaceLimit: 2 ** 27, totalPages: 2 ** 16 };

/** The parser for a text of `format`, into `run`; each operation is printed as well. */
function parserFor(format: Format, run: Run, lenient: boolean): LineParser {
  const execute = (operation: Operation): readonly number[] | null => {
    const got = run.execute(operation);
    printOperation(operation);
    return resultOf(got);
  };
  const operation = (each: Operation): void => void execute(each);
  if (format === 'perf')
    return new PerfParser(
      {
        ...{ operation, skipped: nothing, boundary: nothing, fault: nothing },
        ...{ fact: nothing, lost: nothing, foreign: nothing },
      },
      { lenient },
    );
  if (format === 'syz') return new SyzParser({ operation: execute, skipped: nothing }, { lenient });
  return new TextParser({ operation, skipped: nothing }, { recorded: isRecording(format), lenient });
}

/** Runs `text`. `name` is what it was before it was damaged. */
export function askTrace(name: string, text: string, lenient: boolean): Outcome {
  return ask(`run ${name}${lenient ? ' --lenient' : ''}`, () => {
    const format = detectFormat(text.slice(0, 65_536));
    const counting = lenient || format === 'syz';
    const recorded = isRecording(format);
    const run = new Run({ behaviours, machine, recorded, lenient: counting, check });
    const parser = parserFor(format, run, lenient);
    let number = 0;
    for (const line of text.split('\n')) {
      if (line.length > 2 ** 20) throw new InputError({ line: number + 1 }, 'a line of more than 1 MiB');
      parser.line(line, ++number);
    }
    parser.end();
    return 'ran';
  });
}
