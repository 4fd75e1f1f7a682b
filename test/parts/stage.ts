// The scenery of the adapter tests: a real PostgreSQL with two databases and a real PgBouncer in front, set up as the operator does it.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { SecretText } from '../../src/model/secret-text.ts';
import { AdminConsole } from '../../src/pgbouncer/console.ts';
import { startPgbouncer } from '../support/servers.ts';
import type { PgbouncerServer, PostgresServer } from '../support/servers.ts';

export const HOST = '127.0.0.1';
export const ADMIN_PASSWORD = 'admin-secret-9f2c';
export const PROOF_PASSWORD = 'proof-secret-71ab';
export const APP_PASSWORD = 'app-secret-03de';
export const PROOF_USER = 'poolsmith-proof';

export const USERLIST = [
  `"admin" "${ADMIN_PASSWORD}"`,
  `"${PROOF_USER}" "${PROOF_PASSWORD}"`,
  `"app" "${APP_PASSWORD}"`,
  '',
].join('\n');

export type IniPlace = Readonly<{ port: number; dir: string }>;

/** `databases` are whole lines; `settings` come after ours. */
export function iniText(place: IniPlace, databases: readonly string[], settings: readonly string[] = []): string {
  return [
    '[databases]',
    ...databases,
    '[pgbouncer]',
    `listen_addr = ${HOST}`,
    `listen_port = ${place.port}`,
    'unix_socket_dir =',
    'auth_type = scram-sha-256',
    `auth_file = ${place.dir}/userlist.txt`,
    'admin_users = admin',
    `stats_users = ${PROOF_USER}`,
    'pool_mode = transaction',
    'max_client_conn = 1000',
    'server_login_retry = 1',
    ...settings,
    '',
  ].join('\n');
}

/** A `[databases]` line with its cap, as live.ini has it. */
export function databaseLine(name: string, port: number, size: number, more = ''): string {
  return `${name} = host=${HOST} port=${port} dbname=app pool_size=${size} max_db_connections=${size} ${more}`.trimEnd();
}

export async function startPooler(
  databases: readonly string[],
  settings: readonly string[] = [],
): Promise<PgbouncerServer> {
  return startPgbouncer({
    iniText: (place) => iniText(place, databases, settings),
    files: { 'userlist.txt': USERLIST },
  });
}

export function adminOf(
  pooler: Readonly<{ port: number }>,
  timing: { commandTimeoutMs?: number; connectTimeoutMs?: number } = {},
) {
  return new AdminConsole({
    address: { host: HOST, port: pooler.port },
    user: 'admin',
    password: new SecretText(ADMIN_PASSWORD),
    ...timing,
  });
}

/** Runs statements as the superuser, each by itself. */
export async function asSuperuser<T extends pg.QueryResultRow>(
  server: PostgresServer,
  database: string,
  ...statements: string[]
): Promise<T[]> {
  const client = new pg.Client({ connectionString: server.url(database) });
  await client.connect();
  try {
    let rows: T[] = [];
    for (const statement of statements) {
      rows = (await client.query<T>(statement)).rows;
    }
    return rows;
  } finally {
    await client.end();
  }
}

export async function prepareDatabase(server: PostgresServer): Promise<void> {
  await asSuperuser(
    server,
    'postgres',
    `create role app login password '${APP_PASSWORD}'`,
    'create database app owner app',
  );
}

/** A client as an application has it; errors between queries end in `lost`. */
export type AppClient = { readonly pg: pg.Client; readonly lost: Error[]; end: () => Promise<void> };

export async function connectApp(
  port: number,
  database = 'app',
  user = 'app',
  password = APP_PASSWORD,
): Promise<AppClient> {
  const client = new pg.Client({ host: HOST, port, user, password, database });
  const lost: Error[] = [];
  client.on('error', (error) => lost.push(error));
  await client.connect();
  return { pg: client, lost, end: async () => Promise.race([client.end().catch(() => undefined), delay(300)]) };
}

/** Waits for a condition, at most so long; fails with its name. */
export async function until(name: string, isMet: () => Promise<boolean> | boolean, timeoutMs = 5000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isMet())) {
    if (performance.now() > deadline) {
      throw new Error(`still not: ${name} (after ${timeoutMs} ms)`);
    }
    await delay(10);
  }
}

/** A fixed port whose connections go to whichever server it is turned to; one that has nobody behind it closes them. */
export type Relay = AsyncDisposable & { readonly port: number; turnTo: (port: number) => void };

/** `from`: the address that the server sees; `delayMs`: how long every connection stands still at first. */
export async function startRelay(port: number, { from = HOST, delayMs = 0 } = {}): Promise<Relay> {
  let target = port;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect({ port: target, host: HOST, localAddress: from });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        other.destroy();
      });
    }
    far.pipe(near);
    setTimeout(() => near.pipe(far), delayMs);
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') {
    throw new Error('the relay has no port');
  }
  return {
    port: address.port,
    turnTo: (next) => {
      target = next;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of open) {
        socket.destroy();
      }
      await once(server, 'close');
    },
  };
}
