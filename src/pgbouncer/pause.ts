// PAUSE and RESUME of a pooler's databases: between two transactions, without a login in between, and read back.
import type { Clock } from '../runtime/clock.ts';
import type { PoolerConsole } from './console.ts';
import { AdminError } from './errors.ts';
import { withLoginsHeld } from './login-hold.ts';

/** A PAUSE of a quiet database answers at once; a busy one's is in force too, though its answer is still to come. */
const PAUSE_ANSWER_MS = 50;
const PAUSES_AT_ONCE = 8;

export type OnDatabases = {
  readonly databases: readonly string[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

/**
 * Stops handing out servers of these databases. Transactions that run go on to their end, and their connections close then; nobody waits for that
 * here. Without a login under way, which PAUSE would drop: PgBouncer fails clients for that after the RESUME.
 */
export async function pauseDatabases(console: PoolerConsole, { databases, clock, signal }: OnDatabases): Promise<void> {
  await withLoginsHeld(console, clock, signal, () => pauseAll(console, databases, signal));
}

/** Brings these databases to where their host leads now: busy connections at the end of their transaction. */
export async function reconnectDatabases(
  console: PoolerConsole,
  { databases, clock, signal }: OnDatabases,
): Promise<void> {
  await withLoginsHeld(console, clock, signal, async () => {
    for (const database of databases) await console.reconnect(database, signal);
  });
}

/** On consoles of their own, because a PAUSE that waits blocks its console. It stays in force when that console goes. */
export async function pauseAll(
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
export async function openServers(
  console: PoolerConsole,
  databases: readonly string[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const pools = await console.pools(signal);
  return pools.filter(({ database }) => databases.includes(database)).reduce((sum, { servers }) => sum + servers, 0);
}

/** Those of these databases that are still paused: a RESUME is refused where somebody else was first. */
export async function resumeAll(console: PoolerConsole, databases: readonly string[]): Promise<void> {
  for (const { name, paused } of await console.databases()) {
    if (paused && databases.includes(name)) {
      await console.resume(name);
    }
  }
}
