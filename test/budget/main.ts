// Proves the budget on a real cluster under load and faults: `node test/budget/main.ts [--only NAME]...`; build/scenarios.json and build/report.html tell.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { renderTable } from '../../demo/table.ts';
import { closeCluster } from '../support/kubectl.ts';
import { figuresOf } from './figures.ts';
import { installed, measuredOn } from './installed.ts';
import { judge, LEAST_PEAK_SHARE, LONGEST_GAP_MS } from './judgement.ts';
import type { Recording } from './recording.ts';
import { COLUMNS, percent, renderReport, type ReportRow } from './report.ts';
import { runScenario } from './run-scenario.ts';
import type { Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';

const BUILD = join(import.meta.dirname, '../../build');
const RECORDINGS = join(BUILD, 'scenarios');
const USAGE = `usage: node test/budget/main.ts [--only NAME]... [--seed N]
  --only NAME  these scenarios alone, in the order of the table
  --seed N     of the load's times; printed at each run
  --list       the scenarios
  --render     no run: table, scenarios.json and report.html from the recordings in build/scenarios`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      seed: { type: 'string' },
      list: { type: 'boolean' },
      render: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  const { only = [], seed: seedText } = values;
  if (values.help === true) {
    console.log(USAGE);
    return 0;
  }
  if (values.list === true) {
    console.log(SCENARIOS.map(({ name, what }) => `${name.padEnd(32)} ${what}`).join('\n'));
    return 0;
  }
  const unknown = only.find((wanted) => SCENARIOS.every(({ name }) => name !== wanted));
  const seed = seedText === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(seedText);
  if (unknown !== undefined || !Number.isInteger(seed)) {
    console.error(unknown === undefined ? `--seed: ${seedText ?? ''} is no whole number` : `no scenario ${unknown}`);
    console.error(USAGE);
    return 2;
  }
  const chosen = SCENARIOS.filter(({ name }) => only.length === 0 || only.includes(name));
  if (values.render === true) return finish(chosen, await measuredOn());
  await installed(progress);
  if (only.length === 0) rmSync(RECORDINGS, { recursive: true, force: true });
  for (const [index, scenario] of chosen.entries()) {
    progress(`${index + 1}/${chosen.length} ${scenario.name}: ${scenario.what} (seed ${seed})`);
    try {
      const recording = await runScenario(scenario, seed);
      keep(recording);
      progress(inOneLine(rowOf(recording)));
    } catch (error) {
      // A stage that could not be set: the others still have their say, and this one is missed at the end.
      forget(scenario.name);
      progress(`  ${scenario.name} could not be run: ${(error as Error).stack ?? String(error)}`);
    } finally {
      await scenario.restore?.();
    }
  }
  return finish(chosen, await measuredOn());
}

function rowOf(recording: Recording): ReportRow {
  const figures = figuresOf(recording);
  return { recording, figures, judgement: judge(figures, recording) };
}

/** All recordings that there are make the page, each with its time; those that were asked for make the exit code. */
function finish(chosen: readonly Scenario[], measured: string): number {
  const rows = SCENARIOS.flatMap(({ name }) => readRecording(name)).map(rowOf);
  mkdirSync(BUILD, { recursive: true });
  writeFileSync(
    join(BUILD, 'scenarios.json'),
    `${JSON.stringify(
      rows.map(({ figures, judgement, recording }) => ({
        ...figures,
        ...judgement,
        at: new Date(recording.window.operationMs).toISOString(),
      })),
      undefined,
      2,
    )}\n`,
  );
  const facts = [
    measured,
    'Load: twice as many clients as the budget has connections, each beginning its next transaction at once, or, at half of saturation, at random times of a schedule that keeps half of the connections busy; half on node-postgres, half on postgres.js; of each half renews its connections every 2 s at most (the drain window is 5 s), half keeps them for ever.',
    'Transactions write a unique token and are busy inside for 1 ms to 2 s (log-uniform); afterwards PostgreSQL is asked for every token.',
    `A run counts only if its peak reached ${percent(LEAST_PEAK_SHARE)} of the budget (not at half of saturation) and no two samples are more than ${LONGEST_GAP_MS} ms apart.`,
  ];
  const intro =
    'PostgreSQL’s backends, counted in pg_stat_activity many times a second, while the fleet is changed and struck under load.';
  writeFileSync(
    join(BUILD, 'report.html'),
    renderReport({ title: 'The budget under load and faults', intro, facts, rows }),
  );
  const header = COLUMNS.map(({ title }) => title);
  console.log(
    `\n${renderTable(
      header,
      rows.map((row) => COLUMNS.map(({ text }) => text(row))),
    )}\n`,
  );
  const notPassed = rows.filter(({ judgement }) => judgement.verdict !== 'passed');
  for (const { recording, judgement } of notPassed) {
    console.log(`${recording.name} ${judgement.verdict}: ${judgement.reasons.join('; ')}`);
  }
  const missing = chosen.filter(({ name }) => rows.every(({ recording }) => recording.name !== name));
  for (const { name } of missing) console.log(`${name}: not run`);
  console.log(`${rows.length - notPassed.length} of ${rows.length} passed; build/scenarios.json, build/report.html`);
  const passed = rows.filter(({ judgement }) => judgement.verdict === 'passed').map(({ recording }) => recording.name);
  return chosen.every(({ name }) => passed.includes(name)) ? 0 : 1;
}

function inOneLine({ figures, judgement, recording }: ReportRow): string {
  const { maxBackends, budget, samples, maxGapMs, transactions, failed, closedBetween, lost, double } = figures;
  return `  ${judgement.verdict}: at most ${maxBackends} of ${budget} backends in ${samples} samples (gap ${maxGapMs} ms), ${transactions} transactions, ${failed} failed, ${closedBetween} closed between, ${lost} lost, ${double} double, ${(figures.tookMs / 1000).toFixed(1)} s ${judgement.reasons.join('; ')} ${JSON.stringify(recording.errors)}`;
}

function keep(recording: Recording): void {
  mkdirSync(RECORDINGS, { recursive: true });
  writeFileSync(join(RECORDINGS, `${recording.name}.json`), JSON.stringify(recording));
}

function forget(name: string): void {
  rmSync(join(RECORDINGS, `${name}.json`), { force: true });
}

function readRecording(name: string): readonly Recording[] {
  const file = join(RECORDINGS, `${name}.json`);
  return existsSync(file) ? [JSON.parse(readFileSync(file, 'utf8')) as Recording] : [];
}

function progress(line: string): void {
  console.log(`${new Date().toISOString().slice(11, 19)} ${line}`);
}

process.exitCode = await main();
await closeCluster();
