// Compares what a pooler should run with what it says it runs.
import type { PeerRow, RenderedIni } from '../model/pooler-model.ts';
import type { PoolerView } from '../model/pooler-view.ts';
import { RESERVED_DATABASES } from '../model/reserved-names.ts';
import { SETTINGS } from '../model/settings/table.ts';

/** `key` is a setting, or `<database>.<column>`, or a database's name when it should or should not be there, or `peers.<id>`. */
export type Mismatch = {
  readonly where: 'config' | 'database' | 'peer';
  readonly key: string;
  readonly want: string;
  readonly got: string;
};

/** Differences, sorted by place; none means that the file is in force. Paused and disabled databases are not its business. */
export function compareReadBack(expected: RenderedIni, view: PoolerView): readonly Mismatch[] {
  return [...compareConfig(expected, view), ...compareDatabases(expected, view), ...comparePeers(expected, view)];
}

function comparePeers(expected: RenderedIni, view: PoolerView): readonly Mismatch[] {
  const texts = (rows: readonly PeerRow[]): ReadonlyMap<number, string> =>
    new Map(rows.map(({ id, host, port, poolSize }) => [id, `${host} ${port} ${poolSize}`]));
  const [want, got] = [texts(expected.peers), texts(view.peers)];
  return [...new Set([...want.keys(), ...got.keys()])]
    .filter((id) => want.get(id) !== got.get(id))
    .map((id) => ({
      where: 'peer' as const,
      key: `peers.${id}`,
      want: want.get(id) ?? 'absent',
      got: got.get(id) ?? 'absent',
    }));
}

/**
 * Settings that the file leaves out must be at their defaults, as far as the view shows them: one without a default
 * that somebody set by hand outlives every reload. `conffile` names the file itself.
 */
function compareConfig(expected: RenderedIni, view: PoolerView): readonly Mismatch[] {
  const written = [...expected.config].map(([key, want]) => ({ key, want, got: view.config.get(key) ?? 'nothing' }));
  const left = [...SETTINGS.values()]
    .filter(({ name, change }) => change === 'reload' && name !== 'conffile' && !expected.config.has(name))
    .flatMap((setting) => {
      const got = view.config.get(setting.name);
      return got === undefined ? [] : [{ key: setting.name, want: setting.default ?? '', got }];
    });
  return [...written, ...left]
    .filter(({ want, got }) => got !== want)
    .map((difference) => ({ where: 'config' as const, ...difference }));
}

function compareDatabases(expected: RenderedIni, view: PoolerView): readonly Mismatch[] {
  const names = new Set(expected.databases.map(({ name }) => name));
  const missing = expected.databases.flatMap((want) => {
    const got = view.databases.find(({ name }) => name === want.name);
    if (got === undefined) return [{ key: want.name, want: 'present', got: 'absent' }];
    const columns: readonly (readonly [string, string | number, string | number | undefined])[] = [
      ['host', want.host, got.host],
      ['port', want.port, got.port],
      ['database', want.database, got.database],
      ['pool_mode', want.poolMode, got.poolMode],
      ['pool_size', want.poolSize, got.poolSize],
      ['max_connections', want.maxConnections, got.maxConnections],
      ...(want.serverLifetimeSeconds === undefined
        ? []
        : [['server_lifetime', want.serverLifetimeSeconds, got.serverLifetimeSeconds] as const]),
    ];
    return columns
      .filter(([, wanted, shown]) => wanted !== shown)
      .map(([column, wanted, shown]) => ({
        key: `${want.name}.${column}`,
        want: String(wanted),
        got: String(shown ?? 'nothing'),
      }));
  });
  // A database that nobody rendered opens connections that nobody counts.
  const extra = view.databases
    .filter(({ name }) => !names.has(name) && !RESERVED_DATABASES.includes(name))
    .map(({ name }) => ({ key: name, want: 'absent', got: 'present' }));
  return [...missing, ...extra].map((difference) => ({ where: 'database' as const, ...difference }));
}
