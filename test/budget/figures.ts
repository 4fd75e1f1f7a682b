// The figures of one run, worked out from its recording: a row of the table and of scenarios.json.
import { budgetAt, totalOf, type Attempt, type Recording, type Sample } from './recording.ts';

export type Figures = Readonly<{
  name: string;
  planned: boolean;
  /** The largest budget in force during the run. */
  budget: number;
  maxBackends: number;
  /** Largest share of the budget in force that was in use. */
  peakShare: number;
  samples: number;
  maxGapMs: number;
  transactions: number;
  /** Attempts that ended in an error, but for `closedBetween`. */
  failed: number;
  lost: number;
  double: number;
  /** Of the time that a transaction took beyond what it meant to take. */
  p99BeforeMs: number;
  p99DuringMs: number;
  /** Transactions per second during the operation over those before it; over what was due then, where clients keep to a schedule. */
  servedRatio: number;
  /** Whole seconds of the operation in which not one transaction was done. */
  silentSeconds: number;
  /** Share of the open connections that transactions kept busy before the operation. */
  busyShareBefore: number;
  /** From the last pod's becoming Ready (or the operation, where no pod does) to the end of all of it. */
  convergeMs: number;
  /** From the operation to the end of all of it. */
  tookMs: number;
  /** Connections that clients which keep theirs for ever found closed before a transaction had begun. */
  closedBetween: number;
  /** Cut at COMMIT: only the table knows. */
  unknown: number;
  /** Samples above the budget then in force; and those that the backends of killed PgBouncers don't explain. */
  samplesAbove: number;
  samplesAboveUnexplained: number;
  /** Most backends of killed PgBouncers that PostgreSQL still kept, and for how long it did. */
  orphans: number;
  orphansMs: number;
  /** Most backends in all while there were such. */
  mostWithOrphans: number;
}>;

export function figuresOf(recording: Recording): Figures {
  const { window, budget, attempts, audit } = recording;
  const samples = recording.samples.filter(({ atMs }) => atMs >= window.beforeMs && atMs <= window.endMs);
  const inForce = (sample: Sample): number => budgetAt(budget, sample.atMs);
  const before = attemptsIn(attempts, window.beforeMs, window.operationMs);
  const duringEndMs = duringEnd(recording);
  const during = attemptsIn(attempts, window.operationMs, duringEndMs);
  const counted = attemptsIn(attempts, window.beforeMs, Infinity);
  const orphaned = samples.filter(({ orphans }) => orphans > 0);
  return {
    name: recording.name,
    planned: recording.planned,
    budget: Math.max(0, ...budget.map(({ connections }) => connections)),
    maxBackends: Math.max(0, ...samples.map(totalOf)),
    peakShare: round(Math.max(0, ...samples.map((sample) => totalOf(sample) / inForce(sample))), 3),
    samples: samples.length,
    maxGapMs: Math.round(longestGapMs(samples, window)),
    transactions: counted.filter(({ outcome }) => outcome === 'done').length,
    failed: counted.filter(({ outcome }) => outcome === 'failed').length,
    lost: audit.lost,
    double: audit.double,
    p99BeforeMs: Math.round(percentile(addedTimes(before), 0.99)),
    p99DuringMs: Math.round(percentile(addedTimes(during), 0.99)),
    servedRatio: round(
      recording.offered === 'half'
        ? during.filter(({ outcome }) => outcome === 'done').length /
            attempts.filter(({ dueMs }) => dueMs >= window.operationMs && dueMs < duringEndMs).length
        : perSecond(during, window.operationMs, duringEndMs) / perSecond(before, window.beforeMs, window.operationMs),
      3,
    ),
    silentSeconds: silentSeconds(during, window.operationMs, duringEndMs),
    busyShareBefore: round(
      sum(before.map(({ insideMs }) => insideMs)) /
        (mean(samples.filter(({ atMs }) => atMs < window.operationMs).map(totalOf)) *
          (window.operationMs - window.beforeMs)),
      2,
    ),
    convergeMs: Math.round(window.doneMs - lastReadyMs(recording)),
    tookMs: Math.round(window.doneMs - window.operationMs),
    closedBetween: counted.filter(({ outcome }) => outcome === 'closedBetween').length,
    unknown: audit.unknown,
    samplesAbove: samples.filter((sample) => totalOf(sample) > inForce(sample)).length,
    samplesAboveUnexplained: samples.filter((sample) => totalOf(sample) - sample.orphans > inForce(sample)).length,
    orphans: Math.max(0, ...samples.map(({ orphans }) => orphans)),
    mostWithOrphans: Math.max(0, ...orphaned.map(totalOf)),
    orphansMs: Math.round((orphaned.at(-1)?.atMs ?? 0) - (orphaned[0]?.atMs ?? 0)),
  };
}

/** By rank; 0 of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** In a shorter time what is due before its end and done after it would be a large part of what is due. */
export const HALF_LEAST_MS = 10_000;

function duringEnd({ offered, window: { operationMs, doneMs } }: Recording): number {
  return offered === 'half' ? Math.max(doneMs, operationMs + HALF_LEAST_MS) : doneMs;
}

function silentSeconds(attempts: readonly Attempt[], fromMs: number, toMs: number): number {
  const loud = new Set(
    attempts.flatMap(({ outcome, endedMs }) => (outcome === 'done' ? [Math.floor((endedMs - fromMs) / 1000)] : [])),
  );
  const whole = Math.floor((toMs - fromMs) / 1000);
  return Array.from({ length: whole }, (_, second) => second).filter((second) => !loud.has(second)).length;
}

function mean(values: readonly number[]): number {
  return sum(values) / Math.max(1, values.length);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Between two looks, and from the window's ends to the next look. */
function longestGapMs(samples: readonly Sample[], window: Recording['window']): number {
  const times = [window.beforeMs, ...samples.map(({ atMs }) => atMs), window.endMs];
  return Math.max(0, ...times.slice(1).map((atMs, index) => atMs - (times[index] ?? atMs)));
}

function lastReadyMs({ pods, window }: Recording): number {
  const ready = pods.flatMap(({ readyMs }) => (readyMs === undefined || readyMs > window.doneMs ? [] : [readyMs]));
  return Math.max(window.operationMs, ...ready);
}

function attemptsIn(attempts: readonly Attempt[], fromMs: number, toMs: number): readonly Attempt[] {
  return attempts.filter(({ endedMs }) => endedMs >= fromMs && endedMs < toMs);
}

function addedTimes(attempts: readonly Attempt[]): readonly number[] {
  return attempts.filter(({ outcome }) => outcome === 'done').map(({ addedMs }) => addedMs);
}

function perSecond(attempts: readonly Attempt[], fromMs: number, toMs: number): number {
  return (attempts.filter(({ outcome }) => outcome === 'done').length * 1000) / Math.max(1, toMs - fromMs);
}

function round(value: number, digits: number): number {
  return Number.isFinite(value) ? Number(value.toFixed(digits)) : 0;
}
