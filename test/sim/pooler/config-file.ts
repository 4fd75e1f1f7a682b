// Reads pgbouncer.ini line by line as PgBouncer does, so that a refused file has been applied down to its bad line.
import { parseConnection, parseIni } from '../../support/pgbouncer-grammar.ts';

export type FileTaker = {
  readonly section: (name: string) => void;
  /** False when the line is refused. */
  readonly database: (name: string, connection: ReadonlyMap<string, string>) => boolean;
  readonly peer: (id: string, connection: ReadonlyMap<string, string>) => boolean;
  readonly setting: (name: string, value: string) => boolean;
};

const SECTIONS: readonly string[] = ['databases', 'peers', 'pgbouncer'];

/** Keys of a [databases] line that the model knows. */
const DATABASE_KEYS: ReadonlySet<string> = new Set([
  ...['host', 'port', 'dbname', 'pool_size', 'max_db_connections', 'pool_mode', 'connect_query', 'server_lifetime'],
]);

/** Those that PgBouncer knows besides; all others it refuses. */
const OTHER_DATABASE_KEYS: ReadonlySet<string> = new Set([
  ...[
    'user',
    'password',
    'auth_user',
    'auth_query',
    'auth_dbname',
    'min_pool_size',
    'reserve_pool_size',
    'reserve_pool',
  ],
  ...[
    'query_wait_timeout',
    'load_balance_hosts',
    'max_db_client_connections',
    'client_encoding',
    'datestyle',
    'timezone',
  ],
  'application_name',
]);

/**
 * True when every line was taken. `badLine` (from 1) is refused whatever it says.
 * @throws for a line that real PgBouncer could take and the model can not.
 */
export function takeFile(text: string, taker: FileTaker, badLine?: number): boolean {
  let section: string | undefined;
  for (const [index, line] of (text.split('\0', 1)[0] ?? '').split('\n').entries()) {
    if (badLine === index + 1) return false;
    if (/^\s*([;#].*)?$/.test(line)) continue;
    let read: ReturnType<typeof parseIni>;
    try {
      read = parseIni(section === undefined || line.startsWith('[') ? line : `[${section}]\n${line}`);
    } catch (error) {
      if (error instanceof SyntaxError) return false;
      throw error;
    }
    const [{ name, entries } = { name: '', entries: [] }] = read;
    if (line.startsWith('[')) {
      if (!SECTIONS.includes(name)) throw new Error(`the model knows no section [${name}]`);
      section = name;
      taker.section(name);
      continue;
    }
    for (const [key, value] of entries) if (!takeEntry(taker, name, key, value)) return false;
  }
  return section !== undefined;
}

function takeEntry(taker: FileTaker, section: string, key: string, value: string): boolean {
  if (section === 'pgbouncer') return taker.setting(key, value);
  let connection: ReadonlyMap<string, string>;
  try {
    connection = parseConnection(value);
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
  return section === 'peers' ? taker.peer(key, connection) : takeDatabase(taker, key, connection);
}

function takeDatabase(taker: FileTaker, name: string, connection: ReadonlyMap<string, string>): boolean {
  const keys = [...connection.keys()];
  const beyond = keys.find((key) => OTHER_DATABASE_KEYS.has(key));
  if (beyond !== undefined) throw new Error(`the model knows no ${beyond} on a database's line`);
  if (!keys.every((key) => DATABASE_KEYS.has(key))) return false;
  return taker.database(name, connection);
}
