// What a conformance script may do to a PgBouncer, whether it is the model or the real program.
import type { PoolerConsole } from '../../../../src/pgbouncer/console.ts';
import type { Clock } from '../../../../src/runtime/clock.ts';

/** Where files and servers are, for the text of configuration files. */
export type Place = { readonly dir: string; readonly port: number; readonly serverPort: number };

export const HOST = '127.0.0.1';
export const ADMIN = { user: 'admin', password: 'admin-secret' } as const;
export const STATS = { user: 'stats', password: 'stats-secret' } as const;

/** Users that PostgreSQL knows, with their passwords; `stranger` has none there. */
export const USERS = { app: 'app-secret', other: 'other-secret' } as const;
export const DATABASES = ['app', 'second'] as const;
export const MAX_CONNECTIONS = 40;

export type SubjectClient = {
  /** Opens a transaction and leaves it open; resolves when it has a server. */
  readonly begin: () => Promise<void>;
  readonly commit: () => Promise<void>;
  /** One transaction that PostgreSQL works on for so long. */
  readonly work: (ms: number) => Promise<void>;
  /** True once its connection was ended by the other side. */
  readonly lost: () => boolean;
  readonly leave: () => Promise<void>;
};

export type Load = { readonly stop: () => Promise<void>; readonly failures: () => number };

export type Subject = {
  readonly place: Place;
  readonly clock: Clock;
  readonly console: PoolerConsole;
  readonly consoleOf: (user: string, password: string) => PoolerConsole;
  readonly write: (name: string, text: string) => Promise<void>;
  /** Rejects when the client is not let in. */
  readonly connect: (
    database: string,
    user?: keyof typeof USERS | 'stranger',
    password?: string,
  ) => Promise<SubjectClient>;
  /** Clients that always have a transaction for this database, until they are stopped. */
  readonly load: (database: string, user: keyof typeof USERS, clients: number) => Promise<Load>;
  readonly signal: (name: 'SIGTERM' | 'SIGKILL') => void;
  readonly exited: () => boolean;
  /** PostgreSQL's connections of this user, or of all users but its own superuser. */
  readonly backends: (user?: string) => Promise<number>;
};

/** `answers` are what both have to say; keys name the moments. */
export type Script = {
  readonly name: string;
  readonly boot?: (place: Place) => string;
  readonly run: (subject: Subject, say: (moment: string, answer: unknown) => void) => Promise<void>;
  readonly answers: Readonly<Record<string, unknown>>;
};

/** Waits for a condition, at most so long; a script that waits in vain fails by its name. */
export async function until(
  { clock }: Pick<Subject, 'clock'>,
  what: string,
  isMet: () => Promise<boolean> | boolean,
  timeoutMs = 8_000,
): Promise<void> {
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  while (!(await isMet())) {
    if (clock.monotonicMs() > deadlineMs) throw new Error(`still not after ${timeoutMs} ms: ${what}`);
    await clock.sleep(10);
  }
}

export function userlist(users: Readonly<Record<string, string>> = {}): string {
  const all = {
    [ADMIN.user]: ADMIN.password,
    [STATS.user]: STATS.password,
    ...USERS,
    stranger: 'stranger-secret',
    ...users,
  };
  return Object.entries(all)
    .map(([name, secret]) => `"${name}" "${secret}"\n`)
    .join('');
}

export type FileParts = {
  /** Database → size, or the whole line behind the equals sign. */
  readonly databases?: Readonly<Record<string, number | string>>;
  readonly settings?: readonly string[];
  /** Lines above the others of [pgbouncer]. */
  readonly above?: readonly string[];
  readonly userlist?: string;
};

export function databaseLine(place: Place, size: number, more = '', dbname = 'app'): string {
  return `host=${HOST} port=${place.serverPort} dbname=${dbname} pool_size=${size} max_db_connections=${size} ${more}`.trimEnd();
}

export function fileOf(place: Place, parts: FileParts = {}): string {
  const { databases = { app: 5 }, settings = [], above = [] } = parts;
  return [
    '[databases]',
    ...Object.entries(databases).map(([name, line]) =>
      typeof line === 'number' ? `${name} = ${databaseLine(place, line)}` : `${name} = ${line}`,
    ),
    '[pgbouncer]',
    `listen_addr = ${HOST}`,
    `listen_port = ${place.port}`,
    'unix_socket_dir =',
    ...above,
    `admin_users = ${ADMIN.user}`,
    `stats_users = ${STATS.user}`,
    'auth_type = scram-sha-256',
    `auth_file = ${place.dir}/${parts.userlist ?? 'userlist.txt'}`,
    'server_tls_sslmode = disable',
    'pool_mode = transaction',
    'max_client_conn = 200',
    'server_login_retry = 1',
    ...settings,
    '',
  ].join('\n');
}
