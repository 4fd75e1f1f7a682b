// Shrinks busy pools to their lowered sizes: for a moment server connections live so short that each closes on its next release.
import type { Sizes } from '../model/pooler-model.ts';
import type { PoolRow } from '../model/pooler-view.ts';
import { systemClock, type Clock } from '../runtime/clock.ts';
import type { PoolerConsole } from './console.ts';
import { limitForStarved } from './starved-users.ts';

export type LifetimeDrain = {
  /** Sizes that are in force already (file, RELOAD, read back), per database. */
  readonly targets: Sizes;
  /** Sizes before, for the pace; a database that is missing here is paced by what it has open. */
  readonly fromSizes: Sizes;
  /** Every other database has a server lifetime on its own line, so that the short one does not reach it. */
  readonly alone?: boolean;
  readonly signal?: AbortSignal;
  readonly deadlineMs: number;
  readonly clock?: Clock;
};

export type LifetimeDrainResult = { readonly settled: boolean; readonly tookMs: number };

const POLL_MS = 20;
/** How long a drain should take where the bounds below allow it. */
const PACE_SECONDS = 0.5;
/** Between two closings of a pool at most; about as long as it takes to see that one was the last. */
const GAP_SECONDS = 0.025;
/** Younger servers are not closed, so a longer one would make a pool that has just grown wait. */
const LONGEST_LIFETIME_SECONDS = 1;
/** Below it, pools that don't shrink would spend their time with logins: they recycle size/lifetime connections a second meanwhile. */
const SHORTEST_LIFETIME_SECONDS = 0.2;
/** A pool above its size logs nobody in, so it may close its servers as fast as it likes. */
const SHORTEST_LIFETIME_ALONE_SECONDS = 0.01;

/**
 * Closes server connections at a transaction's end until every database has at most its target (reserve pools aside) and no user waits
 * without any server while another has several, then restores the file's settings by RELOAD, also after a failure. PgBouncer closes one
 * connection of a pool every lifetime/size, so going from P0 to P1 takes (P0 − P1)·lifetime/P1, or until the transactions that run have ended.
 */
export async function drainToSize(console: PoolerConsole, drain: LifetimeDrain): Promise<LifetimeDrainResult> {
  const { targets, signal, clock = systemClock } = drain;
  const startedMs = clock.monotonicMs();
  const tookMs = (): number => Math.round(clock.monotonicMs() - startedMs);
  const open = serversByDatabase(await console.pools(signal));
  if (isSettled(open, targets)) {
    return { settled: true, tookMs: tookMs() };
  }
  try {
    await console.set('server_lifetime', lifetimeSeconds(drain, open).toFixed(3), signal);
    let limit: number | undefined;
    for (;;) {
      const pools = await console.pools(signal);
      const settled = isSettled(serversByDatabase(pools), targets);
      const needed = settled ? limitForStarved(pools, targets) : undefined;
      if ((settled && needed === undefined) || tookMs() >= drain.deadlineMs) {
        return { settled, tookMs: tookMs() };
      }
      if (needed !== undefined && needed !== limit) {
        await console.set('max_user_connections', String(needed), signal);
        limit = needed;
      }
      await clock.sleep(POLL_MS, signal);
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    // Not with the signal: whatever happened, the short lifetime must not stay.
    await console.reload();
  }
}

/** The shortest that any database needs; it reaches all of them that have no lifetime of their own. */
function lifetimeSeconds(
  { targets, fromSizes, alone = false }: LifetimeDrain,
  open: ReadonlyMap<string, number>,
): number {
  const wanted = Object.entries(targets).flatMap(([database, target]) => {
    const excess = Math.max(fromSizes[database] ?? 0, open.get(database) ?? 0) - target;
    return excess > 0 ? [target * Math.min(PACE_SECONDS / excess, GAP_SECONDS)] : [];
  });
  const shortest = alone ? SHORTEST_LIFETIME_ALONE_SECONDS : SHORTEST_LIFETIME_SECONDS;
  return Math.min(LONGEST_LIFETIME_SECONDS, Math.max(shortest, Math.min(...wanted)));
}

function serversByDatabase(pools: readonly PoolRow[]): ReadonlyMap<string, number> {
  const open = new Map<string, number>();
  for (const { database, servers } of pools) {
    open.set(database, (open.get(database) ?? 0) + servers);
  }
  return open;
}

function isSettled(open: ReadonlyMap<string, number>, targets: Sizes): boolean {
  return Object.entries(targets).every(([database, target]) => (open.get(database) ?? 0) <= target);
}
