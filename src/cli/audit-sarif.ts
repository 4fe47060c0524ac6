// An audit as SARIF 2.1.0: a rule for each invariant, a result for each violation at the line of the workload.
import { TOOL } from '../../replays/log/format.js';
import type { Invariant, Violation } from '../../projections/invariants/invariant.js';
import { violationText } from './audit-log.js';
import type { AuditedLog } from './audited.js';
import { SEVERITIES, operationText } from './audited.js';

const SCHEMA = 'https://json.schemastore.org/sarif-2.1.0.json';

/** Severity as SARIF has it. */
const LEVELS: Readonly<Record<Invariant['severity'], 'error' | 'warning'>> = { 1: 'error', 2: 'error', 3: 'warning' };

/** A path as a relative reference of RFC 3986; one from the root as a file URI. */
function uriOf(path: string): string {
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  return path.startsWith('/') ? `file://${encoded}` : encoded;
}

/** What a rule says, for people. */
function helpOf({ formula, source, since, needs, severity, knownBroken, at }: Invariant): readonly string[] {
  const when = {
    event: 'after every event',
    unlock: 'when the lock of its subject is released',
    operation: 'when no operation is under way',
    quiescent: 'when nothing at all is under way',
  }[at];
  return [
    `Rule: ${formula}.`,
    `Linux relies on it in: ${source}.`,
    `It must hold ${when}${since === 'all' ? '' : `, since Linux ${since}`}${needs.length === 0 ? '' : ` (${needs.join(', ')})`}.`,
    `Severity ${severity}: ${SEVERITIES[severity]}.`,
    ...knownBroken.map((each) => `Linux itself breaks it: ${each}.`),
  ];
}

function ruleOf(invariant: Invariant): object {
  const help = helpOf(invariant);
  return {
    id: invariant.name,
    shortDescription: { text: invariant.formula },
    fullDescription: { text: help.slice(0, 3).join(' ') },
    help: { text: help.join('\n'), markdown: help.join('\n\n') },
    defaultConfiguration: { level: LEVELS[invariant.severity] },
    properties: { tags: ['memory-management', ...invariant.aliases], since: invariant.since },
  };
}

/**
 * The audit as a SARIF log of one run.
 * @param source where the workload is for whoever reads the results; the log knows its name only.
 */
export function sarifOf(audited: AuditedLog, source: string): object {
  const { path, reader, invariants, violations, found } = audited;
  const rules = invariants.filter(({ silent }) => silent === null).map(({ invariant }) => invariant);
  const more = found - violations.length;
  const [name, version] = TOOL.split(' ');
  return {
    $schema: SCHEMA,
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name, version, rules: rules.map(ruleOf) } },
        invocations: [
          {
            executionSuccessful: true,
            toolExecutionNotifications:
              more === 0
                ? []
                : [{ level: 'warning', message: { text: `${more} more violations were found than are listed` } }],
          },
        ],
        artifacts: [{ location: { uri: uriOf(source) } }, { location: { uri: uriOf(path) } }],
        results: violations.map((each) => resultOf(each, rules, audited, source)),
        properties: { kernel: reader.header.kernel, events: reader.eventCount - reader.firstEvent },
      },
    ],
  };
}

function resultOf(
  violation: Violation,
  rules: readonly Invariant[],
  { path, reader }: AuditedLog,
  source: string,
): object {
  const { invariant, subject, expected, found, event, cause, operation, line } = violation;
  const ruleIndex = rules.findIndex(({ name }) => name === invariant);
  const rule = rules[ruleIndex] as Invariant;
  const text = operationText(reader, violation);
  // A violation that no line caused is one of the log.
  const physicalLocation =
    line > 0
      ? { artifactLocation: { uri: uriOf(source), index: 0 }, region: { startLine: line } }
      : { artifactLocation: { uri: uriOf(path), index: 1 } };
  return {
    ruleId: invariant,
    ruleIndex,
    level: LEVELS[rule.severity],
    message: { text: `${violationText(violation)}${text === null ? '' : `, by: ${text}`}` },
    locations: [{ physicalLocation, logicalLocations: [{ fullyQualifiedName: subject, kind: 'object' }] }],
    partialFingerprints: { 'invariantAndSubject/v1': `${invariant} ${subject}` },
    properties: { event: cause, seenAfterEvent: event, operation, expected, found },
  };
}
