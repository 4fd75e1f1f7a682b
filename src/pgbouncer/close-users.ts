// Ends what removed users still have: connections that were opened before, between two transactions.
import type { PoolerConsole } from './console.ts';

export type CloseUsers = {
  readonly users: readonly string[];
  /** Also those in the middle of a transaction. */
  readonly evenBusy: boolean;
  readonly signal?: AbortSignal;
};

/** The number of clients closed. Who is busy is left for a later look: `active` is PgBouncer's word for a client that has a server (1.25 or newer). */
export async function closeUsers(
  console: Pick<PoolerConsole, 'clients' | 'killClient'>,
  { users, evenBusy, signal }: CloseUsers,
): Promise<number> {
  let closed = 0;
  for (const { id, user, state } of await console.clients(signal)) {
    if (users.includes(user) && (evenBusy || state !== 'active'))
      closed += (await console.killClient(id, signal)) ? 1 : 0;
  }
  return closed;
}
