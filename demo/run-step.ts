// Runs one step of the demo and measures it: transactions, failures, and the most backends PostgreSQL saw.
import { errorsOf } from './application.ts';
import type { Step, World } from './world.ts';
import { check } from './world.ts';

/** A row of the closing table. */
export type Measured = Readonly<{
  title: string;
  tookMs: number;
  done: number;
  failed: number;
  longestMs: number;
  peak: number;
  /** Undefined before there is a PoolConfig. */
  budget: number | undefined;
}>;

/** Looks come every 50 ms; on a machine with more work than cores some come late. After a longer gap the peak says nothing. */
const LONGEST_GAP_MS = 5_000;

/** @throws when the step did not do what it claims, when too many transactions failed, or when the budget was exceeded. */
export async function runStep(step: Step, number: number, world: World): Promise<Measured> {
  const { narrator, sampler, application, last } = world;
  narrator.heading(`${number}. ${step.title}`, step.explanation);
  const startedMs = performance.now();
  const startSecond = Math.floor(Date.now() / 1000);
  const before = last.total;
  await step.run(world);
  const after = await application.read();
  last.total = after;
  const lap = sampler.lap();
  const measured = {
    title: step.title,
    tookMs: performance.now() - startedMs,
    done: after.done - before.done,
    failed: after.failed - before.failed,
    longestMs: Math.max(0, ...after.seconds.filter((s) => s.epochSecond >= startSecond).map((s) => s.longestMs)),
    peak: lap.peak,
    budget: last.pool?.status?.budget?.budget,
  };
  const { failed, peak, budget } = measured;
  const most = step.mayFail?.most ?? 0;
  const text = `${measured.done} transactions, ${failed} failed${failed === 0 ? '' : ` (${errorsSince(before.errors, after.errors)})`}`;
  check(
    failed <= most,
    `at most ${most} transactions fail${step.mayFail === undefined ? '' : ` (${step.mayFail.because})`}: ${text}`,
  );
  check(
    budget === undefined || peak <= budget,
    `PostgreSQL never has more than ${String(budget)} connections of the fleet, it had ${peak}`,
  );
  check(
    lap.longestGapMs <= LONGEST_GAP_MS,
    `backends are counted all the time, there was a gap of ${Math.round(lap.longestGapMs)} ms`,
  );
  const note = step.mayFail === undefined ? '' : `; allowed: ${most}, because ${step.mayFail.because}`;
  narrator.good(`${text}${note}`);
  narrator.good(
    `PostgreSQL saw at most ${peak} connections (budget ${String(budget ?? '–')}; ${lap.samples} looks, at most ${Math.round(lap.longestGapMs)} ms apart)`,
  );
  return measured;
}

function errorsSince(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): string {
  const more = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return errorsOf({ errors: Object.fromEntries(more.filter(([, count]) => count > 0)) });
}
