// What a simulated PgBouncer does three times a second: closes servers that are idle, old or too many, and clients that wait too long.
import type { Clients } from './clients.ts';
import type { ConfigurationInForce } from './configuration-in-force.ts';
import type { Pool } from './pool-model.ts';
import { closeAtLifetime, closeServer, isOver } from './server-end.ts';

export function maintain(
  pools: readonly Pool[],
  clients: Clients,
  configuration: ConfigurationInForce,
  nowMs: number,
): void {
  for (const pool of pools) {
    closeIdle(pool, configuration, nowMs);
    closeExcess(pool, configuration, nowMs);
    loseImpatient(pool, clients, configuration, nowMs);
  }
}

function closeIdle(pool: Pool, configuration: ConfigurationInForce, nowMs: number): void {
  const { idleMs } = configuration.limits;
  for (const server of [...pool.idle].reverse()) {
    if (server.closeNeeded || (idleMs > 0 && nowMs - server.requestMs > idleMs)) closeServer(server, nowMs);
    else if (isOver(server, configuration, nowMs)) closeAtLifetime(server, nowMs);
  }
}

function closeExcess(pool: Pool, configuration: ConfigurationInForce, nowMs: number): void {
  const size = configuration.poolSize(pool.database);
  for (let many = size > 0 ? pool.connected - size : 0; many > 0; many -= 1) {
    const server = pool.idle.at(-1);
    if (server === undefined) break;
    closeServer(server, nowMs);
  }
}

function loseImpatient(pool: Pool, clients: Clients, configuration: ConfigurationInForce, nowMs: number): void {
  const { waitMs, loginMs } = configuration.limits;
  for (const client of [...pool.waiting]) {
    const tooLong = waitMs > 0 && nowMs - client.waitSinceMs > waitMs;
    const noLogin = loginMs > 0 && !pool.welcome && client.awaitsWelcome && nowMs - client.connectMs > loginMs;
    if (tooLong || noLogin) clients.lose(client, 'timeout');
  }
}
