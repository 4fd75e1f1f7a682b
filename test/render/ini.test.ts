// The rendered pgbouncer.ini: order, completeness, and that nothing a user can write changes what PgBouncer reads.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type {
  ClientTlsMode,
  DatabaseEntry,
  Peering,
  PoolerModel,
  PoolMode,
  ServerTlsMode,
} from '../../src/model/pooler-model.ts';
import { pooledSettings } from '../../src/model/settings/defaults.ts';
import { renderIni } from '../../src/render/ini.ts';
import { RenderError } from '../../src/render/render-error.ts';
import { CONTROL_TEXTS, GRAMMAR_CHARACTERS, NASTY_TEXTS } from '../support/nasty-texts.ts';
import { parseConnection, parseIni } from '../support/pgbouncer-grammar.ts';

const PLACE = { secretsFolder: '/etc/poolsmith/files' };
const ORDERS: DatabaseEntry = {
  name: 'orders',
  host: 'db.shop.svc',
  port: 5432,
  dbname: 'orders_production',
  poolMode: 'transaction',
};

function model(changes: Partial<PoolerModel> = {}): PoolerModel {
  return {
    databases: [ORDERS],
    userlistFile: 'userlist-0123456789ab.txt',
    serverTls: { mode: 'verify-full', caFile: 'ca-1.crt' },
    settings: pooledSettings({ query_wait_timeout: 4 }, 10),
    ...changes,
  };
}

function withDatabase(changes: Partial<DatabaseEntry>): PoolerModel {
  return model({ databases: [{ ...ORDERS, ...changes }] });
}

function render(pooler: PoolerModel, size = 5): ReturnType<typeof renderIni> {
  return renderIni(pooler, Object.fromEntries(pooler.databases.map(({ name }) => [name, size])), PLACE);
}

describe('renderIni', () => {
  it('writes databases before settings, and the hash of all above as the last line', () => {
    const { text, hash } = render(model());
    assert.deepEqual(
      parseIni(text).map(({ name }) => name),
      ['databases', 'pgbouncer'],
    );
    assert.match(text, new RegExp(`\nsyslog_ident = ${hash}\n$`));
    assert.match(hash, /^[0-9a-f]{16}$/);
  });

  it('writes the fellows of a pod and its own number, and no section where it has none', () => {
    const peering = { id: 3, peers: { 12: 'fd00::c', 1: '10.0.0.1' } };
    const { text, config, peers } = renderIni(model(), { orders: 5 }, PLACE, { peering });
    assert.deepEqual(parseIni(text)[1], {
      name: 'peers',
      entries: [
        ['1', 'host=10.0.0.1 port=6432 pool_size=100'],
        ['12', 'host=fd00::c port=6432 pool_size=100'],
      ],
    });
    assert.equal(config.get('peer_id'), '3');
    assert.deepEqual(
      peers.map(({ id, host }) => [id, host]),
      [
        [1, '10.0.0.1'],
        [12, 'fd00::c'],
      ],
    );
    const alone = renderIni(model(), { orders: 5 }, PLACE, { peering: { id: 3, peers: {} } });
    assert.ok(!alone.text.includes('[peers]'));
    assert.equal(render(model()).config.get('peer_id'), '0');
  });

  const strangers: readonly (readonly [string, Peering, RegExp])[] = [
    ['a number above 65535', { id: 65_536, peers: {} }, /peer_id: it is 65536; it must be an integer from 1 to 65535/],
    ['the number 0, which is no peering', { id: 0, peers: {} }, /peer_id/],
    ['a fellow without a number', { id: 1, peers: { two: '10.0.0.2' } }, /peer_id: it is NaN/],
    [
      'an address that is none',
      { id: 1, peers: { 2: "10.0.0.2 password='x'" } },
      /peers\[2\]: it must be an IP address/,
    ],
  ];
  for (const [what, peering, complaint] of strangers) {
    it(`refuses ${what}`, () => {
      assert.throws(() => renderIni(model(), { orders: 5 }, PLACE, { peering }), complaint);
    });
  }

  it('gives databases that a drain must not reach the lifetime that is in force anyway', () => {
    const two = { databases: [ORDERS, { ...ORDERS, name: 'billing' }] };
    const lifetimes = (settings: PoolerModel['settings'], drainable?: readonly string[]) => {
      const ini = renderIni(
        model({ ...two, settings }),
        { orders: 5, billing: 5 },
        PLACE,
        drainable === undefined ? {} : { drainable },
      );
      const written = [...ini.text.matchAll(/^(\w+) = .* server_lifetime='(\d+)'$/gm)].map(([, name, text]) => [
        name,
        text,
      ]);
      assert.deepEqual(
        ini.databases.flatMap(({ name, serverLifetimeSeconds: own }) =>
          own === undefined ? [] : [[name, String(own)]],
        ),
        written,
      );
      return written;
    };
    assert.deepEqual(lifetimes({}), []);
    assert.deepEqual(lifetimes({}, ['orders']), [['billing', '3600']]);
    assert.deepEqual(lifetimes({ server_lifetime: '90' }, ['orders']), [['billing', '90']]);
    assert.deepEqual(lifetimes({}, ['billing', 'orders']), []);
    // PgBouncer cuts the fraction off a line's number, and reads 0 as the process-wide one.
    assert.deepEqual(lifetimes({ server_lifetime: '1.5' }, ['orders']), []);
  });

  it('writes logins and encryption above the limits, and those above what the user chose', () => {
    const keys = parseIni(render(model()).text)[1]?.entries.map(([key]) => key) ?? [];
    const order = [
      'listen_addr',
      'admin_users',
      'auth_file',
      'client_tls_sslmode',
      'server_tls_ca_file',
      'default_pool_size',
      'max_client_conn',
      'server_login_retry',
      'syslog_ident',
    ];
    assert.deepEqual(
      keys.filter((key) => order.includes(key)),
      order,
    );
    assert.equal(new Set(keys).size, keys.length);
  });

  it('writes TLS towards clients above the server’s, with the lines that make it safe, and none of them without it', () => {
    const clientTls = { mode: 'require', certFile: 'client-1.crt', keyFile: 'client-1.key' } as const;
    const lines = (parseIni(render(model({ clientTls })).text)[1]?.entries ?? []).map(
      ([key, text]) => `${key} = ${text}`,
    );
    assert.deepEqual(
      lines.filter((line) => line.startsWith('client_tls_')),
      [
        'client_tls_sslmode = require',
        'client_tls_ca_file = /etc/poolsmith/files/client-1.crt',
        'client_tls_cert_file = /etc/poolsmith/files/client-1.crt',
        'client_tls_key_file = /etc/poolsmith/files/client-1.key',
        'client_tls_protocols = secure',
        'client_tls_ciphers = ECDHE+AESGCM:ECDHE+CHACHA20',
      ],
    );
    const place = (name: string): number => lines.findIndex((line) => line.startsWith(`${name} =`));
    assert.ok(place('auth_file') < place('client_tls_sslmode'));
    assert.ok(place('client_tls_ciphers') < place('server_tls_sslmode'));
    const without = render(model()).text.match(/^client_tls_.*$/gm);
    assert.deepEqual(without, ['client_tls_sslmode = disable', 'client_tls_ca_file = ']);
  });

  it('writes the certificate for the server with its key, and no line of them without it', () => {
    const lines = (serverTls: PoolerModel['serverTls']) => render(model({ serverTls })).text.match(/^server_tls_.*$/gm);
    assert.deepEqual(lines({ mode: 'require', certFile: 'server-1.crt', keyFile: 'server-1.key' }), [
      'server_tls_sslmode = require',
      'server_tls_ca_file = ',
      'server_tls_cert_file = /etc/poolsmith/files/server-1.crt',
      'server_tls_key_file = /etc/poolsmith/files/server-1.key',
      'server_tls_protocols = secure',
    ]);
    assert.deepEqual(lines({ mode: 'require' }), [
      'server_tls_sslmode = require',
      'server_tls_ca_file = ',
      'server_tls_protocols = secure',
    ]);
  });

  it('writes every column of a database line, with the size as pool and as cap', () => {
    const connectQuery = "set client_connection_check_interval = '1s'";
    const { text, databases } = render(withDatabase({ connectQuery }), 7);
    const [[key, value] = ['', '']] = parseIni(text)[0]?.entries ?? [];
    assert.equal(key, 'orders');
    assert.deepEqual(Object.fromEntries(parseConnection(value)), {
      host: 'db.shop.svc',
      port: '5432',
      dbname: 'orders_production',
      pool_size: '7',
      max_db_connections: '7',
      pool_mode: 'transaction',
      connect_query: connectQuery,
    });
    assert.deepEqual(databases, [
      {
        name: 'orders',
        host: 'db.shop.svc',
        port: 5432,
        database: 'orders_production',
        poolMode: 'transaction',
        poolSize: 7,
        maxConnections: 7,
      },
    ]);
  });

  it('doubles every quote within a value, inside which nothing else can be escaped', () => {
    const { text } = render(withDatabase({ connectQuery: "set x = 'a'", dbname: "o'hare" }));
    assert.ok(text.includes(" dbname='o''hare' "), text);
    assert.ok(text.includes(" connect_query='set x = ''a'''\n"), text);
  });

  it('gives the same bytes for the same input in another order', () => {
    const other = { ...ORDERS, name: 'audit' };
    const settings = pooledSettings({ log_stats: 0, query_timeout: 9 }, 10);
    const reversed = Object.fromEntries(Object.entries(settings).reverse());
    assert.equal(
      render(model({ databases: [ORDERS, other], settings })).text,
      render(model({ databases: [other, ORDERS], settings: reversed })).text,
    );
  });

  it('changes the hash with any size and any setting', () => {
    const hashes = [
      render(model()),
      render(model(), 6),
      render(model({ settings: {} })),
      render(withDatabase({ poolMode: 'session' })),
    ].map(({ hash }) => hash);
    assert.equal(new Set(hashes).size, 4);
  });

  it('expects exactly what it writes', () => {
    const { text, config } = render(model());
    assert.deepEqual(parseIni(text)[1]?.entries, [...config]);
  });

  const refused: readonly (readonly [string, () => unknown, RegExp])[] = [
    [
      'a size of 0, which PgBouncer reads as unlimited',
      () => render(model(), 0),
      /databases\["orders"\]\.size: it is 0; it must be a whole number from 1/,
    ],
    ['a negative size', () => render(model(), -1), /it is -1/],
    ['half a connection', () => render(model(), 1.5), /it is 1\.5/],
    ['a size that is not a number', () => render(model(), Number.NaN), /it is NaN/],
    ['a missing size', () => renderIni(model(), {}, PLACE), /size: it is missing/],
    [
      'a size that only the prototype has',
      () => renderIni(withDatabase({ name: 'constructor' }), {}, PLACE),
      /size: it is missing/,
    ],
    ['the name of the console', () => render(withDatabase({ name: 'pgbouncer' })), /\.name: the name is reserved/],
    ['the name that admits every database', () => render(withDatabase({ name: '*' })), /\.name: the name is reserved/],
    ['a name with a single quote', () => render(withDatabase({ name: "a'b" })), /\.name: a single quote/],
    ['a name of 64 bytes', () => render(withDatabase({ name: 'é'.repeat(32) })), /64 bytes; at most 63/],
    ['an empty database', () => render(withDatabase({ dbname: '' })), /\.dbname: it is empty/],
    ['a list of hosts', () => render(withDatabase({ host: 'a,b' })), /\.host: it must be one host/],
    ['a socket', () => render(withDatabase({ host: '/tmp' })), /\.host: it must be one host/],
    [
      'a second key in the host',
      () => render(withDatabase({ host: '127.0.0.1 pool_size=1000' })),
      /\.host: it must be one host/,
    ],
    ['port 0', () => render(withDatabase({ port: 0 })), /\.port: it is 0/],
    ['port 99999', () => render(withDatabase({ port: 99_999 })), /\.port: it is 99999/],
    [
      'a connect_query that PgBouncer could not send',
      () => render(withDatabase({ connectQuery: 'x'.repeat(507) })),
      /507 bytes; at most 506/,
    ],
    [
      'a pool mode that PgBouncer does not know, for which it would refuse the whole file',
      () => render(withDatabase({ poolMode: 'Session' as PoolMode })),
      /databases\["orders"\]\.poolMode: it must be one of transaction, session, statement/,
    ],
    [
      'a TLS mode that brings another setting along',
      () => render(model({ serverTls: { mode: 'disable\nauth_type = any' as ServerTlsMode } })),
      /serverTls\.mode: it must be one of disable, require, verify-ca, verify-full/,
    ],
    [
      'a TLS mode for clients that PgBouncer knows and nobody offers',
      () =>
        render(
          model({ clientTls: { mode: 'allow' as ClientTlsMode, certFile: 'client-1.crt', keyFile: 'client-1.key' } }),
        ),
      /clientTls\.mode: it must be one of prefer, require/,
    ],
    ['the same database twice', () => render(model({ databases: [ORDERS, ORDERS] })), /it is there twice/],
    [
      'verification without a certificate authority',
      () => render(model({ serverTls: { mode: 'verify-ca' } })),
      /serverTls\.caFile: it is missing/,
    ],
    [
      'a certificate for the server without its key',
      () => render(model({ serverTls: { mode: 'require', certFile: 'server-1.crt' } })),
      /serverTls\.certFile: a certificate and its key are there both or not at all/,
    ],
    [
      'a file outside of the folder',
      () => render(model({ userlistFile: '../passwd' })),
      /userlistFile: it must be a file name/,
    ],
    [
      'a folder with a line break',
      () => renderIni(model(), { orders: 1 }, { secretsFolder: '/a\nb' }),
      /secretsFolder/,
    ],
    [
      'a setting that users may not set',
      () => render(model({ settings: { auth_type: 'any' } })),
      /settings\["auth_type"\]/,
    ],
    ['a setting that does not exist', () => render(model({ settings: { nonsense: '1' } })), /settings\["nonsense"\]/],
    [
      'a value out of range',
      () => render(model({ settings: { max_packet_size: '16' } })),
      /max_packet_size is "16"; it must be/,
    ],
  ];
  for (const [what, attempt, pattern] of refused) {
    it(`refuses ${what}, naming the field`, () => {
      assert.throws(attempt, (error) => error instanceof RenderError && pattern.test(error.message));
    });
  }

  it('refuses control characters everywhere', () => {
    for (const text of CONTROL_TEXTS) {
      const attempts = [
        withDatabase({ name: text }),
        withDatabase({ dbname: text }),
        withDatabase({ host: text }),
        withDatabase({ connectQuery: text }),
        model({ userlistFile: text }),
        model({ settings: { server_reset_query: text } }),
        model({ settings: { [text]: '1' } }),
        model({ serverTls: { mode: 'require', caFile: text } }),
        model({ serverTls: { mode: 'require', certFile: text, keyFile: 'server-1.key' } }),
        model({ serverTls: { mode: 'require', certFile: 'server-1.crt', keyFile: text } }),
      ];
      for (const attempt of attempts) assert.throws(() => render(attempt), RenderError, JSON.stringify(text));
    }
  });

  it('either refuses a text or PgBouncer reads that very text', () => {
    const text = fc.oneof(
      { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 80 }) },
      fc.string({ unit: fc.constantFrom(...GRAMMAR_CHARACTERS) }),
      fc.constantFrom(...NASTY_TEXTS),
      fc.tuple(fc.constantFrom(...NASTY_TEXTS), fc.constantFrom(...NASTY_TEXTS)).map((pair) => pair.join('')),
    );
    let rendered = 0;
    fc.assert(
      fc.property(text, text, text, text, (name, dbname, connectQuery, query) => {
        const pooler = model({
          databases: [
            { ...ORDERS, name, dbname, connectQuery },
            { ...ORDERS, name: 'zzz' },
          ],
          settings: { server_reset_query: query },
        });
        let ini;
        try {
          ini = renderIni(pooler, { [name]: 3, zzz: 4 }, PLACE);
        } catch (error) {
          assert.ok(error instanceof RenderError);
          return;
        }
        rendered += 1;
        const sections = parseIni(ini.text);
        assert.deepEqual(
          sections.map((section) => section.name),
          ['databases', 'pgbouncer'],
        );
        const lines = new Map(sections[0]?.entries);
        assert.deepEqual(new Set(lines.keys()), new Set([name, 'zzz']));
        const pairs = parseConnection(lines.get(name) ?? '');
        assert.equal(pairs.get('dbname'), dbname);
        assert.equal(pairs.get('connect_query'), connectQuery);
        assert.equal(pairs.get('pool_size'), '3');
        assert.deepEqual(
          [...pairs.keys()],
          ['host', 'port', 'dbname', 'pool_size', 'max_db_connections', 'pool_mode', 'connect_query'],
        );
        assert.equal(new Map(sections[1]?.entries).get('server_reset_query'), query);
        assert.deepEqual(sections[1]?.entries, [...ini.config]);
      }),
      { numRuns: 3000 },
    );
    assert.ok(rendered > 200, `only ${rendered} were rendered`);
  }).timeout(60_000);
});
