// An audit as JUnit XML: one test case for each invariant of the catalogue.
import { TOOL } from '../../replays/log/format.js';
import { violationText } from './audit-log.js';
import type { AuditedInvariant, AuditedLog } from './audited.js';
import { operationText } from './audited.js';

/** Violations of one invariant that are spelt out. */
const SHOWN = 20;

/** Characters that XML 1.0 cannot hold, however they are written, and control characters that it should not. */
const IMPOSSIBLE = /(?![\t\n\r])\p{Cc}|\p{Cs}|[\ufffe\uffff]/gu;
const NAMED: Readonly<Record<string, string>> = {
  ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\n': '&#10;', '\t': '&#9;', '\r': '&#13;' },
};

/** `text` as the value of an attribute, or between tags. */
const xml = (text: string): string =>
  text.replace(IMPOSSIBLE, '\ufffd').replace(/[&<>"\n\t\r]/g, (character) => NAMED[character] as string);

const attributes = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(([name, value]) => ` ${name}="${xml(String(value))}"`)
    .join('');

/**
 * The audit as a document in the form that Jenkins, GitLab and others read: failed where a rule was broken, skipped where it says
 * nothing of the log's kernel. Times are 0: an audit checks all rules at once.
 */
export function junitText(audited: AuditedLog): string {
  const { path, reader, invariants, violations } = audited;
  const totals = {
    tests: invariants.length,
    failures: invariants.filter(({ broken }) => broken > 0).length,
    errors: 0,
    skipped: invariants.filter(({ silent }) => silent !== null).length,
    time: 0,
  };
  const properties = {
    tool: TOOL,
    log: path,
    kernel: reader.header.kernel,
    source: reader.header.sourceName,
    events: reader.eventCount - reader.firstEvent,
    violations: audited.found,
    // The place to go to in the log.
    ...Object.fromEntries(
      invariants.flatMap(({ invariant }) => {
        const first = violations.find((each) => each.invariant === invariant.name);
        return first === undefined ? [] : [[`event.${invariant.name}`, first.cause]];
      }),
    ),
  };
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name: 'folioscope audit', ...totals })}>`,
    `  <testsuite${attributes({ name: path, ...totals })}>`,
    '    <properties>',
    ...Object.entries(properties).map(([name, value]) => `      <property${attributes({ name, value })}/>`),
    '    </properties>',
    ...invariants.flatMap((each) => testCase(each, audited)),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function testCase({ invariant, silent, broken, violations }: AuditedInvariant, audited: AuditedLog): string[] {
  const open = `    <testcase${attributes({ classname: 'folioscope.invariants', name: invariant.name, time: 0 })}`;
  if (silent !== null) return [`${open}>`, `      <skipped${attributes({ message: silent })}/>`, '    </testcase>'];
  if (broken === 0) return [`${open}/>`];
  const lines = violations.slice(0, SHOWN).map((each) => {
    const text = operationText(audited.reader, each);
    return `${violationText(each)}${text === null ? '' : ` (operation ${each.operation}: ${text})`}`;
  });
  if (broken > lines.length) lines.push(`and ${broken - lines.length} more`);
  const [first] = violations;
  const message = first === undefined ? `broken ${broken} times` : violationText(first);
  const known = invariant.knownBroken.map((each) => `Linux breaks it itself: ${each}`);
  const body = [`rule: ${invariant.formula}`, `relied on by: ${invariant.source}`, ...known, ...lines].map(
    // Inside of tags a line break is one.
    (line) => xml(line),
  );
  return [
    `${open}>`,
    `      <failure${attributes({ type: invariant.name, message })}>${body.join('\n')}</failure>`,
    '    </testcase>',
  ];
}
