// One line of [databases]: complete, always quoted, and refused rather than bent when PgBouncer would read something else.
import { POOL_MODES, type DatabaseEntry, type ExpectedDatabase, type PoolMode } from '../model/pooler-model.ts';
import { RESERVED_DATABASES } from '../model/reserved-names.ts';
import { OWN_QUERY_BYTES } from '../model/settings/setting.ts';
import { byteLength, isSafeText } from '../model/settings/validate.ts';
import { RenderError } from './render-error.ts';

/** PgBouncer refuses longer names, PostgreSQL cuts them. */
const NAME_BYTES = 63;
const HOST_BYTES = 253;
/** The most that PostgreSQL's max_connections can be. */
const MAX_SIZE = 262_143;

export type RenderedDatabase = { readonly line: string; readonly expected: ExpectedDatabase };

/**
 * `size` undefined means that nobody granted one. With `ownLifetimeSeconds` the process-wide server_lifetime does not reach the database.
 * @throws RenderError naming the field.
 */
export function renderDatabase(
  entry: DatabaseEntry,
  size: number | undefined,
  ownLifetimeSeconds?: number,
): RenderedDatabase {
  const field = (key: string): string => `databases[${JSON.stringify(entry.name.toWellFormed())}].${key}`;
  const key = databaseKey(entry.name, field('name'));
  const poolSize = checkedSize(size, field('size'));
  const pairs: readonly (readonly [string, string])[] = [
    ['host', checkedHost(entry.host, field('host'))],
    ['port', String(checkedPort(entry.port, field('port')))],
    ['dbname', checkedText(entry.dbname, NAME_BYTES, field('dbname'))],
    ['pool_size', String(poolSize)],
    ['max_db_connections', String(poolSize)],
    ['pool_mode', checkedMode(entry.poolMode, field('poolMode'))],
    ...(ownLifetimeSeconds === undefined ? [] : [['server_lifetime', String(ownLifetimeSeconds)] as const]),
    ...(entry.connectQuery === undefined
      ? []
      : [['connect_query', checkedText(entry.connectQuery, OWN_QUERY_BYTES, field('connectQuery'))] as const]),
  ];
  return {
    line: `${key} = ${pairs.map(([name, value]) => `${name}='${value.replaceAll("'", "''")}'`).join(' ')}`,
    expected: {
      name: entry.name,
      host: entry.host,
      port: entry.port,
      database: entry.dbname,
      poolMode: entry.poolMode,
      poolSize,
      maxConnections: poolSize,
      ...(ownLifetimeSeconds === undefined ? {} : { serverLifetimeSeconds: ownLifetimeSeconds }),
    },
  };
}

/** Bare where the grammar allows it, else in single quotes, inside which nothing can be escaped. */
function databaseKey(name: string, field: string): string {
  checkedText(name, NAME_BYTES, field);
  if (RESERVED_DATABASES.includes(name)) throw new RenderError(field, 'the name is reserved; use another one');
  if (name.includes("'")) throw new RenderError(field, 'a single quote can not be written in a name; use another one');
  return /^[A-Za-z0-9_.-]+$/.test(name) ? name : `'${name}'`;
}

/** A name or an address: a comma would make it a list, a slash or @ a unix socket, a blank the next key. */
function checkedHost(host: string, field: string): string {
  if (!/^[A-Za-z0-9_.:-]+$/.test(host) || host.length > HOST_BYTES) {
    throw new RenderError(field, `it must be one host name or IP address of at most ${HOST_BYTES} characters`);
  }
  return host;
}

function checkedPort(port: number, field: string): number {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new RenderError(field, `it is ${port}; it must be a whole number from 1 to 65535`);
  }
  return port;
}

/** The type says so, but a stored object can be of another version, and one unknown word would have the whole file refused. */
function checkedMode(mode: PoolMode, field: string): PoolMode {
  if (!POOL_MODES.includes(mode)) throw new RenderError(field, `it must be one of ${POOL_MODES.join(', ')}`);
  return mode;
}

/** PgBouncer reads 0, and anything that is not a number, as "no limit". */
function checkedSize(size: number | undefined, field: string): number {
  if (size === undefined || !Number.isInteger(size) || size < 1 || size > MAX_SIZE) {
    throw new RenderError(field, `it is ${size ?? 'missing'}; it must be a whole number from 1 to ${MAX_SIZE}`);
  }
  return size;
}

function checkedText(text: string, maxBytes: number, field: string): string {
  if (text === '') throw new RenderError(field, 'it is empty');
  if (!isSafeText(text)) throw new RenderError(field, 'it has a line break, NUL or another control character');
  if (byteLength(text) > maxBytes) {
    throw new RenderError(field, `it has ${byteLength(text)} bytes; at most ${maxBytes} are safe`);
  }
  return text;
}
