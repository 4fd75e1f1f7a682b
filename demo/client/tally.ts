// What a client counts: transactions done and failed, errors by class, and the last seconds one by one.

/** One second of the load, `epochSecond` since 1970. */
export type Second = { readonly epochSecond: number; done: number; failed: number; longestMs: number };

/** What one thread knows about its tokens: those numbered 1 to `lastSeq`, less `unknown`, were acknowledged. */
export type ThreadTally = { lastSeq: number; acknowledged: number; readonly unknown: number[] };

export type Tally = {
  done: number;
  /** Attempts that ended in an error, whether or not they were made again. */
  failed: number;
  /** Attempts made again with the same token, because the failed one surely had not been committed. */
  retried: number;
  /** Attempts cut after COMMIT was sent: committed or not, nobody told. */
  unknown: number;
  longestMs: number;
  readonly errors: Record<string, number>;
  readonly threads: Record<string, ThreadTally>;
  seconds: Second[];
};

/** Long enough for a reader that comes by now and then. */
const SECONDS_KEPT = 120;

export function emptyTally(): Tally {
  return { done: 0, failed: 0, retried: 0, unknown: 0, longestMs: 0, errors: {}, threads: {}, seconds: [] };
}

export function countDone(tally: Tally, tookMs: number): void {
  tally.done += 1;
  tally.longestMs = Math.max(tally.longestMs, tookMs);
  const second = currentSecond(tally);
  second.done += 1;
  second.longestMs = Math.max(second.longestMs, tookMs);
}

export function countFailed(tally: Tally, errorClass: string): void {
  tally.failed += 1;
  tally.errors[errorClass] = (tally.errors[errorClass] ?? 0) + 1;
  currentSecond(tally).failed += 1;
}

/** The sum of several tallies, for instance of all processes of a pod. */
export function sumTallies(tallies: readonly Tally[]): Tally {
  const sum = emptyTally();
  const seconds = new Map<number, Second>();
  for (const tally of tallies) {
    for (const name of ['done', 'failed', 'retried', 'unknown'] as const) sum[name] += tally[name];
    sum.longestMs = Math.max(sum.longestMs, tally.longestMs);
    for (const [name, count] of Object.entries(tally.errors)) sum.errors[name] = (sum.errors[name] ?? 0) + count;
    Object.assign(sum.threads, tally.threads);
    for (const second of tally.seconds) {
      const { done, failed, longestMs } = seconds.get(second.epochSecond) ?? { done: 0, failed: 0, longestMs: 0 };
      seconds.set(second.epochSecond, {
        epochSecond: second.epochSecond,
        done: done + second.done,
        failed: failed + second.failed,
        longestMs: Math.max(longestMs, second.longestMs),
      });
    }
  }
  sum.seconds = [...seconds.values()].sort((a, b) => a.epochSecond - b.epochSecond);
  return sum;
}

function currentSecond(tally: Tally): Second {
  const epochSecond = Math.floor(Date.now() / 1000);
  const last = tally.seconds.at(-1);
  if (last?.epochSecond === epochSecond) return last;
  const fresh = { epochSecond, done: 0, failed: 0, longestMs: 0 };
  tally.seconds.push(fresh);
  if (tally.seconds.length > SECONDS_KEPT) tally.seconds.shift();
  return fresh;
}
