// What one running PgBouncer says of itself: the decoded answers of its admin console.
import type { PeerRow, PoolMode } from './pooler-model.ts';

/** A row of SHOW DATABASES; counts are connections. */
export type DatabaseRow = {
  readonly name: string;
  readonly host: string | undefined;
  readonly port: number;
  readonly database: string;
  readonly poolSize: number;
  readonly maxConnections: number;
  readonly currentConnections: number;
  readonly currentClientConnections: number;
  readonly poolMode: PoolMode | undefined;
  /** In force for this database, its own or the process's, without fractions. */
  readonly serverLifetimeSeconds?: number;
  readonly paused: boolean;
  readonly disabled: boolean;
};

/** A row of SHOW POOLS. `servers` is the sum of all sv_* columns, logins included; `maxWaitMs` is the longest present wait. */
export type PoolRow = {
  readonly database: string;
  readonly user: string;
  readonly clientsActive: number;
  readonly clientsWaiting: number;
  readonly serversActive: number;
  readonly serversIdle: number;
  readonly serversLogin: number;
  /** Connections that pass a cancel request on; they log in nowhere and end in milliseconds. */
  readonly serversCancelling: number;
  readonly servers: number;
  readonly maxWaitMs: number;
};

/** Counters of SHOW STATS_TOTALS-like rows per database; times in microseconds. */
export type StatsRow = {
  readonly database: string;
  readonly assignments: number;
  readonly transactions: number;
  readonly transactionTimeUs: number;
  readonly waitTimeUs: number;
};

/** One complete reading of a pooler. */
export type PoolerView = {
  readonly version: string;
  readonly config: ReadonlyMap<string, string>;
  readonly databases: readonly DatabaseRow[];
  readonly pools: readonly PoolRow[];
  readonly stats: readonly StatsRow[];
  /** By peer_id. */
  readonly peers: readonly PeerRow[];
  /** Logged-in clients other than admin consoles. */
  readonly clients: number;
};

/** Server connections that have logged in: PostgreSQL has a backend for each, and PgBouncer knows its process id. */
export function establishedServers(pools: readonly Pick<PoolRow, 'servers' | 'serversLogin'>[]): number {
  return pools.reduce((sum, { servers, serversLogin }) => sum + servers - serversLogin, 0);
}

export function pausedOf(databases: readonly Pick<DatabaseRow, 'name' | 'paused'>[]): readonly string[] {
  return databases.filter(({ paused }) => paused).map(({ name }) => name);
}

/** What is not paused. */
export function openOf(databases: readonly Pick<DatabaseRow, 'name' | 'paused'>[]): readonly string[] {
  return databases.filter(({ paused }) => !paused).map(({ name }) => name);
}
