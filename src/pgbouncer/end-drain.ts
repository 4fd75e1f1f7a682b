// The end of a pooler's life: lets every transaction finish, starts no more, then closes the clients between two transactions.
import { systemClock, type Clock } from '../runtime/clock.ts';
import type { PoolerConsole } from './console.ts';
import { AdminError } from './errors.ts';
import { holdLogins, setAll } from './login-hold.ts';
import { openServers, pauseAll, resumeAll } from './pause.ts';

export type EndDrain = {
  readonly databases: readonly string[];
  /** How long transactions may take to finish. Keep it below query_wait_timeout, which ends the clients that wait meanwhile. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
};

export type EndDrainResult =
  | { readonly ended: true; readonly closedClients: number; readonly tookMs: number }
  | { readonly ended: false; readonly activeServers: number };

const POLL_MS = 20;
const CLOSING_MS = 5000;

/**
 * Ends with no server connection, no client of these databases and no console of ours, so that a SIGTERM ends the process at once. When
 * transactions are still running at the deadline everything is resumed and nobody was closed. A database in session mode is quiet only
 * when its clients have left.
 */
export async function endDrain(console: PoolerConsole, drain: EndDrain): Promise<EndDrainResult> {
  const { databases, deadlineMs, signal, clock = systemClock } = drain;
  const startedMs = clock.monotonicMs();
  let quiet = false;
  const former = await holdLogins(console, clock, signal);
  try {
    await pauseAll(console, databases, signal);
    let activeServers = await openServers(console, databases, signal);
    while (activeServers > 0 && clock.monotonicMs() - startedMs < deadlineMs) {
      await clock.sleep(POLL_MS, signal);
      activeServers = await openServers(console, databases, signal);
    }
    quiet = activeServers === 0;
    if (!quiet) {
      return { ended: false, activeServers };
    }
    const closedClients = await closeClients(console, databases, clock, signal);
    await console.disconnect();
    return { ended: true, closedClients, tookMs: Math.round(clock.monotonicMs() - startedMs) };
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    if (!quiet) {
      // A RESUME is refused where somebody else has resumed in between; what holds logins back must not stay for that.
      try {
        await resumeAll(console, databases);
      } finally {
        await setAll(console, former);
      }
    }
  }
}

async function closeClients(
  console: PoolerConsole,
  databases: readonly string[],
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<number> {
  const startedMs = clock.monotonicMs();
  let closed = 0;
  for (;;) {
    const left = (await console.clients(signal)).filter(({ database }) => databases.includes(database));
    if (left.length === 0) {
      return closed;
    }
    if (clock.monotonicMs() - startedMs > CLOSING_MS) {
      throw new AdminError('timeout', `while closing clients: ${left.length} are still there`);
    }
    for (const { id } of left) {
      closed += (await console.killClient(id, signal)) ? 1 : 0;
    }
  }
}
