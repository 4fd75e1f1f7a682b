// The rows that a simulated PgBouncer's SHOW commands answer.
import type { DatabaseRow, PoolRow, StatsRow } from '../../../src/model/pooler-view.ts';
import type { ClientRow, ServerRow } from '../../../src/pgbouncer/show.ts';
import type { ConfigurationInForce } from './configuration-in-force.ts';
import type { Pool } from './pool-model.ts';

export function databaseRows(pools: readonly Pool[], configuration: ConfigurationInForce): readonly DatabaseRow[] {
  return [...configuration.databases.values()]
    .sort((a, b) => order(a.name, b.name))
    .map((database) => {
      const mine = pools.filter((pool) => pool.database === database);
      return {
        name: database.name,
        host: database.host,
        port: database.port,
        database: database.dbname,
        poolSize: configuration.poolSize(database),
        maxConnections: configuration.maxConnections(database),
        currentConnections: mine.reduce((sum, { servers }) => sum + servers.size, 0),
        currentClientConnections: mine.reduce((sum, { clients }) => sum + clients.size, 0),
        poolMode: database.poolMode,
        serverLifetimeSeconds: Math.floor(configuration.lifetimeMs(database) / 1_000),
        paused: database.paused,
        disabled: false,
      };
    });
}

export function poolRows(pools: readonly Pool[], nowMs: number): readonly PoolRow[] {
  return pools.map((pool) => {
    const { database, user, clients, waiting, servers, idle, active, login } = pool;
    const serversLogin = login === undefined ? 0 : 1;
    const first = waiting[0];
    return {
      database: database.name,
      user,
      clientsActive: clients.size - waiting.length,
      clientsWaiting: waiting.length,
      serversActive: active,
      serversIdle: idle.length,
      serversLogin,
      serversCancelling: 0,
      servers: servers.size,
      maxWaitMs: first === undefined ? 0 : Math.round(nowMs - first.waitSinceMs),
    };
  });
}

/** `timeText` spells a moment as SHOW does. */
export function clientRows(pools: readonly Pool[], timeText: (ms: number) => string): readonly ClientRow[] {
  return pools.flatMap(({ clients, database, user }) =>
    [...clients].map((client) => ({
      id: client.id,
      user,
      database: database.name,
      state: client.state,
      address: '10.128.0.1',
      port: 40_000,
      connectTime: timeText(client.connectMs),
      applicationName: client.applicationName,
    })),
  );
}

export function serverRows(pools: readonly Pool[], timeText: (ms: number) => string): readonly ServerRow[] {
  return pools.flatMap(({ servers, database, user }) =>
    [...servers].map((server) => ({
      id: server.id,
      user,
      database: database.name,
      state: server.state === 'login' ? 'new' : server.state,
      address: database.host ?? '',
      port: database.port,
      connectTime: timeText(server.connectMs),
      closeNeeded: server.closeNeeded,
      tls: undefined,
    })),
  );
}

export function statsRows(pools: readonly Pool[]): readonly StatsRow[] {
  const rows = new Map<string, { -readonly [K in keyof StatsRow]: StatsRow[K] }>();
  for (const { database, counters } of pools) {
    const row = rows.get(database.name) ?? {
      ...{ database: database.name, assignments: 0, transactions: 0, transactionTimeUs: 0, waitTimeUs: 0 },
    };
    row.assignments += counters.assignments;
    row.transactions += counters.transactions;
    // Its transaction time includes the wait for a server.
    row.transactionTimeUs += Math.round(counters.transactionUs + counters.waitUs);
    row.waitTimeUs += Math.round(counters.waitUs);
    rows.set(database.name, row);
  }
  return [...rows.values()];
}

/** By bytes, as C compares. */
export function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
