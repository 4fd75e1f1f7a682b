// Connections that so many clients need: Little's law for the load, the square-root staffing rule for the slack above it.
import type { PoolMode } from '../model/pooler-model.ts';

/** Share of time a client is in a transaction, until it has been measured. */
export const DEFAULT_DUTY = 0.25;

/** Standard deviations of slack above the mean number of busy servers; two keep the wait near one percent of the service time. */
const SLACK = 2;

/** `offered` is in busy servers (erlang), `staffed` = ⌈a + 2√a⌉, `need` never more than the clients. */
export type Need = { readonly offered: number; readonly staffed: number; readonly need: number };

/**
 * `clients` × `duty` servers are busy on average (Little), and random arrivals vary by the square root of that (Halfin–Whitt). In session
 * mode a client holds its connection all the time, so each needs one.
 */
export function needOf(clients: number, duty: number, poolMode: PoolMode): Need {
  const offered = clients * duty;
  // Products such as 0.1 × 30 miss the integer by a rounding error that must not cost a connection.
  const staffed = Math.max(0, Math.ceil(offered + SLACK * Math.sqrt(offered) - 1e-9));
  return { offered, staffed, need: poolMode === 'session' ? clients : Math.min(clients, staffed) };
}
