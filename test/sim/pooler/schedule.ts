// When a simulated PgBouncer next does something that matters, so that time in between need not be played.
import type { ConfigurationInForce } from './configuration-in-force.ts';
import type { ModelServer, Pool } from './pool-model.ts';

export type Schedule = {
  readonly pools: readonly Pool[];
  readonly configuration: ConfigurationInForce;
  readonly nowMs: number;
  /** Skipped stretches may reach as far as this. */
  readonly horizonMs: number;
};

/** The earliest moment at which a server or client acts by itself; Infinity when all wait. */
export function nextActMs({ pools, configuration, nowMs, horizonMs }: Schedule): number {
  let next = Infinity;
  const { retryMs, userMost } = configuration.limits;
  for (const pool of pools) {
    const quiet = isQuiet(pool, pools, userMost);
    const lifetimeMs = configuration.lifetimeMs(pool.database);
    for (const server of pool.servers) {
      if (server.state === 'idle') continue;
      if (server.state === 'active' && quiet && maySkip(server, horizonMs, lifetimeMs)) continue;
      next = Math.min(next, server.untilMs);
    }
    const retryAtMs = pool.lastConnectMs + retryMs;
    if (pool.connectFailed && pool.waiting.length > 0 && pool.login === undefined && retryAtMs > nowMs)
      next = Math.min(next, retryAtMs);
  }
  return next;
}

/** The earliest moment from which a maintenance tick would do something; Infinity when none would. */
export function maintenanceDueMs({ pools, configuration, nowMs }: Omit<Schedule, 'horizonMs'>): number {
  let due = Infinity;
  for (const pool of pools)
    due = Math.min(due, serversDueMs(pool, configuration, nowMs), clientsDueMs(pool, configuration));
  return due;
}

function serversDueMs(pool: Pool, configuration: ConfigurationInForce, nowMs: number): number {
  if (pool.idle.length === 0) return Infinity;
  const size = configuration.poolSize(pool.database);
  if (size > 0 && pool.connected > size) return nowMs;
  const { idleMs } = configuration.limits;
  const lifetimeMs = configuration.lifetimeMs(pool.database);
  const nextCloseMs = pool.lastLifetimeCloseMs + configuration.lifetimeGapMs(pool.database);
  let due = Infinity;
  for (const { closeNeeded, requestMs, connectMs } of pool.idle) {
    if (closeNeeded) return nowMs;
    if (idleMs > 0) due = Math.min(due, requestMs + idleMs);
    due = Math.min(due, Math.max(connectMs + lifetimeMs, nextCloseMs));
  }
  return due;
}

function clientsDueMs({ waiting, welcome }: Pool, { limits: { waitMs, loginMs } }: ConfigurationInForce): number {
  let due = Infinity;
  for (const { waitSinceMs, awaitsWelcome, connectMs } of waiting) {
    if (waitMs > 0) due = Math.min(due, waitSinceMs + waitMs);
    if (loginMs > 0 && !welcome && awaitsWelcome) due = Math.min(due, connectMs + loginMs);
  }
  return due;
}

/** Releases in this pool concern nobody but its own waiters. */
export function isQuiet(pool: Pool, pools: readonly Pool[], userMost: number): boolean {
  if (pool.database.paused || userMost > 0) return false;
  if (pool.waiting.some((client) => client.kind === 'held' || client.awaitsWelcome)) return false;
  return pools.every(
    (other) =>
      other === pool || other.database !== pool.database || other.waiting.length === 0 || pool.waiting.length > 0,
  );
}

/** Until then this server would only go from one transaction of an ever busy client to the next. */
export function maySkip(
  { client, closeNeeded, connectMs }: ModelServer,
  horizonMs: number,
  lifetimeMs: number,
): boolean {
  return client?.kind === 'loop' && !client.leaving && !closeNeeded && connectMs + lifetimeMs > horizonMs;
}
