// A thread of the application: places one order after the other until it is told to stop.
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { placeOrder } from './order.ts';
import { countDone, countFailed, type Tally } from './tally.ts';

export type ThreadOptions = Readonly<{
  /** Unique among all threads that ever write into the table. */
  name: string;
  /** Mean time between two orders. */
  pauseMs: number;
  /** Think time inside each transaction. */
  holdMs?: number;
}>;

/** How soon a failed order is tried again. */
const RETRY_PAUSE_MS = 200;

/** Runs until the signal; the order under way is finished first. */
export async function runThread(
  pool: pg.Pool,
  tally: Tally,
  { name, pauseMs, holdMs = 0 }: ThreadOptions,
  signal: AbortSignal,
): Promise<void> {
  const own = { lastSeq: 0, acknowledged: 0, unknown: [] as number[] };
  tally.threads[name] = own;
  let seq = 1;
  // Threads that start together must not stay in step.
  await pause(Math.random() * pauseMs, signal);
  while (!signal.aborted) {
    const attempt = await placeOrder(pool, { client: name, seq, acknowledged: own.acknowledged }, holdMs);
    if (attempt.kind === 'done') {
      own.lastSeq = seq;
      own.acknowledged += 1;
      seq += 1;
      countDone(tally, attempt.tookMs);
      await pause(pauseMs * (0.5 + Math.random()), signal);
      continue;
    }
    countFailed(tally, attempt.errorClass);
    if (attempt.committed === 'unknown') {
      // Placing it again could place it twice; only the table knows.
      own.lastSeq = seq;
      own.unknown.push(seq);
      seq += 1;
      tally.unknown += 1;
    } else {
      tally.retried += 1;
    }
    await pause(RETRY_PAUSE_MS, signal);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
