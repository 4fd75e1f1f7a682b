// Readings of a console in the short form in which conformance scripts compare them: no ids, no times.
import { SETTINGS } from '../../../../src/model/settings/table.ts';
import type { PoolerConsole } from '../../../../src/pgbouncer/console.ts';
import { AdminError } from '../../../../src/pgbouncer/errors.ts';

/** `name size/cap mode`, and what else is out of the ordinary. */
export async function databases(console: PoolerConsole): Promise<readonly string[]> {
  return (await console.databases()).map(
    ({ name, poolSize, maxConnections, poolMode, paused, database }) =>
      `${name}→${database} ${poolSize}/${maxConnections} ${poolMode ?? '-'}${paused ? ' paused' : ''}`,
  );
}

/** `id host:port size`. */
export async function peers(console: PoolerConsole): Promise<readonly string[]> {
  return (await console.read()).peers.map(({ id, host, port, poolSize }) => `${id} ${host}:${port} ${poolSize}`);
}

/** `database/user` with its servers and clients. */
export async function pools(console: PoolerConsole): Promise<readonly string[]> {
  return (await console.pools()).map(
    ({ database, user, servers, serversActive, serversIdle, clientsActive, clientsWaiting }) =>
      `${database}/${user} servers ${servers}: ${serversActive} active, ${serversIdle} idle; clients ${clientsActive}, ${clientsWaiting} waiting`,
  );
}

export async function servers(console: PoolerConsole, database = 'app'): Promise<number> {
  return (await console.pools())
    .filter((pool) => pool.database === database)
    .reduce((sum, pool) => sum + pool.servers, 0);
}

/** Settings that are not at PgBouncer's default, those aside that only say where files and ports are. */
export async function changedSettings(console: PoolerConsole): Promise<Readonly<Record<string, string>>> {
  const { config } = await console.read();
  const places = new Set(['conffile', 'auth_file', 'listen_port', 'listen_addr', 'unix_socket_dir']);
  return Object.fromEntries(
    [...config]
      .filter(([name, value]) => !places.has(name) && SETTINGS.get(name)?.default !== value)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** Names of all settings that have a value. */
export async function settingNames(console: PoolerConsole): Promise<number> {
  return (await console.read()).config.size;
}

export async function setting(console: PoolerConsole, ...names: readonly string[]): Promise<readonly string[]> {
  const { config } = await console.read();
  return names.map((name) => config.get(name) ?? 'nothing');
}

/** `done`, or the kind of the AdminError. */
export async function outcome(work: Promise<unknown>): Promise<string> {
  try {
    const value = await work;
    return value === undefined ? 'done' : JSON.stringify(value);
  } catch (error) {
    return error instanceof AdminError ? error.kind : 'turned away';
  }
}
