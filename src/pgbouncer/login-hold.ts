// Keeps pools that have a server from logging another in: for moments in which a login under way would be dropped at the clients' cost.
import type { Clock } from '../runtime/clock.ts';
import type { PoolerConsole } from './console.ts';

const POLL_MS = 5;
const LOGINS_MS = 2000;

/**
 * The cap stops launches while a user has a connection; the long lifetime keeps that connection, because a pool without one may launch all the
 * same. In force by SET, undone by RELOAD.
 */
export const LOGIN_HOLD: Readonly<Record<string, string>> = { max_user_connections: '1', server_lifetime: '86400' };

/** What to set to undo the hold without a RELOAD. */
export function valuesBeforeHold(config: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.keys(LOGIN_HOLD).map((key) => [key, config.get(key) ?? '0']));
}

/**
 * PAUSE drops server logins that are under way, and after a RESUME PgBouncer would fail clients for that until server_login_retry is over.
 * Returns what ends the hold.
 */
export async function holdLogins(
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
      await clock.sleep(POLL_MS, signal);
    }
  } catch (error) {
    await setAll(console, former);
    signal?.throwIfAborted();
    throw error;
  }
  return former;
}

/** Does the work while no login is under way. What holds logins back does not stay, also when the operator is told to stop. */
export async function withLoginsHeld(
  console: PoolerConsole,
  clock: Clock,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  const former = await holdLogins(console, clock, signal);
  try {
    await work();
  } finally {
    await setAll(console, former);
  }
}

export async function setAll(console: PoolerConsole, values: Readonly<Record<string, string>>): Promise<void> {
  for (const [key, value] of Object.entries(values)) {
    await console.set(key, value);
  }
}
