// Decoding of SHOW rows: numbers in either spelling, columns by name, and a path in every complaint.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DecodeError } from '../../src/pgbouncer/errors.ts';
import {
  decodeClients,
  decodeConfig,
  decodeDatabases,
  decodePeers,
  decodePools,
  decodeServers,
  decodeStatsTotals,
  decodeVersion,
} from '../../src/pgbouncer/show.ts';

const DATABASE = {
  ...{ name: 'orders', host: '10.0.0.1', port: 5432, database: 'orders_production', force_user: null, pool_size: 8 },
  ...{
    min_pool_size: 0,
    reserve_pool_size: 0,
    server_lifetime: 3600,
    pool_mode: 'transaction',
    load_balance_hosts: null,
  },
  ...{ max_connections: 8, current_connections: 3, max_client_connections: 0, current_client_connections: 20 },
  ...{ paused: 0, disabled: 1 },
};
const POOL = {
  ...{
    database: 'orders',
    user: 'app',
    cl_active: 7,
    cl_waiting: 2,
    cl_active_cancel_req: 0,
    cl_waiting_cancel_req: 0,
  },
  ...{ sv_active: 5, sv_active_cancel: 1, sv_being_canceled: 2, sv_idle: 3, sv_used: 4, sv_tested: 6, sv_login: 1 },
  ...{ maxwait: 1, maxwait_us: 250_000, pool_mode: 'transaction', load_balance_hosts: null },
};
const STATS = {
  ...{
    database: 'orders',
    server_assignment_count: '12',
    xact_count: '10',
    query_count: '30',
    bytes_received: '9',
    bytes_sent: '9',
  },
  ...{ xact_time: '900719925474099', query_time: '1', wait_time: '55', client_parse_count: '0' },
};
const SOCKET = {
  ...{
    type: 'C',
    user: 'app',
    database: 'orders',
    replication: 'none',
    state: 'active',
    addr: '10.1.2.3',
    port: 40_000,
  },
  ...{
    local_addr: '10.1.2.4',
    local_port: 6432,
    connect_time: '2026-11-21 12:00:00 UTC',
    request_time: '',
    wait: 0,
    wait_us: 0,
  },
  ...{
    close_needed: 0,
    ptr: '0x1',
    link: '',
    remote_pid: 0,
    tls: '',
    application_name: 'web',
    prepared_statements: 0,
    id: 17,
  },
};

/** Every number as text, as the numeric columns arrive. */
function asTexts(row: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([key, value]) => [key, typeof value === 'number' ? String(value) : value]),
  );
}

function complaint(decode: () => unknown): string {
  try {
    decode();
  } catch (error) {
    assert.ok(error instanceof DecodeError);
    return error.path;
  }
  assert.fail('it should have been refused');
}

describe('SHOW rows', () => {
  it('take the version from its sentence and refuse anything else', () => {
    assert.equal(decodeVersion([{ version: 'PgBouncer 1.26.1' }]), '1.26.1');
    assert.equal(
      complaint(() => decodeVersion([{ version: 'PostgreSQL 17.2' }])),
      'version.version',
    );
    assert.equal(
      complaint(() => decodeVersion([])),
      'version',
    );
  });

  it('leave settings without a value out', () => {
    const rows = [
      { key: 'a', value: '', default: 'x', changeable: 'yes' },
      { key: 'b', value: null, default: null, changeable: 'yes' },
    ];
    assert.deepEqual([...decodeConfig(rows)], [['a', '']]);
  });

  it('say the same whether numbers come as numbers or as text', () => {
    assert.deepEqual(decodeDatabases([DATABASE]), decodeDatabases([asTexts(DATABASE)]));
    assert.deepEqual(decodePools([POOL]), decodePools([asTexts(POOL)]));
    assert.deepEqual(decodeClients([SOCKET]), decodeClients([asTexts(SOCKET)]));
  });

  it('count every kind of server connection, logins included, and waits in milliseconds', () => {
    const [pool] = decodePools([POOL]);
    assert.deepEqual(pool, {
      ...{ database: 'orders', user: 'app', clientsActive: 7, clientsWaiting: 2 },
      ...{ serversActive: 5, serversIdle: 3, serversLogin: 1, serversCancelling: 1, servers: 22, maxWaitMs: 1250 },
    });
  });

  it('read a database line with what is absent as undefined', () => {
    const [row] = decodeDatabases([{ ...DATABASE, host: null, pool_mode: null }]);
    assert.deepEqual(row, {
      ...{ name: 'orders', host: undefined, port: 5432, database: 'orders_production', poolSize: 8, maxConnections: 8 },
      ...{ currentConnections: 3, currentClientConnections: 20, poolMode: undefined, serverLifetimeSeconds: 3600 },
      ...{ paused: false, disabled: true },
    });
  });

  it('keep counters exact', () => {
    assert.deepEqual(decodeStatsTotals([STATS]), [
      { database: 'orders', assignments: 12, transactions: 10, transactionTimeUs: 900719925474099, waitTimeUs: 55 },
    ]);
    assert.equal(
      complaint(() => decodeStatsTotals([{ ...STATS, wait_time: '9007199254740993' }])),
      'stats[0].wait_time',
    );
  });

  it('read peers', () => {
    const row = { peer_id: 2, host: '10.0.0.2', port: 6432, pool_size: 100 };
    const peer = { id: 2, host: '10.0.0.2', port: 6432, poolSize: 100 };
    assert.deepEqual(decodePeers([row]), [peer]);
    assert.deepEqual(decodePeers([asTexts(row)]), [peer]);
    assert.equal(
      complaint(() => decodePeers([{ ...row, host: null }])),
      'peers[0].host',
    );
  });

  it('read servers with their close mark and TLS', () => {
    const [plain, secure] = decodeServers([SOCKET, { ...SOCKET, id: 18, close_needed: 1, tls: 'TLSv1.3' }]);
    assert.deepEqual([plain?.id, plain?.closeNeeded, plain?.tls], ['17', false, undefined]);
    assert.deepEqual([secure?.id, secure?.closeNeeded, secure?.tls], ['18', true, 'TLSv1.3']);
  });

  it("read a server's backend, and none before it has told its process id", () => {
    const [logging, working] = decodeServers([SOCKET, { ...SOCKET, remote_pid: 4711 }]);
    assert.deepEqual([logging?.backendPid, working?.backendPid], [undefined, 4711]);
  });

  it('ignore columns they do not know and refuse to miss one they use', () => {
    const decoders = [
      [
        decodeDatabases,
        DATABASE,
        'databases',
        [
          'name',
          'host',
          'port',
          'database',
          'pool_size',
          'max_connections',
          'current_connections',
          'current_client_connections',
          'server_lifetime',
          'pool_mode',
          'paused',
          'disabled',
        ],
      ],
      [
        decodePools,
        POOL,
        'pools',
        [
          'database',
          'user',
          'cl_active',
          'cl_waiting',
          'sv_active',
          'sv_active_cancel',
          'sv_being_canceled',
          'sv_idle',
          'sv_used',
          'sv_tested',
          'sv_login',
          'maxwait',
          'maxwait_us',
        ],
      ],
      [
        decodeStatsTotals,
        STATS,
        'stats',
        ['database', 'server_assignment_count', 'xact_count', 'xact_time', 'wait_time'],
      ],
      [
        decodeServers,
        SOCKET,
        'servers',
        ['id', 'user', 'database', 'state', 'addr', 'port', 'connect_time', 'close_needed', 'tls', 'remote_pid'],
      ],
      [
        decodeClients,
        SOCKET,
        'clients',
        ['id', 'user', 'database', 'state', 'addr', 'port', 'connect_time', 'application_name'],
      ],
    ] as const;
    for (const [decode, row, path, used] of decoders) {
      const expected = decode([row]);
      fc.assert(
        fc.property(
          fc.subarray(Object.keys(row).filter((key) => !(used as readonly string[]).includes(key))),
          fc.string(),
          (dropped, extra) => {
            const changed: Record<string, unknown> = { ...row, [`new_${extra}`]: 1 };
            dropped.forEach((key) => Reflect.deleteProperty(changed, key));
            assert.deepEqual(decode([changed]), expected);
          },
        ),
      );
      for (const column of used) {
        const changed: Record<string, unknown> = { ...row };
        Reflect.deleteProperty(changed, column);
        assert.equal(
          complaint(() => decode([row, changed])),
          `${path}[1].${column}`,
        );
      }
    }
  });

  it('refuse what is no count, no flag and no pool mode', () => {
    for (const value of ['', ' 1', '1.5', '0x10', 'NaN', null, true, 1.5, -1, '-1', '1e3']) {
      assert.equal(
        complaint(() => decodePools([{ ...POOL, sv_login: value }])),
        'pools[0].sv_login',
      );
    }
    assert.equal(
      complaint(() => decodeDatabases([{ ...DATABASE, paused: 2 }])),
      'databases[0].paused',
    );
    assert.equal(
      complaint(() => decodeDatabases([{ ...DATABASE, pool_mode: 'fast' }])),
      'databases[0].pool_mode',
    );
    assert.equal(
      decodeDatabases([{ ...DATABASE, pool_size: -1 }])[0]?.poolSize,
      -1,
      'PgBouncer accepts it, so it must show',
    );
  });
});
