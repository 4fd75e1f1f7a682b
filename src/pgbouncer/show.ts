// Decodes the rows of SHOW commands: strict about what is used, by column name, blind to columns that versions add or drop.
import { POOL_MODES, type PeerRow, type PoolMode } from '../model/pooler-model.ts';
import type { DatabaseRow, PoolRow, StatsRow } from '../model/pooler-view.ts';
import { DecodeError } from './errors.ts';

export type ShowRow = Readonly<Record<string, unknown>>;

/** A row of SHOW CLIENTS. `id` is stable for the life of the connection and is what KILL_CLIENT takes. */
export type ClientRow = {
  readonly id: string;
  readonly user: string;
  readonly database: string;
  readonly state: string;
  readonly address: string;
  readonly port: number;
  readonly connectTime: string;
  readonly applicationName: string;
};

/** A row of SHOW SERVERS. `connectTime` has a resolution of one second; compare ids, not times. */
export type ServerRow = {
  readonly id: string;
  readonly user: string;
  readonly database: string;
  readonly state: string;
  readonly address: string;
  readonly port: number;
  readonly connectTime: string;
  readonly closeNeeded: boolean;
  readonly tls: string | undefined;
  /** Process id of the backend, as PostgreSQL gave it at the login; undefined before that. */
  readonly backendPid?: number | undefined;
};

const OTHER_SERVER_COLUMNS = ['sv_active_cancel', 'sv_being_canceled', 'sv_used', 'sv_tested'] as const;

export function decodeVersion(rows: readonly ShowRow[]): string {
  const text = textOf(only(rows, 'version'), 'version', 'version');
  const match = /^PgBouncer (\d+\.\d+\S*)$/.exec(text);
  if (match?.[1] === undefined) {
    throw new DecodeError('version.version', '"PgBouncer X.Y.Z"', text);
  }
  return match[1];
}

/** A key without a value (PgBouncer's NULL defaults) is left out. */
export function decodeConfig(rows: readonly ShowRow[]): ReadonlyMap<string, string> {
  const config = new Map<string, string>();
  rows.forEach((row, index) => {
    const path = `config[${index}]`;
    const value = optionalTextOf(row, 'value', path);
    if (value !== undefined) {
      config.set(textOf(row, 'key', path), value);
    }
  });
  return config;
}

export function decodeDatabases(rows: readonly ShowRow[]): readonly DatabaseRow[] {
  return rows.map((row, index) => {
    const path = `databases[${index}]`;
    return {
      name: textOf(row, 'name', path),
      host: optionalTextOf(row, 'host', path),
      port: countOf(row, 'port', path),
      database: textOf(row, 'database', path),
      poolSize: integerOf(row, 'pool_size', path),
      maxConnections: integerOf(row, 'max_connections', path),
      currentConnections: countOf(row, 'current_connections', path),
      currentClientConnections: countOf(row, 'current_client_connections', path),
      poolMode: poolModeOf(row, path),
      serverLifetimeSeconds: countOf(row, 'server_lifetime', path),
      paused: flagOf(row, 'paused', path),
      disabled: flagOf(row, 'disabled', path),
    };
  });
}

export function decodePools(rows: readonly ShowRow[]): readonly PoolRow[] {
  return rows.map((row, index) => {
    const path = `pools[${index}]`;
    const serversActive = countOf(row, 'sv_active', path);
    const serversIdle = countOf(row, 'sv_idle', path);
    const serversLogin = countOf(row, 'sv_login', path);
    const others = OTHER_SERVER_COLUMNS.reduce((sum, column) => sum + countOf(row, column, path), 0);
    return {
      database: textOf(row, 'database', path),
      user: textOf(row, 'user', path),
      clientsActive: countOf(row, 'cl_active', path),
      clientsWaiting: countOf(row, 'cl_waiting', path),
      serversActive,
      serversIdle,
      serversLogin,
      serversCancelling: countOf(row, 'sv_active_cancel', path),
      servers: serversActive + serversIdle + serversLogin + others,
      maxWaitMs: countOf(row, 'maxwait', path) * 1000 + countOf(row, 'maxwait_us', path) / 1000,
    };
  });
}

export function decodePeers(rows: readonly ShowRow[]): readonly PeerRow[] {
  return rows.map((row, index) => {
    const path = `peers[${index}]`;
    return {
      id: countOf(row, 'peer_id', path),
      host: textOf(row, 'host', path),
      port: countOf(row, 'port', path),
      poolSize: integerOf(row, 'pool_size', path),
    };
  });
}

/** Rows of SHOW STATS_TOTALS. */
export function decodeStatsTotals(rows: readonly ShowRow[]): readonly StatsRow[] {
  return rows.map((row, index) => {
    const path = `stats[${index}]`;
    return {
      database: textOf(row, 'database', path),
      assignments: countOf(row, 'server_assignment_count', path),
      transactions: countOf(row, 'xact_count', path),
      transactionTimeUs: countOf(row, 'xact_time', path),
      waitTimeUs: countOf(row, 'wait_time', path),
    };
  });
}

export function decodeClients(rows: readonly ShowRow[]): readonly ClientRow[] {
  return rows.map((row, index) => {
    const path = `clients[${index}]`;
    return { ...connectionOf(row, path), applicationName: optionalTextOf(row, 'application_name', path) ?? '' };
  });
}

/** Users with the number of their clients; PgBouncer forgets no user that it has ever known. */
export function decodeUsers(rows: readonly ShowRow[]): ReadonlyMap<string, number> {
  return new Map(
    rows.map((row, index) => {
      const path = `users[${index}]`;
      return [textOf(row, 'name', path), countOf(row, 'current_client_connections', path)] as const;
    }),
  );
}

export function decodeServers(rows: readonly ShowRow[]): readonly ServerRow[] {
  return rows.map((row, index) => {
    const path = `servers[${index}]`;
    const tls = optionalTextOf(row, 'tls', path);
    const pid = countOf(row, 'remote_pid', path);
    return {
      ...connectionOf(row, path),
      ...(pid === 0 ? {} : { backendPid: pid }),
      closeNeeded: flagOf(row, 'close_needed', path),
      tls: tls === '' ? undefined : tls,
    };
  });
}

function connectionOf(row: ShowRow, path: string) {
  return {
    id: textOf(row, 'id', path),
    user: optionalTextOf(row, 'user', path) ?? '',
    database: optionalTextOf(row, 'database', path) ?? '',
    state: textOf(row, 'state', path),
    address: optionalTextOf(row, 'addr', path) ?? '',
    port: countOf(row, 'port', path),
    connectTime: textOf(row, 'connect_time', path),
  };
}

function only(rows: readonly ShowRow[], path: string): ShowRow {
  const [row] = rows;
  if (row === undefined || rows.length !== 1) {
    throw new DecodeError(path, 'one row', rows.length);
  }
  return row;
}

function textOf(row: ShowRow, column: string, path: string): string {
  const value = row[column];
  if (typeof value === 'string') {
    return value;
  }
  if (typeof value === 'number' || typeof value === 'bigint') {
    return String(value);
  }
  throw new DecodeError(`${path}.${column}`, 'text', value);
}

function optionalTextOf(row: ShowRow, column: string, path: string): string | undefined {
  if (!(column in row)) {
    throw new DecodeError(`${path}.${column}`, 'a column', undefined);
  }
  return row[column] === null ? undefined : textOf(row, column, path);
}

/** int4 columns come as numbers from some decoders, numeric ones always as text. */
function integerOf(row: ShowRow, column: string, path: string): number {
  const value = row[column];
  const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) {
    throw new DecodeError(`${path}.${column}`, 'an integer', value);
  }
  return number;
}

function countOf(row: ShowRow, column: string, path: string): number {
  const count = integerOf(row, column, path);
  if (count < 0) {
    throw new DecodeError(`${path}.${column}`, 'a count', count);
  }
  return count;
}

function flagOf(row: ShowRow, column: string, path: string): boolean {
  const value = integerOf(row, column, path);
  if (value !== 0 && value !== 1) {
    throw new DecodeError(`${path}.${column}`, '0 or 1', value);
  }
  return value === 1;
}

function poolModeOf(row: ShowRow, path: string): PoolMode | undefined {
  const text = optionalTextOf(row, 'pool_mode', path);
  const mode = POOL_MODES.find((known) => known === text);
  if (text !== undefined && mode === undefined) {
    throw new DecodeError(`${path}.pool_mode`, POOL_MODES.join(', '), text);
  }
  return mode;
}
