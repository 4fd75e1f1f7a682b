// Watches one PostgreSQL through the monitor role: what it allows, and who holds its connections.
import { isIP } from 'node:net';
import type { SecretText } from '../model/secret-text.ts';
import type { ServerTrust } from '../model/server-trust.ts';
import type { BackendGroup, ServerView } from '../model/server-view.ts';
import { foreignAddressesOnly } from './address-guard.ts';
import type { AddressGuard } from './address-guard.ts';
import { serverFaultOf } from './fault.ts';
import { tlsOptionsOf } from './server-tls.ts';
import { WireClient } from './wire-client.ts';

export type ServerMonitorOptions = {
  readonly host: string;
  readonly port: number;
  readonly tls: ServerTrust;
  readonly user: string;
  readonly password: SecretText;
  readonly database: string;
  readonly connectTimeoutMs?: number;
  readonly queryTimeoutMs?: number;
  /** Name to resolve in place of `host`. */
  readonly lookupName?: string;
  /** The connection has ended, and not because `close` was called. */
  readonly onLost?: () => void;
  /** Which addresses may be connected to; default: none of this machine or its node. */
  readonly guard?: AddressGuard;
};

/** The oldest version whose settings and views are the ones read here (13). */
const OLDEST_VERSION_NUMBER = 130_000;

/** reserved_connections came with 16. Seeing the rows of others needs the privileges of pg_read_all_stats, which pg_monitor includes. */
const LIMITS = `
  select pg_catalog.current_setting('server_version_num') as version_number,
         pg_catalog.current_setting('max_connections') as max_connections,
         pg_catalog.current_setting('superuser_reserved_connections') as superuser_reserved,
         coalesce(pg_catalog.current_setting('reserved_connections', true), '0') as reserved,
         pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')::int as sees_others`;

const BACKENDS = `
  select pg_catalog.host(client_addr) as client_address, usename as user_name, datname as database_name,
         (application_name in ('poolsmith-monitor', 'poolsmith-trial'))::int as operators, count(*) as backends
  from pg_catalog.pg_stat_activity
  where backend_type = 'client backend' and pid <> pg_catalog.pg_backend_pid()
  group by client_addr, usename, datname, 4`;

/** Those that are old enough to have told their pooler who they are. */
const BACKENDS_FROM = (address: string, olderThanMs: number): string => `
  select pid || '@' || extract(epoch from backend_start) as backend, pid
  from pg_catalog.pg_stat_activity
  where backend_type = 'client backend' and client_addr = '${address}'::pg_catalog.inet
    and backend_start < pg_catalog.clock_timestamp() - interval '${olderThanMs} milliseconds'`;

/** One backend: `id` is its own for ever, `pid` only for as long as it runs. */
export type Backend = { readonly id: string; readonly pid: number };

/** Keeps one connection; a lost one is replaced by the next observation. One observation at a time. */
export class ServerMonitor {
  readonly #options: ServerMonitorOptions;
  readonly #connectTimeoutMs: number;
  readonly #queryTimeoutMs: number;
  #wire: WireClient | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: ServerMonitorOptions) {
    this.#options = options;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? 3000;
    this.#queryTimeoutMs = options.queryTimeoutMs ?? 3000;
  }

  /** Never rejects for a fault of the server, which is a result; rejects with the signal's reason. */
  async observe(signal?: AbortSignal): Promise<ServerView> {
    const turn = this.#tail.then(async () => {
      signal?.throwIfAborted();
      const kept = this.#wire?.alive === true;
      try {
        return await this.#read(signal);
      } catch (error) {
        signal?.throwIfAborted();
        const fault = serverFaultOf(error);
        // A kept connection may have died unnoticed, for example with a server that restarted.
        if (kept && this.#wire?.alive !== true && fault === 'ServerUnreachable') {
          return this.#readAfresh(signal);
        }
        return { reachable: false, fault } as const;
      }
    });
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  /** Backends from one address that are older than so many milliseconds; undefined when the server can't be asked now. */
  async backendsFrom(
    address: string,
    olderThanMs: number,
    signal?: AbortSignal,
  ): Promise<readonly Backend[] | undefined> {
    if (isIP(address) === 0) throw new TypeError(`${JSON.stringify(address)} is no IP address`);
    const turn = this.#tail.then(async () => {
      signal?.throwIfAborted();
      try {
        const wire = await this.#connected(signal);
        const sql = BACKENDS_FROM(address, Math.round(olderThanMs));
        const { rows } = await wire.query(sql, this.#queryTimeoutMs, 'looking for backends', signal);
        return rows.map((row) => ({ id: String(row['backend']), pid: countOf(row, 'pid') }));
      } catch {
        signal?.throwIfAborted();
        return undefined;
      }
    });
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  async close(): Promise<void> {
    await this.#tail;
    const wire = this.#wire;
    this.#wire = undefined;
    await wire?.close();
  }

  async #readAfresh(signal: AbortSignal | undefined): Promise<ServerView> {
    try {
      return await this.#read(signal);
    } catch (error) {
      signal?.throwIfAborted();
      return { reachable: false, fault: serverFaultOf(error) };
    }
  }

  async #read(signal: AbortSignal | undefined): Promise<ServerView> {
    const wire = await this.#connected(signal);
    const ask = async (sql: string) => (await wire.query(sql, this.#queryTimeoutMs, 'reading the server', signal)).rows;
    const row = (await ask(LIMITS))[0] ?? {};
    const limits = {
      versionNumber: countOf(row, 'version_number'),
      maxConnections: countOf(row, 'max_connections'),
      superuserReserved: countOf(row, 'superuser_reserved'),
      reserved: countOf(row, 'reserved'),
    };
    if (limits.versionNumber < OLDEST_VERSION_NUMBER) {
      return { reachable: false, fault: 'VersionTooOld' };
    }
    const backends = (await ask(BACKENDS)).map(backendGroupOf);
    return { reachable: true, limits, seesOthers: row['sees_others'] === '1', backends };
  }

  async #connected(signal: AbortSignal | undefined): Promise<WireClient> {
    if (this.#wire?.alive === true) {
      return this.#wire;
    }
    const { host, port, tls, user, password, database, guard, lookupName } = this.#options;
    const target = { host, port, user, password, database, applicationName: 'poolsmith-monitor' };
    const wire = await WireClient.open(
      {
        ...target,
        tls: tlsOptionsOf(tls),
        guard: guard ?? foreignAddressesOnly,
        ...(lookupName === undefined ? {} : { lookupName }),
      },
      this.#connectTimeoutMs,
      signal,
    );
    this.#wire = wire;
    void wire.ended.then(() => {
      if (this.#wire === wire) this.#options.onLost?.();
    });
    return wire;
  }
}

/** Whatever answers something else here is no PostgreSQL that can be worked with. */
function countOf(row: Readonly<Record<string, unknown>>, column: string): number {
  const count = Number(row[column] ?? Number.NaN);
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new Error(`while reading the server: ${column} is no count`);
  }
  return count;
}

function backendGroupOf(row: Readonly<Record<string, unknown>>): BackendGroup {
  const text = (column: string): string => {
    const value = row[column];
    return typeof value === 'string' ? value : '';
  };
  const address = row['client_address'];
  return {
    clientAddress: typeof address === 'string' ? address : undefined,
    user: text('user_name'),
    database: text('database_name'),
    count: countOf(row, 'backends'),
    ...(row['operators'] === '1' ? { operators: true } : {}),
  };
}
