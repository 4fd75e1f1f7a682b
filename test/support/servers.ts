// Real PostgreSQL and PgBouncer processes on loopback for tests: own folders, own ports, ready when they accept connections.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { publish } from '../../images/debian.ts';
import { preparePrograms, type Programs } from '../../images/programs.ts';
import { acceptsTcp, end, ownFolder, pidOf, place, startOnFreePort } from './server-process.ts';

const run = promisify(execFile);

const DEFAULT_PASSWORD = 'superuser-password';

export type PostgresOptions = Readonly<{
  maxConnections?: number;
  /** Password of the superuser `postgres`. */
  password?: string;
  /** More settings, as for `postgres -c name=value`. */
  settings?: Readonly<Record<string, string>>;
  /** PEM texts; `authority` makes PostgreSQL verify client certificates. */
  tls?: Readonly<{ certificate: string; key: string; authority?: string }>;
  /** Lines of pg_hba.conf instead of SCRAM for everybody. */
  hba?: readonly string[];
  host?: string;
}>;

export type PostgresServer = AsyncDisposable &
  Readonly<{
    port: number;
    dir: string;
    pid: number;
    superuserUrl: string;
    /** A connection address; the superuser unless told otherwise. */
    url: (database: string, user?: string, password?: string) => string;
    log: () => Promise<string>;
    stop: () => Promise<void>;
  }>;

export type PgbouncerOptions = Readonly<{
  /** The text of pgbouncer.ini. It must listen on the port given here. */
  iniText: (place: Readonly<{ port: number; dir: string }>) => string;
  /** Further files, by name within `dir`, PgBouncer's working folder. */
  files?: Readonly<Record<string, string>>;
  host?: string;
}>;

export type PgbouncerServer = AsyncDisposable &
  Readonly<{
    port: number;
    dir: string;
    pid: number;
    /** Replaces a file in one step, as a mounted volume does. */
    writeFile: (name: string, text: string) => Promise<void>;
    log: () => Promise<string>;
    /** Resolves with the exit code, or the signal's name, once the process is gone. */
    exited: Promise<number | string>;
    /** Ends it at once, whoever is connected. */
    stop: () => Promise<void>;
  }>;

/** Starts an empty PostgreSQL (0.3 s; 2 s the first time). @throws with its log when it does not become ready. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const programs = await preparePrograms();
  const host = options.host ?? '127.0.0.1';
  const superuserPassword = options.password ?? DEFAULT_PASSWORD;
  const dir = await ownFolder(programs, 'postgres-');
  try {
    const data = join(dir, 'data');
    await createData(programs, dir, superuserPassword);
    if (options.hba !== undefined) await place(programs, data, 'pg_hba.conf', `${options.hba.join('\n')}\n`);
    const settings: Record<string, string> = {
      max_connections: String(options.maxConnections ?? 100),
      listen_addresses: host,
      unix_socket_directories: dir,
      // GMT is the one zone PostgreSQL knows without the machine's own time zone files.
      timezone: 'GMT',
      log_timezone: 'GMT',
      fsync: 'off',
      shared_buffers: '32MB',
      ...(options.tls === undefined ? {} : await tlsSettings(programs, dir, options.tls)),
      ...options.settings,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const address = (port: number, database: string, user = 'postgres', password = superuserPassword): string =>
      `postgresql://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${port}/${encodeURIComponent(database)}`;
    const { port, child, exited } = await startOnFreePort(programs, dir, host, {
      command: (freePort) => [join(programs.postgresBin, 'postgres'), '-D', data, '-p', String(freePort), ...flags],
      isReady: async (freePort) => await answersQueries(address(freePort, 'postgres')),
    });
    const url = (database: string, user?: string, password?: string): string => address(port, database, user, password);
    const stop = async (): Promise<void> => {
      await end(child, exited, 'SIGINT');
      await rm(dir, { recursive: true, force: true });
    };
    return {
      ...{ port, dir, pid: pidOf(child), url, superuserUrl: url('postgres'), stop, [Symbol.asyncDispose]: stop },
      log: async () => await readFile(join(dir, 'log'), 'utf8'),
    };
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

/** Starts PgBouncer 1.26.1 with the given configuration. @throws with its log when it does not become ready. */
export async function startPgbouncer(options: PgbouncerOptions): Promise<PgbouncerServer> {
  const programs = await preparePrograms();
  const dir = await ownFolder(programs, 'pgbouncer-');
  try {
    for (const [name, text] of Object.entries(options.files ?? {})) await place(programs, dir, name, text);
    const host = options.host ?? '127.0.0.1';
    const { port, child, exited } = await startOnFreePort(programs, dir, host, {
      command: async (freePort) => {
        await place(programs, dir, 'pgbouncer.ini', options.iniText({ port: freePort, dir }));
        return [programs.pgbouncer, join(dir, 'pgbouncer.ini')];
      },
      isReady: async (freePort) => await acceptsTcp(host, freePort),
    });
    const stop = async (): Promise<void> => {
      await end(child, exited, 'SIGQUIT');
      await rm(dir, { recursive: true, force: true });
    };
    return {
      ...{ port, dir, pid: pidOf(child), exited, stop, [Symbol.asyncDispose]: stop },
      log: async () => await readFile(join(dir, 'log'), 'utf8'),
      writeFile: async (name, text) => {
        await place(programs, dir, name, text);
      },
    };
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

async function tlsSettings(
  programs: Programs,
  dir: string,
  tls: NonNullable<PostgresOptions['tls']>,
): Promise<Record<string, string>> {
  await place(programs, dir, 'server.crt', tls.certificate);
  await place(programs, dir, 'server.key', tls.key);
  if (tls.authority !== undefined) await place(programs, dir, 'ca.crt', tls.authority);
  return {
    ssl: 'on',
    ssl_cert_file: join(dir, 'server.crt'),
    ssl_key_file: join(dir, 'server.key'),
    ...(tls.authority === undefined ? {} : { ssl_ca_file: join(dir, 'ca.crt') }),
  };
}

/** Makes `dir`/data. A data folder with the usual password is made once on a machine and copied from then on: 0.1 s, not 1.2. */
async function createData(programs: Programs, dir: string, password: string): Promise<void> {
  if (password !== DEFAULT_PASSWORD) {
    await initdb(programs, dir, password);
    return;
  }
  const template = `${programs.folder}-data`;
  if (!existsSync(template)) {
    const work = await ownFolder(programs, 'data-', dirname(programs.folder));
    try {
      await initdb(programs, work, password);
      publish(join(work, 'data'), template);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  await run('cp', ['-R', '--preserve=mode', template, join(dir, 'data')], { ...programs.unprivileged, cwd: dir });
}

async function initdb(programs: Programs, dir: string, password: string): Promise<void> {
  await place(programs, dir, 'password', password);
  const layout = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const access = ['--username=postgres', `--pwfile=${join(dir, 'password')}`, '--auth=scram-sha-256'];
  const args = [`--pgdata=${join(dir, 'data')}`, ...layout, ...access, '--no-sync', '--no-instructions'];
  await run(join(programs.postgresBin, 'initdb'), args, { ...programs.unprivileged, cwd: dir });
}

/** A server that is starting accepts connections too, and refuses them with 57P03; one that refuses a login is up. */
async function answersQueries(connectionString: string): Promise<boolean> {
  const client = new pg.Client({ connectionString });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch (error) {
    return error instanceof pg.DatabaseError && error.code !== '57P03';
  } finally {
    await client.end().catch(() => undefined);
  }
}
