#!/usr/bin/env node
// Runs simulated histories on all cores with progress, prints what was covered, and for a failing one its minimal story and how to replay it.
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { addCoverage, coverageTable, leastCovered, type Coverage } from './coverage.ts';
import { drawHistory, type History } from './history.ts';
import { live } from './life.ts';
import { minimise } from './minimise.ts';
import type { Report } from './worker.ts';

const USAGE = `usage: node test/sim/main.ts [--histories N] [--seed S] [--jobs N] [--require-coverage N]
       node test/sim/main.ts --replay SEED [--keep JSON]

Random histories of one fleet under faults, in virtual time; the promises are checked after every step.
  --histories N          how many (300)
  --seed S               of the first; the next ones follow it (a new one each day)
  --keep-going           list every failing history instead of stopping at the first and cutting it down
  --require-coverage N   fail unless every fault struck during every operation at least so often
  --replay SEED          one history, told line by line
  --keep JSON            only these rounds and faults of it, as a failing run prints them`;

const EVERY_MS = 5_000;
/** A failing history is cut down for so long at most. */
const CUTTING_MS = 60_000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      histories: { type: 'string', default: '300' },
      seed: { type: 'string' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      'require-coverage': { type: 'string', default: '0' },
      'keep-going': { type: 'boolean', default: false },
      replay: { type: 'string' },
      keep: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    console.log(USAGE);
    return 0;
  }
  if (values.replay !== undefined) return replay(Number(values.replay), values.keep);
  const count = positive('--histories', values.histories);
  const first = values.seed === undefined ? Math.floor(Date.now() / 86_400_000) * 100_000 : Number(values.seed);
  return runAll(count, first, {
    jobs: positive('--jobs', values.jobs),
    required: Number(values['require-coverage']),
    keepGoing: values['keep-going'],
  });
}

function positive(option: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`${option} is ${text}; it must be an integer from 1`);
  return number;
}

type Running = { readonly jobs: number; readonly required: number; readonly keepGoing: boolean };

async function runAll(count: number, first: number, { jobs, required, keepGoing }: Running): Promise<number> {
  const startedMs = performance.now();
  console.log(`${count} histories from seed ${first} on, ${jobs} at a time`);
  const totals = { done: 0, checks: 0, turns: 0, virtualMs: 0, peakShare: 0 };
  const coverage: Coverage = {};
  const failing: number[] = [];
  let next = first;
  let toldMs = startedMs;
  const take = (): number | undefined =>
    next < first + count && (keepGoing || failing.length === 0) ? next++ : undefined;
  await Promise.all(
    Array.from({ length: Math.min(jobs, count) }, () =>
      work(take, (report) => {
        totals.done += 1;
        totals.checks += report.checks;
        totals.turns += report.turns;
        totals.virtualMs += report.virtualMs;
        totals.peakShare = Math.max(totals.peakShare, report.peakShare);
        addCoverage(coverage, report.coverage);
        if (report.violation !== undefined) {
          failing.push(report.seed);
          if (keepGoing) console.log(`history ${report.seed} fails: ${report.violation}`);
        }
        if (performance.now() - toldMs > EVERY_MS) {
          toldMs = performance.now();
          const perSecond = totals.done / ((toldMs - startedMs) / 1000);
          const restSeconds = Math.round((count - totals.done) / perSecond);
          console.log(`${totals.done} of ${count}, ${perSecond.toFixed(1)} a second, ${restSeconds} s to go`);
        }
      }),
    ),
  );
  const seconds = (performance.now() - startedMs) / 1000;
  const [seed] = failing.sort((a, b) => a - b);
  if (seed !== undefined && !keepGoing) return tellFailure(seed);
  if (seed !== undefined) {
    console.log(`${failing.length} of ${totals.done} histories fail: ${failing.join(', ')}`);
    return 1;
  }
  const hours = totals.virtualMs / 3_600_000;
  console.log(`\nhow often each fault struck during each operation:\n${coverageTable(coverage)}\n`);
  console.log(
    `${totals.done} histories without a violation in ${seconds.toFixed(0)} s: ${totals.turns} turns of the controller, ${totals.checks} checks, ${hours.toFixed(0)} hours of virtual time; at most ${(totals.peakShare * 100).toFixed(0)} % of the budget in use`,
  );
  const least = leastCovered(coverage);
  if (least >= required) return 0;
  console.log(`the emptiest cell of the table has ${least}, ${required} are required: run more histories`);
  return 1;
}

/** One process that lives one history after the other, so that a slow one holds up nothing else. */
async function work(take: () => number | undefined, onReport: (report: Report) => void): Promise<void> {
  const child = fork(new URL('./worker.ts', import.meta.url));
  const ended = Promise.withResolvers<undefined>();
  const next = (): void => {
    const seed = take();
    if (seed === undefined) child.disconnect();
    else child.send(seed);
  };
  child.on('message', (report: Report) => {
    onReport(report);
    next();
  });
  child.on('exit', (code) => {
    if (code === 0) ended.resolve(undefined);
    else ended.reject(new Error(`a worker ended with ${String(code)}`));
  });
  next();
  await ended.promise;
}

async function tellFailure(seed: number): Promise<number> {
  const history = drawHistory(seed);
  const { violation } = await live(history);
  console.log(`\nhistory ${seed} fails: ${violation ?? 'not here, though it did in the worker'}`);
  console.log('cutting it down …');
  const stopMs = performance.now() + CUTTING_MS;
  const fails = async (candidate: History): Promise<boolean> =>
    performance.now() < stopMs && (await live(candidate)).violation !== undefined;
  const smallest = await minimise(history, fails);
  const outcome = await live(smallest);
  tell(smallest, outcome.story);
  console.log(`\nviolated: ${outcome.violation ?? 'nothing'}`);
  console.log(`replay: node test/sim/main.ts --replay ${seed} --keep '${keptOf(history, smallest)}'`);
  return 1;
}

/** Which rounds of the drawn history are left, and which faults of each. */
function keptOf(whole: History, smallest: History): string {
  const kept = smallest.rounds.map((round) => {
    const index = whole.rounds.findIndex(({ operation }) => operation === round.operation);
    return [index, round.faults.map((fault) => whole.rounds[index]?.faults.indexOf(fault) ?? -1)];
  });
  return JSON.stringify(kept);
}

async function replay(seed: number, keep: string | undefined): Promise<number> {
  const whole = drawHistory(seed);
  const kept = keep === undefined ? undefined : (JSON.parse(keep) as readonly (readonly [number, readonly number[]])[]);
  const rounds = kept?.flatMap(([index, faults]) => {
    const round = whole.rounds[index];
    return round === undefined ? [] : [{ ...round, faults: faults.flatMap((fault) => round.faults[fault] ?? []) }];
  });
  const history = rounds === undefined ? whole : { ...whole, rounds };
  const { story, violation } = await live(history);
  tell(history, story);
  console.log(violation === undefined ? '\nnothing was violated' : `\nviolated: ${violation}`);
  return violation === undefined ? 0 : 1;
}

function tell(history: History, story: readonly string[]): void {
  console.log(`\nthe fleet: ${JSON.stringify(history.setup)}`);
  history.rounds.forEach(({ operation, faults, lastsMs }, index) => {
    console.log(`round ${index + 1}, ${lastsMs} ms: ${JSON.stringify(operation)}`);
    for (const fault of faults) console.log(`    with ${JSON.stringify(fault)}`);
  });
  console.log(`\n${story.join('\n')}`);
}

process.exitCode = await main();
