// Measures the figures of the README on a real cluster: `node bench/main.ts [--quick] [--only NAME]...`; the figures go into build/bench.json.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { renderTable } from '../demo/table.ts';
import { ensureImages } from '../test/support/cluster-images.ts';
import { installOperator } from '../test/support/install.ts';
import { kubectlJson } from '../test/support/kubectl.ts';
import { Stage } from '../test/support/stage.ts';
import { prepareCluster } from '../test/support/test-cluster.ts';
import { applyToReady } from './apply-to-ready.ts';
import { atRest } from './at-rest.ts';
import { loadAverage, type Measurement, type Result } from './measurement.ts';
import { parameterToProved, parameterToProvedIn3 } from './parameter-to-proved.ts';
import { podReplaced } from './pod-replaced.ts';
import { PoolWatch } from './pool-watch.ts';
import { certificateRotated, passwordRotated } from './rotated.ts';
import { judge } from './targets.ts';
import { workloadToProved } from './workload-to-proved.ts';

/** At rest first: for minutes after something happened again and again, its Event is still brought up to date. */
const MEASUREMENTS: readonly Measurement[] = [
  atRest,
  applyToReady,
  workloadToProved,
  parameterToProved,
  parameterToProvedIn3,
  passwordRotated,
  certificateRotated,
  podReplaced,
];
const USAGE = `usage: node bench/main.ts [--quick] [--only NAME]...
  --quick      5 rounds each and 20 s at rest, to try it
  --only NAME  ${MEASUREMENTS.map(({ name }) => name).join(', ')}`;
const QUICK_ROUNDS = 5;
const REST_SECONDS = { full: 180, quick: 20 };
const FILE = join(import.meta.dirname, '../build/bench.json');

/** One measurement's figures, or why there are none; load averages of one minute before and after it. */
type Row = Readonly<{ at: string; result?: Result; error?: string; loadBefore: number; loadAfter: number }>;

async function main(): Promise<number> {
  const options = { quick: { type: 'boolean' }, only: { type: 'string', multiple: true }, help: { type: 'boolean' } };
  const { values } = parseArgs({ options: options as never }) as {
    readonly values: { readonly quick?: boolean; readonly only?: readonly string[]; readonly help?: boolean };
  };
  const { quick = false, only = [] } = values;
  const unknown = only.find((wanted) => MEASUREMENTS.every(({ name }) => name !== wanted));
  if (values.help === true || unknown !== undefined) {
    console.error(unknown === undefined ? USAGE : `no measurement is called ${unknown}\n${USAGE}`);
    return unknown === undefined ? 0 : 2;
  }
  const chosen = MEASUREMENTS.filter(({ name }) => only.length === 0 || only.includes(name));
  await installed();
  const rows = new Map<string, Row>();
  await using stage = await Stage.set({ prefix: 'bench', maxConnections: 200 });
  report(`measuring in namespace ${stage.namespace}`);
  for (const measurement of chosen) {
    rows.set(measurement.name, await measure(measurement, stage, quick));
    await write(rows, quick);
  }
  console.log(`\n${table(chosen, rows)}\n\n${figuresAtRest(rows)}written to build/bench.json`);
  return [...rows.values()].some(({ error }) => error !== undefined) ? 1 : 0;
}

/** The cluster, brought up if need be, with the images and the operator as they are in this checkout. */
async function installed(): Promise<void> {
  if ((process.env['KUBECONFIG'] ?? '') === '') {
    const prepared = await prepareCluster();
    if (prepared.kind === 'unavailable') throw new Error(`there is no cluster to measure on: ${prepared.why}`);
    Object.assign(process.env, prepared.env);
  }
  await ensureImages(['operator', 'pgbouncer', 'postgres'], report);
  await installOperator();
}

async function measure({ name, what, rounds, run }: Measurement, stage: Stage, quick: boolean): Promise<Row> {
  const at = new Date().toISOString();
  const loadBefore = loadAverage();
  report(`${name}: ${what} (load average ${loadBefore})`);
  try {
    await using watch = await PoolWatch.start(stage.namespace);
    const result = await run({
      ...{ stage, watch, report },
      rounds: quick ? Math.min(QUICK_ROUNDS, rounds) : rounds,
      restSeconds: quick ? REST_SECONDS.quick : REST_SECONDS.full,
    });
    report(`${name}: ${JSON.stringify(result)}`);
    return { at, result, loadBefore, loadAfter: loadAverage() };
  } catch (error) {
    report(`${name} FAILED: ${(error as Error).stack ?? String(error)}`);
    return { at, error: (error as Error).message, loadBefore, loadAfter: loadAverage() };
  }
}

/** What was measured now takes the place of what the file says of it; other measurements stay, each with the time of its own. */
async function write(rows: ReadonlyMap<string, Row>, quick: boolean): Promise<void> {
  const version = await kubectlJson<{ serverVersion: { gitVersion: string } }>(['version']);
  const about = {
    quick,
    kubernetes: version.serverVersion.gitVersion,
    processors: availableParallelism(),
  };
  const measured = [...rows].map(([name, { result, error, ...load }]) => {
    const targets = result === undefined ? [] : judge(name, result).map(({ text }) => text);
    return [name, { ...about, ...result, ...(error === undefined ? {} : { error }), ...load, targets }] as const;
  });
  const former = existsSync(FILE) ? (JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, unknown>) : {};
  const all = { ...former, ...Object.fromEntries(measured) };
  const known = Object.fromEntries(MEASUREMENTS.flatMap(({ name }) => (name in all ? [[name, all[name]]] : [])));
  mkdirSync(join(FILE, '..'), { recursive: true });
  writeFileSync(FILE, `${JSON.stringify(known, undefined, 2)}\n`);
}

function table(chosen: readonly Measurement[], rows: ReadonlyMap<string, Row>): string {
  const header = ['what is timed', 'n', 'min s', 'p50 s', 'p95 s', 'max s', 'load', 'to reach'];
  const timed = chosen.filter(({ name }) => name !== atRest.name);
  return renderTable(
    header,
    timed.map(({ name, what }) => {
      const { result, error, loadBefore = 0, loadAfter = 0 } = rows.get(name) ?? {};
      const load = `${loadBefore}–${loadAfter}`;
      if (result === undefined) return [what, '–', '–', '–', '–', '–', load, `FAILED: ${firstLine(error)}`];
      const seconds = (figure: string): string => (Number(result[figure]) / 1000).toFixed(2);
      const times = ['minMs', 'p50Ms', 'p95Ms', 'maxMs'].map(seconds);
      return [what, String(result['n']), ...times, load, verdicts(name, result)];
    }),
  );
}

function figuresAtRest(rows: ReadonlyMap<string, Row>): string {
  const row = rows.get(atRest.name);
  const longest = rows.get(workloadToProved.name)?.result?.['longestTransactionMs'];
  const lines = longest === undefined ? [] : [`longest transaction while sizes changed: ${longest} ms`];
  if (row?.error !== undefined) lines.push(`at rest: FAILED: ${firstLine(row.error)}`);
  if (row?.result !== undefined) {
    const { restSeconds, writesAtRest, leaseWritesPerMinute, operatorRssMiB, operatorCpuAtRest } = row.result;
    lines.push(
      `at rest for ${restSeconds} s (two fleets; load ${row.loadBefore}–${row.loadAfter}): ${writesAtRest} writes but its Lease, ${leaseWritesPerMinute} of the Lease a minute, ${operatorRssMiB} MiB resident, ${operatorCpuAtRest} processors`,
      `  ${verdicts(atRest.name, row.result)}`,
    );
  }
  return lines.map((line) => `${line}\n`).join('');
}

function verdicts(name: string, result: Result): string {
  return judge(name, result)
    .map(({ text }) => text)
    .join('; ');
}

function firstLine(text: string | undefined): string {
  return text?.split('\n')[0] ?? 'not measured';
}

function report(line: string): void {
  console.log(`${new Date().toISOString().slice(11, 19)} ${line}`);
}

process.exitCode = await main();
