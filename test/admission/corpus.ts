// Good and bad PoolConfigs: what the API server must accept whole, and what it must refuse in words that help.
import type { Json } from './api-server.ts';

/** Path → value to set in the valid object; undefined takes the field away. */
export type Changes = Readonly<Record<string, unknown>>;
export type Good = readonly [name: string, changes: Changes];
/** `says`: what the refusal must contain, at least the field, the value where it is short, and what is allowed. */
export type Bad = readonly [name: string, changes: Changes, ...says: readonly string[]];

/** A small valid object, changed. */
export function sample(changes: Changes): Json {
  const object: Json = {
    apiVersion: 'poolsmith.dev/v1alpha1',
    kind: 'PoolConfig',
    metadata: { name: 'orders' },
    spec: {
      server: { host: 'orders-db.shop.svc', tls: { mode: 'require' } },
      budget: { connections: 80, reserve: 5 },
      databases: [{ name: 'orders' }],
      auth: { users: [{ secretRef: { name: 'orders-app' } }] },
      workloads: [{ ref: { kind: 'Deployment', name: 'web' }, workers: 2, threads: 5 }],
    },
  };
  for (const [path, value] of Object.entries(changes)) set(object, path.split('/'), value);
  return object;
}

function set(object: Json, path: readonly string[], value: unknown): void {
  const [name = '', ...rest] = path;
  if (rest.length > 0) {
    object[name] ??= {};
    set(object[name] as Json, rest, value);
  } else if (value === undefined) {
    Reflect.deleteProperty(object, name);
  } else {
    object[name] = value;
  }
}

/** 63 bytes that differ only at their end. */
function longName(index: number): string {
  return String(index).padStart(63, 'd');
}

const HOST = 'spec/server/host';
const TLS = 'spec/server/tls';
const POOLER_TLS = 'spec/pooler/tls';
const HBA = 'spec/auth/hba';
const address = (text: string) => ({ address: text, method: 'reject' });
const MONITOR = { 'spec/server/monitorSecretRef': { name: 'monitor' } };
const DATABASE = 'spec/databases/0';
const USER = 'spec/auth/users/0';
const WORKLOAD = 'spec/workloads/0';
const CLIENTS = { 'spec/workloads/0': { name: 'bi', clients: 4 } };
const TEMPLATE = 'spec/fleet/template';
const DRAIN = 'spec/fleet/drain';
const PARAMETERS = 'spec/pooler/parameters';

export const GOOD: readonly Good[] = [
  ['the small one', {}],
  ['a server that is not waited for', { 'spec/server/whenLost': 'Fail' }],
  ['a pause', { 'spec/pause': { until: '2026-12-01T10:00:00Z' } }],
  ['a pause until a time with an offset', { 'spec/pause': { until: '2026-12-01T12:00:00.5+02:00' } }],
  ['an IPv4 host', { [HOST]: '10.20.30.40' }],
  ['an IPv4 host that only looks reserved', { [HOST]: '172.127.0.1' }],
  ['an IPv6 host', { [HOST]: '2001:db8::1' }],
  ['an IPv6 host in full', { [HOST]: '2001:db8:0:0:0:0:2:1' }],
  ['a host of one label', { [HOST]: 'db' }],
  ['a host with digits and hyphens', { [HOST]: 'pg-14.0x.example-1.com' }],
  ['a host that contains the word localhost', { [HOST]: 'localhost-db.example.com' }],
  ['a host of 253 characters', { [HOST]: `${'a'.repeat(61)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(63)}` }],
  ['the highest port', { 'spec/server/port': 65535 }],
  ['the lowest port', { 'spec/server/port': 1 }],
  ['no TLS, said aloud', { [TLS]: { mode: 'disable' } }],
  ['require with a CA', { [TLS]: { mode: 'require', caSecretRef: { name: 'ca' } } }],
  ['verify-ca with its CA', { [TLS]: { mode: 'verify-ca', caSecretRef: { name: 'ca' } } }],
  [
    'verify-full with a CA under another key',
    { [TLS]: { mode: 'verify-full', caSecretRef: { name: 'ca.x', key: 'root.pem' } } },
  ],
  [
    'a certificate for the server',
    { [TLS]: { mode: 'verify-full', caSecretRef: { name: 'ca' }, certSecretRef: { name: 'own' } } },
  ],
  [
    'a certificate for a server that is not checked itself',
    { [TLS]: { mode: 'require', certSecretRef: { name: 'own' } } },
  ],
  ['clients that may use TLS', { [POOLER_TLS]: { mode: 'prefer', certSecretRef: { name: 'tls' } } }],
  ['clients that must use TLS', { [POOLER_TLS]: { mode: 'require', certSecretRef: { name: 'tls' } } }],
  [
    'an authority of clients',
    {
      [POOLER_TLS]: {
        ...{ mode: 'require', certSecretRef: { name: 'tls' } },
        clientCaSecretRef: { name: 'ca', key: 'root.pem' },
      },
      [HBA]: [{ type: 'hostssl', users: ['app'], method: 'cert' }],
    },
  ],
  ['rules with everything left out', { [HBA]: [{ method: 'reject' }] }],
  ['rules of both address families', { [HBA]: [address('10.0.0.0/8'), address('fd00::/8'), address('0.0.0.0/0')] }],
  ['clients without TLS, said aloud', { [POOLER_TLS]: { mode: 'disable' } }],
  [
    'a monitor role',
    { 'spec/server/monitorSecretRef': { name: 'm', usernameKey: 'u', passwordKey: 'p', database: 'postgres' } },
  ],
  ['percent with a monitor role', { ...MONITOR, 'spec/budget': { percent: 100, reserve: 3 } }],
  ['one percent', { ...MONITOR, 'spec/budget': { percent: 1 } }],
  ['the least budget', { 'spec/budget': { connections: 1 } }],
  ['the largest budget with the largest reserve', { 'spec/budget': { connections: 100000, reserve: 99999 } }],
  [
    'every pool mode',
    { 'spec/databases': ['transaction', 'session', 'statement'].map((poolMode) => ({ name: poolMode, poolMode })) },
  ],
  [
    'databases in other scripts',
    { 'spec/databases': [{ name: 'заказы' }, { name: '注文', database: 'it\'s "x" \\ y;#%' }] },
  ],
  [
    'a database of 63 bytes',
    { [DATABASE]: { name: 'é'.repeat(31) + 'x', database: 'd'.repeat(63), weight: 1000, poolSize: 100000 } },
  ],
  ['a hundred databases', { 'spec/databases': Array.from({ length: 100 }, (_, i) => ({ name: `db${i}` })) }],
  [
    'a user name of its own',
    { [`${USER}/username`]: 'app "x"', [`${USER}/usernameKey`]: 'u', [`${USER}/passwordKey`]: 'p' },
  ],
  [
    'fifty users',
    { 'spec/auth/users': Array.from({ length: 50 }, (_, i) => ({ secretRef: { name: `u${i}` }, username: `u${i}` })) },
  ],
  [
    'two users out of one Secret',
    {
      'spec/auth/users': [
        { secretRef: { name: 'u' }, usernameKey: 'a' },
        { secretRef: { name: 'u' }, usernameKey: 'b' },
      ],
    },
  ],
  ['no workloads', { 'spec/workloads': undefined }],
  ['an empty list of workloads', { 'spec/workloads': [] }],
  [
    'numbers from the environment',
    {
      [`${WORKLOAD}/workers`]: { env: 'WEB_CONCURRENCY', default: 2 },
      [`${WORKLOAD}/threads`]: { env: 'T', default: 10000, container: 'web' },
    },
  ],
  ['workers left out', { [`${WORKLOAD}/workers`]: undefined }],
  [
    'a StatefulSet with the highest numbers',
    { [WORKLOAD]: { ref: { kind: 'StatefulSet', name: 'a.b' }, workers: 10000, threads: 10000 } },
  ],
  ['clients from elsewhere', { [WORKLOAD]: { name: 'BI-tool_1.x', clients: 100000, databases: ['orders'] } }],
  ['one pod', { 'spec/fleet': { replicas: 1 } }],
  ['fifty pods', { 'spec/fleet': { replicas: 50 } }],
  ['a drain of a day', { [DRAIN]: { window: '24h', timeout: '24h' } }],
  ['a drain in several units', { [DRAIN]: { window: '1m30s', timeout: '1h' } }],
  [
    'labels and annotations',
    {
      [`${TEMPLATE}/metadata`]: {
        labels: { team: 'a', 'app.kubernetes.io/part-of': 'shop' },
        annotations: { 'example.com/x': 'any text\nof two lines' },
      },
    },
  ],
  [
    'all of the template',
    {
      [TEMPLATE]: {
        resources: {
          requests: { cpu: 1, memory: '64Mi' },
          limits: { cpu: '1500m', memory: '1Gi', 'ephemeral-storage': '1Gi' },
        },
        nodeSelector: { disk: 'ssd' },
        affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            minDomains: 2,
            topologyKey: 'zone',
            whenUnsatisfiable: 'DoNotSchedule',
            nodeTaintsPolicy: 'Honor',
            labelSelector: { matchLabels: { a: 'b' } },
          },
        ],
        tolerations: [{ key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 30 }],
        priorityClassName: 'high',
        imagePullSecrets: [{ name: 'registry' }],
        imagePullPolicy: 'IfNotPresent',
      },
    },
  ],
  ['an image by digest', { 'spec/pooler/image': `registry.example.com:5000/pgbouncer@sha256:${'0'.repeat(64)}` }],
  [
    'parameters as numbers and as texts',
    { [PARAMETERS]: { server_idle_timeout: 120, query_wait_timeout: '4', server_round_robin: 1 } },
  ],
  [
    'a load balancer',
    {
      'spec/service': {
        type: 'LoadBalancer',
        port: 6432,
        sessionAffinity: 'ClientIP',
        annotations: { 'service.example.com/scheme': 'internal' },
      },
    },
  ],
  [
    'as much of everything as the bounds allow, which must not exhaust what a rule may cost',
    {
      'spec/databases': Array.from({ length: 100 }, (_, i) => ({ name: longName(i), database: longName(i) })),
      'spec/auth/users': Array.from({ length: 50 }, (_, i) => ({
        secretRef: { name: `u${i}` },
        username: longName(i),
      })),
      'spec/workloads': Array.from({ length: 50 }, (_, i) => ({
        ref: { kind: 'Deployment', name: `w${i}` },
        threads: { env: 'T', default: 5 },
        databases: Array.from({ length: 100 }, (_, k) => longName(k)),
      })),
      [`${TEMPLATE}/metadata`]: {
        labels: Object.fromEntries(
          Array.from({ length: 32 }, (_, i) => [`${'a'.repeat(60)}.example.com/l${i}`, 'x'.repeat(63)]),
        ),
        annotations: Object.fromEntries(
          Array.from({ length: 16 }, (_, i) => [`${'a'.repeat(60)}.example.com/l${i}`, 'x'.repeat(1024)]),
        ),
      },
    },
  ],
];

const NAME_RANGE = '1 to 63 bytes';
const OWN_KEYS = 'not allowed';

export const BAD: readonly Bad[] = [
  // server
  ['no server', { 'spec/server': undefined }, 'spec.server', 'Required'],
  ['no host', { [HOST]: undefined }, 'spec.server.host', 'Required'],
  ['an empty host', { [HOST]: '' }, 'spec.server.host', '""', 'at least 1'],
  ['a host list', { [HOST]: 'db1,db2' }, 'spec.server.host', '"db1,db2"', 'no list'],
  ['a host list with blanks', { [HOST]: 'db1 db2' }, 'spec.server.host', '"db1 db2"', 'no blanks'],
  [
    'a host with an injected setting',
    { [HOST]: '10.0.0.1 pool_size=1000' },
    'spec.server.host',
    'pool_size=1000',
    'one DNS name',
  ],
  ['a socket path', { [HOST]: '/var/run/postgresql' }, 'spec.server.host', '"/var/run/postgresql"', 'no socket path'],
  ['an abstract socket', { [HOST]: '@socket' }, 'spec.server.host', '"@socket"', "no '@'"],
  ['a host with a user', { [HOST]: 'me@db' }, 'spec.server.host', '"me@db"', "no '@'"],
  ['a host with a port', { [HOST]: 'db:5432' }, 'spec.server.host', '"db:5432"', 'one DNS name'],
  ['a host with a newline', { [HOST]: 'db\nport=1' }, 'spec.server.host', 'no blanks or control characters'],
  ['a host with a NUL', { [HOST]: 'db\u0000' }, 'spec.server.host', 'one DNS name'],
  ['a host of 254 characters', { [HOST]: 'a'.repeat(254) }, 'spec.server.host', 'Too long', '253'],
  ['loopback by number', { [HOST]: '127.0.0.1' }, 'spec.server.host', '"127.0.0.1"', 'loopback'],
  ['any loopback number', { [HOST]: '127.8.9.10' }, 'spec.server.host', '"127.8.9.10"', 'loopback'],
  ['loopback written short', { [HOST]: '127.1' }, 'spec.server.host', '"127.1"', 'one IP address'],
  ['loopback as one number', { [HOST]: '2130706433' }, 'spec.server.host', '"2130706433"', 'one IP address'],
  ['loopback in hexadecimal', { [HOST]: '0x7f000001' }, 'spec.server.host', '"0x7f000001"', 'one IP address'],
  ['loopback in octal', { [HOST]: '0177.0.0.1' }, 'spec.server.host', '"0177.0.0.1"', 'one IP address'],
  ['localhost', { [HOST]: 'localhost' }, 'spec.server.host', '"localhost"', 'loopback'],
  ['localhost in capitals', { [HOST]: 'LocalHost' }, 'spec.server.host', '"LocalHost"', 'loopback'],
  ['a name under localhost', { [HOST]: 'db.localhost' }, 'spec.server.host', '"db.localhost"', 'loopback'],
  ['ip6-localhost', { [HOST]: 'ip6-localhost' }, 'spec.server.host', '"ip6-localhost"', 'loopback'],
  ['the unspecified address', { [HOST]: '0.0.0.0' }, 'spec.server.host', '"0.0.0.0"', 'unspecified'],
  ['IPv6 loopback', { [HOST]: '::1' }, 'spec.server.host', '"::1"', 'loopback'],
  ['IPv6 loopback in full', { [HOST]: '0:0:0:0:0:0:0:1' }, 'spec.server.host', '"0:0:0:0:0:0:0:1"', 'loopback'],
  ['IPv4 loopback inside IPv6', { [HOST]: '::ffff:7f00:1' }, 'spec.server.host', '"::ffff:7f00:1"', 'loopback'],
  [
    'IPv4 loopback inside IPv6, dotted',
    { [HOST]: '::ffff:127.0.0.1' },
    'spec.server.host',
    '"::ffff:127.0.0.1"',
    'one IP address',
  ],
  ['the metadata service', { [HOST]: '169.254.169.254' }, 'spec.server.host', '"169.254.169.254"', 'link-local'],
  ['IPv6 link-local', { [HOST]: 'FE80::1' }, 'spec.server.host', '"FE80::1"', 'link-local'],
  ['IPv6 link-local with a zone', { [HOST]: 'fe80::1%eth0' }, 'spec.server.host', '"fe80::1%eth0"', 'one IP address'],
  ['multicast', { [HOST]: '224.0.0.1' }, 'spec.server.host', '"224.0.0.1"', 'multicast'],
  [
    'IPv6 with nine groups',
    { [HOST]: '1:2:3:4:5:6:7:8:9' },
    'spec.server.host',
    '"1:2:3:4:5:6:7:8:9"',
    'one IP address',
  ],
  ['IPv6 with two gaps', { [HOST]: '2001::1::2' }, 'spec.server.host', '"2001::1::2"', 'one IP address'],
  ['port 0', { 'spec/server/port': 0 }, 'spec.server.port', 'Invalid value: 0', 'greater than or equal to 1'],
  ['port 70000', { 'spec/server/port': 70000 }, 'spec.server.port', '70000', 'less than or equal to 65535'],
  ['a port as text', { 'spec/server/port': '5432' }, 'spec.server.port', 'must be of type integer'],
  ['no TLS setting', { [TLS]: undefined }, 'spec.server.tls', 'Required'],
  ['no TLS mode', { [TLS]: {} }, 'spec.server.tls.mode', 'Required'],
  ['the TLS mode that falls back', { [TLS]: { mode: 'prefer' } }, 'spec.server.tls.mode', '"prefer"', '"verify-full"'],
  [
    'verify-full without a CA',
    { [TLS]: { mode: 'verify-full' } },
    'spec.server.tls.caSecretRef',
    '"verify-full"',
    'required',
  ],
  [
    'verify-ca without a CA',
    { [TLS]: { mode: 'verify-ca' } },
    'spec.server.tls.caSecretRef',
    '"verify-ca"',
    'required',
  ],
  [
    'disable with a CA',
    { [TLS]: { mode: 'disable', caSecretRef: { name: 'ca' } } },
    'spec.server.tls.caSecretRef',
    '"disable"',
    'must not be set',
  ],
  [
    'disable with a certificate for the server',
    { [TLS]: { mode: 'disable', certSecretRef: { name: 'own' } } },
    'spec.server.tls.certSecretRef',
    '"disable"',
    'must not be set',
  ],
  [
    'a certificate for the server without a name',
    { [TLS]: { mode: 'require', certSecretRef: {} } },
    'spec.server.tls.certSecretRef.name',
    'Required',
  ],
  [
    'a certificate for the server from another namespace',
    { [TLS]: { mode: 'require', certSecretRef: { name: 'other/own' } } },
    'spec.server.tls.certSecretRef.name',
    '"other/own"',
    '1 to 253',
  ],
  [
    'a certificate for the server as a parameter',
    { 'spec/pooler': { parameters: { server_tls_key_file: '/etc/passwd' } } },
    'server_tls_key_file',
    'spec.server.tls.certSecretRef',
  ],
  ['no rules', { [HBA]: [] }, 'spec.auth.hba', 'at least 1'],
  ['a rule without a method', { [HBA]: [{ type: 'host' }] }, 'spec.auth.hba[0].method', 'Required'],
  [
    'the method that asks for nothing',
    { [HBA]: [{ method: 'trust' }] },
    'spec.auth.hba[0].method',
    '"trust"',
    '"cert"',
  ],
  [
    'a type for sockets',
    { [HBA]: [{ type: 'local', method: 'reject' }] },
    'spec.auth.hba[0].type',
    '"local"',
    '"host"',
  ],
  ['an address without a prefix', { [HBA]: [address('10.0.0.1')] }, 'spec.auth.hba[0].address', '"10.0.0.1"', 'CIDR'],
  ['a name for an address', { [HBA]: [address('db.shop.svc')] }, 'spec.auth.hba[0].address', '"db.shop.svc"', 'CIDR'],
  [
    'a line break in an address',
    { [HBA]: [address('10.0.0.0/8\nhost all')] },
    'spec.auth.hba[0].address',
    'CIDR notation',
  ],
  [
    'rules for TLS where there is none',
    { [HBA]: [{ type: 'hostssl', method: 'scram-sha-256' }] },
    'spec.auth.hba',
    'hostssl',
    'spec.pooler.tls',
  ],
  [
    'certificates without TLS',
    { [HBA]: [{ type: 'host', method: 'cert' }] },
    'spec.auth.hba[0]',
    'cert needs type hostssl',
  ],
  [
    'certificates without an authority',
    {
      [POOLER_TLS]: { mode: 'require', certSecretRef: { name: 'tls' } },
      [HBA]: [{ type: 'hostssl', method: 'cert' }],
    },
    'spec.auth.hba',
    'spec.pooler.tls.clientCaSecretRef',
  ],
  [
    'an authority of clients without TLS',
    { [POOLER_TLS]: { mode: 'disable', clientCaSecretRef: { name: 'ca' } } },
    'spec.pooler.tls.clientCaSecretRef',
    'must not be set',
  ],
  [
    'TLS for clients without a certificate',
    { [POOLER_TLS]: { mode: 'require' } },
    'spec.pooler.tls.certSecretRef',
    '"require"',
    'required',
  ],
  [
    'no TLS for clients, with a certificate',
    { [POOLER_TLS]: { mode: 'disable', certSecretRef: { name: 'tls' } } },
    'spec.pooler.tls.certSecretRef',
    'must not be set',
    '"disable"',
  ],
  [
    'a mode that checks clients',
    { [POOLER_TLS]: { mode: 'verify-full', certSecretRef: { name: 'tls' } } },
    'spec.pooler.tls.mode',
    '"verify-full"',
    '"require"',
  ],
  [
    'no mode of TLS for clients',
    { [POOLER_TLS]: { certSecretRef: { name: 'tls' } } },
    'spec.pooler.tls.mode',
    'Required',
  ],
  [
    'a certificate of another namespace',
    { [POOLER_TLS]: { mode: 'require', certSecretRef: { name: 'other/tls' } } },
    'spec.pooler.tls.certSecretRef.name',
    '"other/tls"',
    '1 to 253',
  ],
  [
    'a certificate as a parameter',
    { 'spec/pooler': { parameters: { client_tls_cert_file: '/etc/passwd' } } },
    'client_tls_cert_file',
    'spec.pooler.tls.certSecretRef',
  ],
  ['a CA without a name', { [TLS]: { mode: 'verify-ca', caSecretRef: {} } }, 'caSecretRef.name', 'Required'],
  [
    'a Secret in another namespace',
    { [`${USER}/secretRef/name`]: 'other/app' },
    'spec.auth.users[0].secretRef.name',
    '"other/app"',
    '1 to 253',
  ],
  [
    'a path as a Secret name',
    { [TLS]: { mode: 'verify-ca', caSecretRef: { name: '../../x' } } },
    'caSecretRef.name',
    '"../../x"',
    '1 to 253',
  ],
  ['a key with a slash', { [`${USER}/passwordKey`]: 'a/b' }, 'spec.auth.users[0].passwordKey', '"a/b"', '1 to 253'],
  [
    'a monitor database with a newline',
    { 'spec/server/monitorSecretRef': { name: 'm', database: 'a\nb' } },
    'monitorSecretRef.database',
    'control',
    NAME_RANGE,
  ],

  // budget
  ['no budget', { 'spec/budget': undefined }, 'spec.budget', 'Required'],
  ['neither connections nor percent', { 'spec/budget': {} }, 'spec.budget', 'neither', '1 to 100000', '1 to 100)'],
  [
    'both connections and percent',
    { ...MONITOR, 'spec/budget': { connections: 80, percent: 90 } },
    'spec.budget',
    'connections 80 and percent 90',
    'exactly one',
  ],
  [
    'a budget of 0',
    { 'spec/budget': { connections: 0 } },
    'spec.budget.connections',
    'Invalid value: 0',
    'greater than or equal to 1',
  ],
  [
    'a negative budget',
    { 'spec/budget': { connections: -1 } },
    'spec.budget.connections',
    '-1',
    'greater than or equal to 1',
  ],
  [
    'a huge budget',
    { 'spec/budget': { connections: 100001 } },
    'spec.budget.connections',
    '100001',
    'less than or equal to 100000',
  ],
  ['half a connection', { 'spec/budget': { connections: 10.5 } }, 'spec.budget.connections', 'must be of type integer'],
  [
    'percent 0',
    { ...MONITOR, 'spec/budget': { percent: 0 } },
    'spec.budget.percent',
    'Invalid value: 0',
    'greater than or equal to 1',
  ],
  [
    'percent 101',
    { ...MONITOR, 'spec/budget': { percent: 101 } },
    'spec.budget.percent',
    '101',
    'less than or equal to 100',
  ],
  [
    'percent without a monitor role',
    { 'spec/budget': { percent: 90 } },
    'spec.budget.percent',
    'spec.server.monitorSecretRef',
    '1 to 100000',
  ],
  [
    'a reserve as large as the budget',
    { 'spec/budget': { connections: 5, reserve: 5 } },
    'spec.budget.reserve is 5',
    'from 0 to 4',
  ],
  [
    'a reserve larger than the budget',
    { 'spec/budget': { connections: 5, reserve: 9 } },
    'spec.budget.reserve is 9',
    'from 0 to 4',
  ],
  [
    'a negative reserve',
    { 'spec/budget': { connections: 5, reserve: -1 } },
    'spec.budget.reserve',
    '-1',
    'greater than or equal to 0',
  ],

  // databases
  ['no databases', { 'spec/databases': undefined }, 'spec.databases', 'Required'],
  ['an empty list of databases', { 'spec/databases': [] }, 'spec.databases', 'at least 1'],
  [
    '101 databases',
    { 'spec/databases': Array.from({ length: 101 }, (_, i) => ({ name: `db${i}` })) },
    'spec.databases',
    '101',
    '100',
  ],
  [
    'a database twice',
    { 'spec/databases': [{ name: 'a' }, { name: 'a' }] },
    'spec.databases[1]',
    'Duplicate value',
    '"a"',
  ],
  [
    'the admin console as a database',
    { [DATABASE]: { name: 'pgbouncer' } },
    'spec.databases[0].name',
    '"pgbouncer"',
    'reserved',
    NAME_RANGE,
  ],
  ['the fallback database', { [DATABASE]: { name: '*' } }, 'spec.databases[0].name', '"*"', 'reserved', NAME_RANGE],
  ['a database name with a quote', { [DATABASE]: { name: "o'x" } }, 'spec.databases[0].name', `"o'x"`, 'single quote'],
  [
    'a database name with a newline',
    { [DATABASE]: { name: 'a\n[pgbouncer]' } },
    'spec.databases[0].name',
    'line break',
    NAME_RANGE,
  ],
  ['a database name with a NUL', { [DATABASE]: { name: 'a\u0000b' } }, 'spec.databases[0].name', 'NUL', NAME_RANGE],
  ['a database name with DEL', { [DATABASE]: { name: 'a\u007f' } }, 'spec.databases[0].name', 'control', NAME_RANGE],
  ['a database name with NEL', { [DATABASE]: { name: 'a\u0085b' } }, 'spec.databases[0].name', 'control', NAME_RANGE],
  [
    'a database name with a line separator',
    { [DATABASE]: { name: 'a\u2028b' } },
    'spec.databases[0].name',
    'line break',
    NAME_RANGE,
  ],
  ['an empty database name', { [DATABASE]: { name: '' } }, 'spec.databases[0].name', '""', 'at least 1'],
  [
    'a database name of 64 letters',
    { [DATABASE]: { name: 'a'.repeat(64) } },
    'spec.databases[0].name',
    'Too long',
    '63',
  ],
  [
    'a database name of 64 bytes',
    { [DATABASE]: { name: 'é'.repeat(32) } },
    'spec.databases[0].name',
    '64 bytes',
    NAME_RANGE,
  ],
  [
    'a server database with a newline',
    { [`${DATABASE}/database`]: 'a\nb' },
    'spec.databases[0].database',
    'line break',
    NAME_RANGE,
  ],
  [
    'a server database with a tab',
    { [`${DATABASE}/database`]: 'a\tb' },
    'spec.databases[0].database',
    'control',
    NAME_RANGE,
  ],
  ['an empty server database', { [`${DATABASE}/database`]: '' }, 'spec.databases[0].database', '""', 'at least 1'],
  [
    'an unknown pool mode',
    { [`${DATABASE}/poolMode`]: 'fast' },
    'spec.databases[0].poolMode',
    '"fast"',
    '"transaction", "session", "statement"',
  ],
  [
    'weight 0',
    { [`${DATABASE}/weight`]: 0 },
    'spec.databases[0].weight',
    'Invalid value: 0',
    'greater than or equal to 1',
  ],
  ['weight 1001', { [`${DATABASE}/weight`]: 1001 }, 'spec.databases[0].weight', '1001', 'less than or equal to 1000'],
  [
    'pool size 0, which PgBouncer takes for unlimited',
    { [`${DATABASE}/poolSize`]: 0 },
    'spec.databases[0].poolSize',
    'Invalid value: 0',
    'greater than or equal to 1',
  ],
  [
    'a huge pool size',
    { [`${DATABASE}/poolSize`]: 9999999999 },
    'spec.databases[0].poolSize',
    '9999999999',
    'less than or equal to 100000',
  ],

  // users
  ['no users', { 'spec/auth/users': [] }, 'spec.auth.users', 'at least 1'],
  ['no auth', { 'spec/auth': undefined }, 'spec.auth', 'Required'],
  [
    '51 users',
    { 'spec/auth/users': Array.from({ length: 51 }, (_, i) => ({ secretRef: { name: `u${i}` } })) },
    'spec.auth.users',
    '51',
    '50',
  ],
  [
    'a Secret twice',
    { 'spec/auth/users': [{ secretRef: { name: 'u' } }, { secretRef: { name: 'u' } }] },
    'spec.auth.users',
    'u',
    'once',
  ],
  [
    'a user name twice',
    {
      'spec/auth/users': [
        { secretRef: { name: 'a' }, username: 'x' },
        { secretRef: { name: 'b' }, username: 'x' },
      ],
    },
    'spec.auth.users',
    '"x"',
    'once',
  ],
  ['the console user', { [`${USER}/username`]: 'pgbouncer' }, 'spec.auth.users[0].username', '"pgbouncer"', 'reserved'],
  [
    'the admin user',
    { [`${USER}/username`]: 'poolsmith-admin' },
    'spec.auth.users[0].username',
    '"poolsmith-admin"',
    'reserved',
  ],
  [
    'the proving user',
    { [`${USER}/username`]: 'poolsmith-proof' },
    'spec.auth.users[0].username',
    '"poolsmith-proof"',
    'reserved',
  ],
  [
    'a user name with a newline',
    { [`${USER}/username`]: 'a\n"b" "c"' },
    'spec.auth.users[0].username',
    'line break',
    NAME_RANGE,
  ],
  [
    'a user name of 64 bytes',
    { [`${USER}/username`]: 'é'.repeat(32) },
    'spec.auth.users[0].username',
    '64 bytes',
    NAME_RANGE,
  ],
  ['an empty user name', { [`${USER}/username`]: '' }, 'spec.auth.users[0].username', '""', 'at least 1'],

  // workloads
  ['neither ref nor name', { [WORKLOAD]: { threads: 5 } }, 'spec.workloads[0]', 'either ref', 'or name'],
  ['both ref and name', { [`${WORKLOAD}/name`]: 'x' }, 'spec.workloads[0]', 'either ref', 'or name'],
  ['ref without threads', { [`${WORKLOAD}/threads`]: undefined }, 'spec.workloads[0]', 'threads', '1 to 10000'],
  ['ref with clients', { [`${WORKLOAD}/clients`]: 5 }, 'spec.workloads[0]', 'takes no clients'],
  ['name without clients', { [WORKLOAD]: { name: 'x' } }, 'spec.workloads[0]', 'clients', '1 to 100000'],
  [
    'name with threads',
    { [WORKLOAD]: { name: 'x', clients: 1, threads: 5 } },
    'spec.workloads[0]',
    'neither workers nor threads',
  ],
  [
    'an unsupported kind',
    { [`${WORKLOAD}/ref/kind`]: 'DaemonSet' },
    'spec.workloads[0].ref.kind',
    '"DaemonSet"',
    '"Deployment", "StatefulSet"',
  ],
  [
    'a workload twice',
    { 'spec/workloads': [0, 1].map(() => ({ ref: { kind: 'Deployment', name: 'web' }, threads: 1 })) },
    'spec.workloads',
    '"web"',
    'once',
  ],
  [
    'a name twice',
    { 'spec/workloads': [0, 1].map(() => ({ name: 'bi', clients: 1 })) },
    'spec.workloads',
    '"bi"',
    'once',
  ],
  ['a bad workload name', { [`${WORKLOAD}/ref/name`]: 'Web!' }, 'spec.workloads[0].ref.name', '"Web!"', '1 to 253'],
  [
    'workers 0',
    { [`${WORKLOAD}/workers`]: 0 },
    'spec.workloads[0].workers',
    'Invalid value: 0',
    'greater than or equal to 1',
  ],
  [
    'negative workers',
    { [`${WORKLOAD}/workers`]: -2 },
    'spec.workloads[0].workers',
    '-2',
    'greater than or equal to 1',
  ],
  [
    'huge workers',
    { [`${WORKLOAD}/workers`]: 10001 },
    'spec.workloads[0].workers',
    '10001',
    'less than or equal to 10000',
  ],
  [
    'negative threads',
    { [`${WORKLOAD}/threads`]: -1 },
    'spec.workloads[0].threads',
    '-1',
    'greater than or equal to 1',
  ],
  ['huge threads', { [`${WORKLOAD}/threads`]: 1e12 }, 'spec.workloads[0].threads', 'less than or equal to 10000'],
  ['half a thread', { [`${WORKLOAD}/threads`]: 2.5 }, 'spec.workloads[0].threads', '2.5', 'multiple of 1'],
  ['threads as text', { [`${WORKLOAD}/threads`]: '5' }, 'spec.workloads[0].threads', '"5"', 'integer from 1 to 10000'],
  ['threads as a truth value', { [`${WORKLOAD}/threads`]: true }, 'spec.workloads[0].threads'],
  ['threads as a list', { [`${WORKLOAD}/threads`]: [5] }, 'spec.workloads[0].threads', 'at most 0'],
  [
    'a variable without a default',
    { [`${WORKLOAD}/threads`]: { env: 'T' } },
    'spec.workloads[0].threads.default',
    'Required',
  ],
  [
    'a default without a variable',
    { [`${WORKLOAD}/threads`]: { default: 5 } },
    'spec.workloads[0].threads.env',
    'Required',
  ],
  [
    'a default of 0',
    { [`${WORKLOAD}/threads`]: { env: 'T', default: 0 } },
    'threads.default',
    'Invalid value: 0',
    'greater than or equal to 1',
  ],
  [
    'a huge default',
    { [`${WORKLOAD}/workers`]: { env: 'T', default: 99999 } },
    'workers.default',
    '99999',
    'less than or equal to 10000',
  ],
  [
    'a variable with blanks',
    { [`${WORKLOAD}/threads`]: { env: 'A B', default: 1 } },
    'threads.env',
    '"A B"',
    'should match',
  ],
  [
    'a misspelt field beside a variable',
    { [`${WORKLOAD}/threads`]: { env: 'T', default: 1, contaner: 'x' } },
    'spec.workloads[0].threads',
  ],
  [
    'an undeclared database',
    { [`${WORKLOAD}/databases`]: ['orders', 'billing'] },
    'spec.workloads',
    '"billing"',
    '["orders"]',
  ],
  [
    'a database named twice',
    { [`${WORKLOAD}/databases`]: ['orders', 'orders'] },
    'spec.workloads[0].databases[1]',
    'Duplicate',
    '"orders"',
  ],
  [
    'clients 0',
    { ...CLIENTS, [`${WORKLOAD}/clients`]: 0 },
    'spec.workloads[0].clients',
    'Invalid value: 0',
    'greater than or equal to 1',
  ],
  [
    '51 workloads',
    { 'spec/workloads': Array.from({ length: 51 }, (_, i) => ({ name: `c${i}`, clients: 1 })) },
    'spec.workloads',
    '51',
    '50',
  ],

  // fleet
  ['no pods', { 'spec/fleet/replicas': 0 }, 'spec.fleet.replicas', 'Invalid value: 0', 'greater than or equal to 1'],
  ['51 pods', { 'spec/fleet/replicas': 51 }, 'spec.fleet.replicas', '51', 'less than or equal to 50'],
  [
    'our annotation',
    { [`${TEMPLATE}/metadata`]: { annotations: { 'poolsmith.dev/live.ini': 'x' } } },
    'spec.fleet.template.metadata.annotations',
    'poolsmith.dev/live.ini',
    OWN_KEYS,
  ],
  [
    'the deletion cost',
    { [`${TEMPLATE}/metadata`]: { annotations: { 'controller.kubernetes.io/pod-deletion-cost': '1' } } },
    'spec.fleet.template.metadata.annotations',
    'pod-deletion-cost',
    OWN_KEYS,
  ],
  [
    'our label',
    { [`${TEMPLATE}/metadata`]: { labels: { 'poolsmith.dev/serving': 'true' } } },
    'spec.fleet.template.metadata.labels',
    'poolsmith.dev/serving',
    OWN_KEYS,
  ],
  [
    'a label below our group',
    { [`${TEMPLATE}/metadata`]: { labels: { 'x.poolsmith.dev/a': 'b' } } },
    'spec.fleet.template.metadata.labels',
    'x.poolsmith.dev/a',
    OWN_KEYS,
  ],
  ...['name', 'instance', 'managed-by', 'component'].map((key): Bad => [
    `the label app.kubernetes.io/${key}`,
    { [`${TEMPLATE}/metadata`]: { labels: { [`app.kubernetes.io/${key}`]: 'x' } } },
    'spec.fleet.template.metadata.labels',
    `app.kubernetes.io/${key}`,
    OWN_KEYS,
  ]),
  [
    'a label that is none',
    { [`${TEMPLATE}/metadata`]: { labels: { 'a b': 'c' } } },
    'spec.fleet.template.metadata.labels',
    '1 to 63',
  ],
  [
    'a label value that is none',
    { [`${TEMPLATE}/metadata`]: { labels: { a: 'b c' } } },
    'spec.fleet.template.metadata.labels',
    'at most 63',
  ],
  [
    'an annotation of 2 kB',
    { [`${TEMPLATE}/metadata`]: { annotations: { a: 'x'.repeat(2048) } } },
    'spec.fleet.template.metadata.annotations',
    '1024',
  ],
  [
    'a container of its own',
    { [`${TEMPLATE}/spec`]: { containers: [] } },
    'spec.fleet.template',
    'does not exist',
    'resources',
  ],
  ['a service account', { [`${TEMPLATE}/serviceAccountName`]: 'admin' }, 'spec.fleet.template', 'does not exist'],
  [
    'more requested than allowed',
    { [`${TEMPLATE}/resources`]: { requests: { memory: '2Gi' }, limits: { memory: '1Gi' } } },
    'resources.requests.memory',
    '2Gi',
    'at most',
    '1Gi',
  ],
  [
    'negative memory',
    { [`${TEMPLATE}/resources`]: { limits: { memory: '-1Gi' } } },
    'resources.limits.memory',
    '-1Gi',
    'should match',
  ],
  ['an unknown pull policy', { [`${TEMPLATE}/imagePullPolicy`]: 'Often' }, 'imagePullPolicy', '"Often"', '"Always"'],
  ['a drain window of 0', { [`${DRAIN}/window`]: '0s' }, 'spec.fleet.drain.window is "0s"', 'longer than 0s', '24h'],
  ['a drain timeout of 0', { [`${DRAIN}/timeout`]: '0m' }, 'spec.fleet.drain.timeout is "0m"', 'longer than 0s', '24h'],
  [
    'a timeout shorter than the window',
    { [DRAIN]: { window: '2m', timeout: '90s' } },
    'spec.fleet.drain.timeout is "90s"',
    '"2m"',
    'at least',
  ],
  [
    'a timeout shorter than the default window',
    { [`${DRAIN}/timeout`]: '10s' },
    'spec.fleet.drain.timeout is "10s"',
    '"30s"',
  ],
  ['a drain of two days', { [`${DRAIN}/timeout`]: '48h' }, 'spec.fleet.drain.timeout is "48h"', 'at most 24h'],
  ['a negative drain', { [`${DRAIN}/window`]: '-30s' }, 'spec.fleet.drain.window', '-30s', 'should match'],
  ['a drain without a unit', { [`${DRAIN}/window`]: '30' }, 'spec.fleet.drain.window', '"30"', 'should match'],
  ['a drain as a number', { [`${DRAIN}/window`]: 30 }, 'spec.fleet.drain.window', 'must be of type string'],

  // parameters; those of every setting are in parameters.ts
  [
    'an unknown parameter',
    { [PARAMETERS]: { servr_lifetime: 60 } },
    'spec.pooler.parameters.servr_lifetime',
    'not a setting',
  ],
  [
    'a parameter with capitals',
    { [PARAMETERS]: { Server_Lifetime: 60 } },
    'spec.pooler.parameters.Server_Lifetime',
    'not a setting',
  ],
  [
    'a parameter with an injected line',
    { [PARAMETERS]: { 'server_lifetime\nauth_type': 'any' } },
    'spec.pooler.parameters',
    'not a setting',
  ],
  [
    'an include as a parameter',
    { [PARAMETERS]: { '%include /etc/passwd': '' } },
    'spec.pooler.parameters',
    'not a setting',
  ],
  ['a section as a parameter', { [PARAMETERS]: { '[databases]': 'x' } }, 'spec.pooler.parameters', 'not a setting'],
  [
    'a parameter that is a list',
    { [PARAMETERS]: { server_idle_timeout: [1] } },
    'spec.pooler.parameters.server_idle_timeout',
    'must be of type',
  ],
  [
    'a parameter that is a truth value',
    { [PARAMETERS]: { server_round_robin: true } },
    'spec.pooler.parameters.server_round_robin',
    'must be of type',
  ],

  // pooler and service
  ['an empty image', { 'spec/pooler/image': '' }, 'spec.pooler.image', '""', 'at least 1'],
  ['an image with a blank', { 'spec/pooler/image': 'a b' }, 'spec.pooler.image', '"a b"', 'without blanks'],
  ['an image with a newline', { 'spec/pooler/image': 'a\nb' }, 'spec.pooler.image', 'without blanks'],
  [
    'an unknown service type',
    { 'spec/service/type': 'ExternalName' },
    'spec.service.type',
    '"ExternalName"',
    '"ClusterIP"',
  ],
  [
    'an unknown session affinity',
    { 'spec/service/sessionAffinity': 'Cookie' },
    'spec.service.sessionAffinity',
    '"Cookie"',
    'ClientIP',
  ],
  [
    'a server that is waited for in an unknown way',
    { 'spec/server/whenLost': 'Retry' },
    'spec.server.whenLost',
    '"Retry"',
    '"Wait"',
  ],
  ['a pause without its end', { 'spec/pause': {} }, 'spec.pause.until', 'Required'],
  ['a pause until no time', { 'spec/pause': { until: 'soon' } }, 'spec.pause.until', '"soon"', 'date-time'],
  [
    'a pause for a time',
    { 'spec/pause': { until: '2026-12-01T10:00:00Z', for: '60s' } },
    'spec.pause has a field that does not exist',
  ],
  ['service port 0', { 'spec/service/port': 0 }, 'spec.service.port', 'Invalid value: 0', 'greater than or equal to 1'],
  ['service port 70000', { 'spec/service/port': 70000 }, 'spec.service.port', '70000', 'less than or equal to 65535'],
  [
    'our annotation on the Service',
    { 'spec/service/annotations': { 'poolsmith.dev/x': '1' } },
    'spec.service.annotations',
    'poolsmith.dev/x',
    OWN_KEYS,
  ],

  // fields that do not exist, and names
  ['no spec', { spec: undefined }, 'spec', 'Required'],
  ['a misspelt section', { 'spec/databses': [] }, 'spec has a field that does not exist', 'databases'],
  [
    'a misspelt field in a list',
    { [`${DATABASE}/poolmode`]: 'session' },
    'spec.databases[0]',
    'does not exist',
    'poolMode',
  ],
  [
    'a misspelt field in the middle',
    { [`${TLS}/caSecretref`]: { name: 'x' } },
    'spec.server.tls',
    'does not exist',
    'caSecretRef',
  ],
  ['a section beside spec', { databases: [{ name: 'x' }] }, 'does not exist', 'spec, status'],
  ['a section that is not there', { 'spec/switchover': { until: 'x' } }, 'spec has a field that does not exist'],
  [
    'a PgBouncer name outside parameters',
    { [`${DATABASE}/pool_size`]: 5 },
    'spec.databases[0]',
    'does not exist',
    'poolSize',
  ],
  ['a name of 41 characters', { 'metadata/name': 'a'.repeat(41) }, 'metadata.name', 'a'.repeat(41), '1 to 40'],
  ['a name that begins with a digit', { 'metadata/name': '1a' }, 'metadata.name', '"1a"', '1 to 40'],
  ['a name with a dot', { 'metadata/name': 'a.b' }, 'metadata.name', '"a.b"', '1 to 40'],
];
