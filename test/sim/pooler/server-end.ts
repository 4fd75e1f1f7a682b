// When a server connection of a simulated PgBouncer has lived for long enough, and how it ends.
import type { ConfigurationInForce } from './configuration-in-force.ts';
import type { ModelServer } from './pool-model.ts';

/** Past its lifetime, and no other of its pool ended by its own a moment ago. */
export function isOver({ pool, connectMs }: ModelServer, configuration: ConfigurationInForce, nowMs: number): boolean {
  if (nowMs - connectMs < configuration.lifetimeMs(pool.database)) return false;
  return nowMs - pool.lastLifetimeCloseMs >= configuration.lifetimeGapMs(pool.database);
}

/** Closes a server connection properly: its backend ends, unless it is in the middle of something. */
export function closeServer(server: ModelServer, nowMs: number): void {
  const { pool, backend, postgres, state, untilMs, client } = server;
  pool.drop(server);
  if (state === 'login' && server.loginFault === undefined) {
    pool.connectFailed = true;
    pool.loginFault ??= 'ServerUnreachable';
  }
  if (backend === undefined || postgres === undefined) return;
  if (client !== undefined && state === 'active' && postgres.isOpen(backend, nowMs))
    postgres.orphan(backend, nowMs, untilMs);
  else postgres.end(backend);
}

export function closeAtLifetime(server: ModelServer, nowMs: number): void {
  closeServer(server, nowMs);
  server.pool.lastLifetimeCloseMs = nowMs;
}
