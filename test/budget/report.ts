// The page that people look at: the table, then one picture per scenario. Text in, HTML out; it needs no other file.
import type { Figures } from './figures.ts';
import type { Judgement } from './judgement.ts';
import type { Recording } from './recording.ts';
import { timelineChart } from './timeline-chart.ts';

export type ReportRow = Readonly<{ recording: Recording; figures: Figures; judgement: Judgement }>;

export type ReportInput = Readonly<{
  title: string;
  intro: string;
  /** Where and when it was measured. */
  facts: readonly string[];
  rows: readonly ReportRow[];
  /** More HTML between table and pictures. */
  extra?: string;
}>;

/** A column of the tables: its title, what it means, and its text. */
export type Column = Readonly<{ title: string; meaning: string; text: (row: ReportRow) => string }>;

export const COLUMNS: readonly Column[] = [
  { title: 'scenario', meaning: 'what was done', text: ({ recording }) => recording.what },
  { title: 'verdict', meaning: 'whether it is proved', text: ({ judgement }) => judgement.verdict },
  { title: 'B', meaning: 'the largest budget in force', text: ({ figures }) => String(figures.budget) },
  { title: 'max', meaning: 'most backends in any sample', text: ({ figures }) => String(figures.maxBackends) },
  {
    title: 'peak',
    meaning: 'largest share of the budget then in force',
    text: ({ figures }) => percent(figures.peakShare),
  },
  {
    title: 'above',
    meaning: 'samples above the budget then in force, over all samples',
    text: ({ figures }) => `${figures.samplesAbove}/${figures.samples}`,
  },
  { title: 'gap ms', meaning: 'longest time without a sample', text: ({ figures }) => String(figures.maxGapMs) },
  { title: 'done', meaning: 'transactions done', text: ({ figures }) => String(figures.transactions) },
  { title: 'failed', meaning: 'attempts that ended in an error', text: ({ figures }) => String(figures.failed) },
  {
    title: 'closed',
    meaning: 'connections kept for ever that were found closed before a transaction had begun',
    text: ({ figures }) => String(figures.closedBetween),
  },
  { title: 'lost', meaning: 'acknowledged, but not in the table', text: ({ figures }) => String(figures.lost) },
  { title: 'double', meaning: 'in the table twice', text: ({ figures }) => String(figures.double) },
  {
    title: 'p99 ms',
    meaning: 'time added to a transaction (waiting for a server included), before → during',
    text: ({ figures }) => `${figures.p99BeforeMs} → ${figures.p99DuringMs}`,
  },
  {
    title: 'served',
    meaning: 'throughput during over before; at half of saturation: done over due',
    text: ({ figures }) => percent(figures.servedRatio),
  },
  {
    title: 'silent s',
    meaning: 'whole seconds of the operation without a transaction',
    text: ({ figures }) => String(figures.silentSeconds),
  },
  {
    title: 'converge s',
    meaning: 'from the last pod’s becoming Ready (or the operation) to rest',
    text: ({ figures }) => seconds(figures.convergeMs),
  },
  { title: 'took s', meaning: 'from the operation to rest', text: ({ figures }) => seconds(figures.tookMs) },
  {
    title: 'orphans',
    meaning: 'most backends that PostgreSQL kept of a killed PgBouncer, and for how long',
    text: ({ figures }) => (figures.orphans === 0 ? '–' : `${figures.orphans}, ${seconds(figures.orphansMs)} s`),
  },
];

/** Pure. */
export function renderReport({ title, intro, facts, rows, extra = '' }: ReportInput): string {
  const passed = rows.filter(({ judgement }) => judgement.verdict === 'passed').length;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escape(title)}</h1>
<p>${escape(intro)}</p>
<p class="verdict ${passed === rows.length ? 'passed' : 'failed'}">${passed} of ${rows.length} passed</p>
<ul class="facts">${facts.map((fact) => `<li>${escape(fact)}</li>`).join('')}</ul>
${table(rows)}
<dl>${COLUMNS.map((column) => `<dt>${escape(column.title)}</dt><dd>${escape(column.meaning)}</dd>`).join('')}</dl>
${extra}
${rows.map(section).join('\n')}
</body>
</html>
`;
}

function table(rows: readonly ReportRow[]): string {
  const head = COLUMNS.map(({ title, meaning }) => `<th title="${escape(meaning)}">${escape(title)}</th>`).join('');
  const body = rows.map((row) => {
    const cells = COLUMNS.map(({ text }, index) =>
      index === 0
        ? `<td><a href="#${escape(row.recording.name)}">${escape(text(row))}</a></td>`
        : `<td>${escape(text(row))}</td>`,
    );
    return `<tr class="${row.judgement.verdict.replaceAll(' ', '-')}">${cells.join('')}</tr>`;
  });
  return `<table><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table>`;
}

function section({ recording, figures, judgement }: ReportRow): string {
  const { name, what, errors, operatorActions, window, error } = recording;
  const reasons = judgement.reasons.length === 0 ? '' : `: ${judgement.reasons.join('; ')}`;
  const list = Object.entries(errors).map(([text, count]) => `<li>${count} × ${escape(text)}</li>`);
  const actions = actionLines(operatorActions, window.operationMs);
  return `<section id="${escape(name)}">
<h2>${escape(what)} <span class="verdict ${judgement.verdict.replaceAll(' ', '-')}">${escape(judgement.verdict + reasons)}</span></h2>
<p>At most ${figures.maxBackends} backends of ${figures.budget}; ${figures.transactions} transactions, ${figures.failed} failed, ${figures.lost} lost, ${figures.double} double.</p>
${orphansOf(figures)}
${timelineChart(recording)}
${error === undefined ? '' : `<pre>${escape(error)}</pre>`}
${list.length === 0 ? '' : `<details><summary>errors that clients met</summary><ul>${list.join('')}</ul></details>`}
${actions.length === 0 ? '' : `<details><summary>what the operator did</summary><pre>${actions.join('\n')}</pre></details>`}
</section>`;
}

/** In the order of their first time; what was done again and again until it worked is one line. */
function actionLines(actions: Recording['operatorActions'], operationMs: number): readonly string[] {
  const times = new Map<string, number[]>();
  for (const { atMs, text } of actions) times.set(text, [...(times.get(text) ?? []), atMs - operationMs]);
  return [...times].map(([text, all]) => {
    const again = all.length > 1 ? ` (${all.length} times, until ${seconds(all.at(-1) ?? 0)} s)` : '';
    return `${seconds(all[0] ?? 0).padStart(6)} s  ${escape(text)}${again}`;
  });
}

/** What became of the budget while PostgreSQL kept what a killed PgBouncer had. */
function orphansOf({ orphans, orphansMs, mostWithOrphans, budget, samplesAbove }: Figures): string {
  if (orphans === 0) return '';
  const kept = `PostgreSQL kept ${orphans} backends of the killed PgBouncer, the last of them for ${seconds(orphansMs)} s.`;
  const held = `With them at most ${mostWithOrphans} of ${budget} were open: their room was given to nobody before they had ended.`;
  const above = `With them up to ${mostWithOrphans} of ${budget} were open, above the budget in ${samplesAbove} samples.`;
  return `<p>${kept} ${samplesAbove === 0 ? held : above}</p>`;
}

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1240px; padding: 0 1rem; color: #1d1d1f; background: #fff; }
table { border-collapse: collapse; font-size: 12.5px; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 6px; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; }
tr.failed td:nth-child(2), .verdict.failed { color: #c2185b; font-weight: 600; }
tr.passed td:nth-child(2), .verdict.passed { color: #2f7d32; font-weight: 600; }
tr.does-not-count td:nth-child(2), .verdict.does-not-count { color: #b26a00; font-weight: 600; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .2rem; } h2 .verdict { font-size: .85rem; }
dl { columns: 3; font-size: 12px; color: #555; } dt { font-weight: 600; break-after: avoid; } dd { margin: 0 0 .3rem; }
svg { max-width: 100%; height: auto; } pre { font-size: 11.5px; overflow-x: auto; } .facts { color: #555; font-size: 13px; }
`;

export function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

export function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

export function escape(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
