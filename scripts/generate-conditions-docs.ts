// Writes docs/reference/conditions.md from the closed table of conditions, reasons and events.
import { writeFileSync } from 'node:fs';
import { CONDITIONS, EVENTS, REASONS, statusesOf, type ConditionType, type Reason } from '../src/api/reasons.ts';

export const CONDITIONS_DOCS_FILE = new URL('../docs/reference/conditions.md', import.meta.url);

const types = Object.keys(CONDITIONS) as ConditionType[];
const reasons = Object.keys(REASONS) as Reason[];

export function renderConditionsDocs(): string {
  return (
    [
      '# Conditions, reasons and events',
      'Generated from `src/api/reasons.ts`. Do not edit.',
      'Every PoolConfig has these conditions. `lastTransitionTime` moves only when the status changes, `observedGeneration` tells which spec a condition speaks of. ' +
        '`Reconciling` and `Stalled` are there only while they are true, as kstatus (and with it Flux and Argo CD) expects.',
      '## Conditions',
      ...types.map(conditionSection),
      '## Reasons',
      table(['Reason', 'Meaning', 'What to do'], reasons.map(reasonRow)),
      '## Events',
      'Events are told when something changes, not while it lasts. A condition that turns bad is also told as a Warning event with its reason.',
      table(
        ['Event', 'Type', 'Meaning'],
        Object.entries(EVENTS).map(([name, { type, meaning }]) => [`\`${name}\``, type, meaning]),
      ),
      '',
    ]
      .join('\n\n')
      .trimEnd() + '\n'
  );
}

function conditionSection(type: ConditionType): string {
  const rows = reasons
    .filter((reason) => statusesOf(type, reason).length > 0)
    .map((reason) => [`\`${reason}\``, statusesOf(type, reason).join(', ')]);
  return `### ${type}\n\n${CONDITIONS[type].meaning}\n\n${table(['Reason', 'Status'], rows)}`;
}

function reasonRow(reason: Reason): string[] {
  const entry: { readonly meaning: string; readonly remedy?: string } = REASONS[reason];
  return [`\`${reason}\``, entry.meaning, entry.remedy ?? ''];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

if (import.meta.filename === process.argv[1]) writeFileSync(CONDITIONS_DOCS_FILE, renderConditionsDocs());
