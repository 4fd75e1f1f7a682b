// The end of a pooler's life: lets every transaction finish, starts no more, then closes the clients between two transactions.
import { systemClock, type Clock } from '../runtime/clock.ts';
import type { PoolerConsole } from './console.ts';
import { AdminError } from './errors.ts';
import { LOGIN_HOLD, valuesBeforeHold } from './login-hold.ts';

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
/** A PAUSE of a quiet database answers at once; a busy one's is in force too, though its answer is still to come. */
const PAUSE_ANSWER_MS = 50;
const PAUSES_AT_ONCE = 8;
const LOGINS_MS = 2000;
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

/**
 * PAUSE drops server logins that are under way, and after a RESUME PgBouncer would fail clients for that until server_login_retry is over.
 * Returns what ends the hold.
 */
async function holdLogins(
  console: PoolerConsole,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<Readonly<Record<string, string>>> {
  const former = valuesBeforeHold((await console.read(signal)).config);
  const deadlineMs = clock.monotonicMs() + LOGINS_MS;
  try {
    await setAll(console, LOGIN_HOLD);
    while (
      (await console.pools(signal)).some(({ serversLogin }) => serversLogin > 0) &&
      clock.monotonicMs() < deadlineMs
    ) {
      await clock.sleep(POLL_MS / 4, signal);
    }
  } catch (error) {
    await setAll(console, former);
    signal?.throwIfAborted();
    throw error;
  }
  return former;
}

async function setAll(console: PoolerConsole, values: Readonly<Record<string, string>>): Promise<void> {
  for (const [key, value] of Object.entries(values)) {
    await console.set(key, value);
  }
}

/** On consoles of their own, because a PAUSE that waits blocks its console. It stays in force when that console goes. */
async function pauseAll(
  console: PoolerConsole,
  databases: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let start = 0; start < databases.length; start += PAUSES_AT_ONCE) {
    await Promise.all(
      databases.slice(start, start + PAUSES_AT_ONCE).map((database) => pauseOne(console, database, signal)),
    );
  }
  const paused = new Map((await console.databases(signal)).map((row) => [row.name, row.paused]));
  const missed = databases.filter((database) => paused.get(database) !== true);
  if (missed.length > 0) {
    throw new AdminError('protocol', `while pausing: ${missed.length} of ${databases.length} databases are not paused`);
  }
}

async function pauseOne(console: PoolerConsole, database: string, signal: AbortSignal | undefined): Promise<void> {
  const own = console.fork();
  try {
    await own.pause(database, { timeoutMs: PAUSE_ANSWER_MS, ...(signal === undefined ? {} : { signal }) });
  } catch (error) {
    // Neither a late answer nor a wrong tag says that it is not paused; SHOW DATABASES does.
    if (!(error instanceof AdminError) || error.kind === 'refused' || error.kind === 'authentication') {
      throw error;
    }
  } finally {
    await own.close();
  }
}

/** All server connections, not only those in a transaction: a paused database closes its idle ones by itself. */
async function openServers(
  console: PoolerConsole,
  databases: readonly string[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const pools = await console.pools(signal);
  return pools.filter(({ database }) => databases.includes(database)).reduce((sum, { servers }) => sum + servers, 0);
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

async function resumeAll(console: PoolerConsole, databases: readonly string[]): Promise<void> {
  for (const { name, paused } of await console.databases()) {
    if (paused && databases.includes(name)) {
      await console.resume(name);
    }
  }
}
