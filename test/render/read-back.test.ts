// Comparing what was rendered with what a pooler shows.
import assert from 'node:assert/strict';
import type { PoolerModel, RenderedIni } from '../../src/model/pooler-model.ts';
import type { DatabaseRow, PoolerView } from '../../src/model/pooler-view.ts';
import { pooledSettings } from '../../src/model/settings/defaults.ts';
import { SETTINGS } from '../../src/model/settings/table.ts';
import { renderIni } from '../../src/render/ini.ts';
import { compareReadBack } from '../../src/render/read-back.ts';

const MODEL: PoolerModel = {
  databases: [{ name: 'orders', host: 'db', port: 5432, dbname: 'prod', poolMode: 'transaction' }],
  userlistFile: 'userlist-0123456789ab.txt',
  serverTls: { mode: 'require' },
  settings: pooledSettings({ server_lifetime: 1800 }, 10),
};
const INI = renderIni(MODEL, { orders: 5 }, { secretsFolder: '/etc/poolsmith/files' });

/** What a pooler shows that runs exactly this file. */
function viewOf(ini: RenderedIni): PoolerView {
  const defaults = [...SETTINGS.values()].flatMap((setting) =>
    setting.default === undefined ? [] : [[setting.name, setting.default] as const],
  );
  const databases = ini.databases.map((wanted): DatabaseRow => ({
    ...wanted,
    currentConnections: 0,
    currentClientConnections: 0,
    paused: false,
    disabled: false,
  }));
  return {
    version: '1.26.1',
    config: new Map([...defaults, ['conffile', '/live.ini'], ...ini.config]),
    databases,
    pools: [],
    stats: [],
    peers: ini.peers,
    clients: 0,
  };
}

function withConfig(key: string, value: string): PoolerView {
  const view = viewOf(INI);
  return { ...view, config: new Map([...view.config, [key, value]]) };
}

function withDatabase(changes: Partial<DatabaseRow>): PoolerView {
  const view = viewOf(INI);
  return { ...view, databases: view.databases.map((row) => ({ ...row, ...changes })) };
}

describe('compareReadBack', () => {
  it('finds nothing when the file is in force', () => {
    assert.deepEqual(compareReadBack(INI, viewOf(INI)), []);
  });

  it('finds every rendered setting that differs or is missing', () => {
    for (const key of INI.config.keys()) {
      const view = viewOf(INI);
      const missing = { ...view, config: new Map([...view.config].filter(([name]) => name !== key)) };
      const want = INI.config.get(key);
      assert.deepEqual(compareReadBack(INI, withConfig(key, 'other')), [{ where: 'config', key, want, got: 'other' }]);
      assert.deepEqual(compareReadBack(INI, missing), [{ where: 'config', key, want, got: 'nothing' }]);
    }
  });

  it('finds a setting that the file leaves out and somebody set by hand', () => {
    assert.deepEqual(compareReadBack(INI, withConfig('auth_user', 'evil')), [
      { where: 'config', key: 'auth_user', want: '', got: 'evil' },
    ]);
    assert.deepEqual(compareReadBack(INI, withConfig('query_timeout', '3')), [
      { where: 'config', key: 'query_timeout', want: '0', got: '3' },
    ]);
  });

  it('finds every column of a database line that differs', () => {
    const changes: readonly (readonly [Partial<DatabaseRow>, string, string, string])[] = [
      [{ host: 'other' }, 'orders.host', 'db', 'other'],
      [{ host: undefined }, 'orders.host', 'db', 'nothing'],
      [{ port: 1 }, 'orders.port', '5432', '1'],
      [{ database: 'test' }, 'orders.database', 'prod', 'test'],
      [{ poolMode: 'session' }, 'orders.pool_mode', 'transaction', 'session'],
      [{ poolMode: undefined }, 'orders.pool_mode', 'transaction', 'nothing'],
      [{ poolSize: 0 }, 'orders.pool_size', '5', '0'],
      [{ maxConnections: 6 }, 'orders.max_connections', '5', '6'],
    ];
    for (const [change, key, want, got] of changes) {
      assert.deepEqual(compareReadBack(INI, withDatabase(change)), [{ where: 'database', key, want, got }]);
    }
  });

  it('finds a database that is missing and one that nobody rendered', () => {
    assert.deepEqual(compareReadBack(INI, withDatabase({ name: 'other' })), [
      { where: 'database', key: 'orders', want: 'present', got: 'absent' },
      { where: 'database', key: 'other', want: 'absent', got: 'present' },
    ]);
  });

  it('does not mind the console, or a database that is paused or disabled', () => {
    const view = withDatabase({ paused: true, disabled: true });
    const [row] = view.databases;
    assert.ok(row);
    assert.deepEqual(
      compareReadBack(INI, { ...view, databases: [...view.databases, { ...row, name: 'pgbouncer' }] }),
      [],
    );
  });

  it('finds a fellow that is missing, has another address, or should be gone', () => {
    const peering = { id: 1, peers: { 2: '10.0.0.2', 3: '10.0.0.3' } };
    const ini = renderIni(MODEL, { orders: 5 }, { secretsFolder: '/etc/poolsmith/files' }, { peering });
    const view = viewOf(ini);
    assert.deepEqual(compareReadBack(ini, view), []);
    const [second, third] = view.peers;
    assert.ok(second !== undefined && third !== undefined);
    assert.deepEqual(
      compareReadBack(ini, {
        ...view,
        peers: [
          { ...second, host: '10.0.0.9' },
          { ...third, id: 4 },
        ],
      }),
      [
        { where: 'peer', key: 'peers.2', want: '10.0.0.2 6432 100', got: '10.0.0.9 6432 100' },
        { where: 'peer', key: 'peers.3', want: '10.0.0.3 6432 100', got: 'absent' },
        { where: 'peer', key: 'peers.4', want: 'absent', got: '10.0.0.3 6432 100' },
      ],
    );
  });

  it('looks at the lifetime of a database only where its line has one of its own', () => {
    const own = renderIni(MODEL, { orders: 5 }, { secretsFolder: '/etc/poolsmith/files' }, { drainable: [] });
    const [row] = viewOf(own).databases;
    assert.equal(row?.serverLifetimeSeconds, 1800);
    assert.deepEqual(compareReadBack(own, viewOf(own)), []);
    assert.deepEqual(compareReadBack(own, { ...viewOf(own), databases: [{ ...row, serverLifetimeSeconds: 0 }] }), [
      { where: 'database', key: 'orders.server_lifetime', want: '1800', got: '0' },
    ]);
    assert.deepEqual(compareReadBack(INI, withDatabase({ serverLifetimeSeconds: 0 })), []);
  });
});
