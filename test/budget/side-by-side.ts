// Side by side, in one run: a scale-out and a rollout of a fleet whose budget is divided by its replicas, and of ours. Writes build/bench-budget.json and .html.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { renderTable } from '../../demo/table.ts';
import { closeCluster } from '../support/kubectl.ts';
import { serviceAddress } from '../support/service.ts';
import { Stage } from '../support/stage.ts';
import { figuresOf, type Figures } from './figures.ts';
import { installed, measuredOn } from './installed.ts';
import { judge, LEAST_PEAK_SHARE, LONGEST_GAP_MS } from './judgement.ts';
import { applyPeersFleet, PEERS, PEERS_SELECTOR, peersAtRest, type PeersFleet } from './peers-fleet.ts';
import { record } from './recorder.ts';
import type { Recording } from './recording.ts';
import { percent, renderReport, seconds } from './report.ts';
import { CPU_REQUEST, MAX_CONNECTIONS, runScenario } from './run-scenario.ts';
import type { Scenario } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';

const BUILD = join(import.meta.dirname, '../../build');
const USAGE = `usage: node test/budget/side-by-side.ts [--seed N]
  --seed N  of the load's times, the same for all four runs`;

type Pair = Readonly<{ scenario: string; before: PeersFleet; after: PeersFleet }>;

/** What is compared: a scenario of ours, and the same asked of the other fleet. */
function pairOf(name: string, after: (before: PeersFleet) => Partial<PeersFleet>): Pair & { readonly ours: Scenario } {
  const ours = SCENARIOS.find((scenario) => scenario.name === name);
  if (ours === undefined) throw new Error(`no scenario ${name}`);
  const before = { replicas: ours.replicas, budget: ours.budget };
  return { scenario: name, before, after: { ...before, ...after(before) }, ours };
}

const PAIRS = [pairOf('scale-out', () => ({ replicas: 5 })), pairOf('rollout', () => ({ round: '2' }))];

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, help: { type: 'boolean' } } });
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
  if (values.help === true || !Number.isInteger(seed)) {
    console.log(USAGE);
    return values.help === true ? 0 : 2;
  }
  await installed(progress);
  progress(`seed ${seed}`);
  const recordings: Recording[] = [];
  for (const { ours, before, after } of PAIRS) {
    progress(`${ours.what}, divided by replicas`);
    recordings.push(await runPeers(ours, before, after, seed));
    progress(`${ours.what}, Poolsmith`);
    const recording = await runScenario(ours, seed);
    recordings.push({ ...recording, what: `${ours.what}, Poolsmith` });
  }
  return await finish(recordings);
}

async function runPeers(ours: Scenario, before: PeersFleet, after: PeersFleet, seed: number): Promise<Recording> {
  await using stage = await Stage.set({ prefix: 'peers', maxConnections: MAX_CONNECTIONS, cpuRequest: CPU_REQUEST });
  await applyPeersFleet(stage, before);
  await peersAtRest(stage);
  const address = await serviceAddress(stage.namespace, PEERS);
  const { what, planned, budget } = ours;
  const name = `${ours.name}-divided`;
  const run = {
    name,
    what: `${what}, divided by replicas`,
    planned,
    budget,
    seed,
    address,
    podSelector: PEERS_SELECTOR,
  };
  return await record(stage, run, async (recorder) => {
    recorder.mark('operation', ours.steps[0]?.what ?? '');
    await applyPeersFleet(stage, after);
    await peersAtRest(stage);
  });
}

async function finish(recordings: readonly Recording[]): Promise<number> {
  const rows = recordings.map((recording) => {
    const figures = figuresOf(recording);
    return { recording, figures, judgement: judge(figures, recording) };
  });
  const facts = [
    await measuredOn(),
    'Divided by replicas: a Deployment with 25 % surge and 30 s of grace, pool_size = budget / replicas in a ConfigMap whose checksum is in the pod template, so that new sizes come by a rollout.',
    `A run counts only if its peak reached ${percent(LEAST_PEAK_SHARE)} of the budget and no two samples are more than ${LONGEST_GAP_MS} ms apart.`,
  ];
  const title = 'The same operations, the budget divided by replicas and kept by Poolsmith';
  const intro = 'The same load, the same PostgreSQL, the same PgBouncer; one after the other on the same machine.';
  mkdirSync(BUILD, { recursive: true });
  writeFileSync(join(BUILD, 'bench-budget.html'), renderReport({ title, intro, facts, rows }));
  const json = rows.map(({ figures, judgement }) => ({ ...figures, ...overshootOf(figures), ...judgement }));
  writeFileSync(join(BUILD, 'bench-budget.json'), `${JSON.stringify(json, undefined, 2)}\n`);
  const header = [
    '',
    'B',
    'most',
    'overshoot',
    'samples above',
    'failed',
    'closed',
    'lost',
    'double',
    'served',
    'took s',
    'gap ms',
  ];
  const cells = rows.map(({ recording, figures: f }) => {
    const { overshoot, shareAbove } = overshootOf(f);
    const counts = [f.failed, f.closedBetween, f.lost, f.double].map(String);
    const budget = [String(f.budget), String(f.maxBackends), `+${overshoot}`, percent(shareAbove)];
    return [recording.what, ...budget, ...counts, percent(f.servedRatio), seconds(f.tookMs), String(f.maxGapMs)];
  });
  console.log(`\n${renderTable(header, cells)}\n\nbuild/bench-budget.json, build/bench-budget.html`);
  const ours = rows.filter(({ recording }) => PAIRS.some(({ scenario }) => scenario === recording.name));
  for (const { recording, judgement } of ours.filter((row) => row.judgement.verdict !== 'passed')) {
    console.log(`${recording.name} ${judgement.verdict}: ${judgement.reasons.join('; ')}`);
  }
  return ours.every(({ judgement }) => judgement.verdict === 'passed') ? 0 : 1;
}

function overshootOf(figures: Figures): { readonly overshoot: number; readonly shareAbove: number } {
  return {
    overshoot: Math.max(0, figures.maxBackends - figures.budget),
    shareAbove: figures.samples === 0 ? 0 : figures.samplesAbove / figures.samples,
  };
}

function progress(line: string): void {
  console.log(`${new Date().toISOString().slice(11, 19)} ${line}`);
}

process.exitCode = await main();
await closeCluster();
