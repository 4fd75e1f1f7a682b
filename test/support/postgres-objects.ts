// The Kubernetes objects of a PostgreSQL for tests: pod, Service, start-up SQL, certificate.
import { imageOf } from './cluster-images.ts';
import type { ClusterPostgresOptions, Role } from './cluster-postgres.ts';

type Settled = ClusterPostgresOptions & Readonly<{ name: string; superuser: Role }>;

/**
 * Process 1 of the container: keeps the server running unless /tmp/stay-down is there, so that a test can have it down for
 * as long as it likes without the kubelet restarting anything, and with its data and address kept.
 */
const SUPERVISOR = `
child=
trap 'if [ -n "$child" ]; then kill -INT "$child"; wait "$child"; fi; exit 0' INT TERM
while :; do
  if [ ! -e /tmp/stay-down ]; then
    /usr/bin/postgres-entrypoint "$@" $(cat /tmp/more-settings 2>/dev/null) & child=$!
    wait "$child"
    child=
  fi
  sleep 0.1
done`;

const NONROOT_ID = 65532;

/** In the order in which they are applied. */
export async function postgresObjects(options: Settled): Promise<object[]> {
  const { namespace, name, tls, maxConnections = 100, settings = {} } = options;
  const labels = { app: name };
  const files: Record<string, string> = { 'start.sql': startSql(options) };
  if (tls?.required === true) {
    files['pg_hba.conf'] = [
      'local all all trust',
      'host all all 127.0.0.1/32 trust',
      `hostssl all ${options.superuser.name} all scram-sha-256`,
      `hostssl all all all scram-sha-256${tls.clientCertificates === true ? ' clientcert=verify-ca' : ''}`,
      '',
    ].join('\n');
  }
  const all: Record<string, string> = {
    max_connections: String(maxConnections),
    fsync: 'off',
    ...(tls?.required === true ? { hba_file: '/initdb.d/pg_hba.conf' } : {}),
    ...(tls?.clientCertificates === true ? { ssl_ca_file: '/tls/ca.crt' } : {}),
    ...settings,
  };
  const objects: object[] = [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data: files },
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace, name } },
      spec: { selector: labels, ports: [{ name: 'postgres', port: 5432 }] },
    },
    {
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name, labels } },
      spec: podSpec(options, all),
    },
  ];
  if (tls !== undefined) {
    const hosts = tls.hosts ?? [
      name,
      `${name}.${namespace}`,
      `${name}.${namespace}.svc`,
      `${name}.${namespace}.svc.cluster.local`,
    ];
    const { certificate, key } = await tls.authority.issue({ commonName: name, hosts });
    const data = { 'tls.crt': certificate, 'tls.key': key, 'ca.crt': tls.authority.certificate };
    objects.unshift({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace, name: `${name}-tls` },
      stringData: data,
    });
  }
  return objects;
}

function podSpec({ name, superuser, tls, cpuRequest }: Settled, settings: Readonly<Record<string, string>>): object {
  const mounts: readonly (readonly [name: string, mountPath: string, volume: object])[] = [
    ['data', '/var/lib/postgresql/data', { emptyDir: {} }],
    ['tmp', '/tmp', { emptyDir: {} }],
    ['start', '/initdb.d', { configMap: { name } }],
    ...(tls !== undefined
      ? ([['tls', '/tls', { secret: { secretName: `${name}-tls`, defaultMode: 0o440 } }]] as const)
      : []),
  ];
  const args = Object.entries(settings).flatMap(([setting, value]) => ['-c', `${setting}=${value}`]);
  return {
    terminationGracePeriodSeconds: 5,
    enableServiceLinks: false,
    automountServiceAccountToken: false,
    securityContext: {
      ...{ runAsNonRoot: true, runAsUser: NONROOT_ID, runAsGroup: NONROOT_ID, fsGroup: NONROOT_ID },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [
      {
        name: 'postgres',
        image: imageOf('postgres'),
        imagePullPolicy: 'IfNotPresent',
        command: ['/bin/sh', '-c', SUPERVISOR, 'sh'],
        args,
        env: [{ name: 'POSTGRES_PASSWORD', value: superuser.password }],
        ...(cpuRequest === undefined ? {} : { resources: { requests: { cpu: cpuRequest } } }),
        ports: [{ containerPort: 5432 }],
        readinessProbe: { exec: { command: ['pg_isready', '-q', '-h', '127.0.0.1'] }, periodSeconds: 1 },
        securityContext: {
          ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
          capabilities: { drop: ['ALL'] },
        },
        volumeMounts: mounts.map(([volume, mountPath]) => ({ name: volume, mountPath })),
      },
    ],
    volumes: mounts.map(([volume, , source]) => ({ name: volume, ...source })),
  };
}

function startSql({ roles = [], databases = [], sql = '' }: Settled): string {
  const [owner] = roles;
  const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
  const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
  const [first = 'postgres'] = databases;
  return [
    ...roles.map(
      ({ name, password, options = '', memberOf = [] }) =>
        `CREATE ROLE ${quoted(name)} LOGIN PASSWORD ${literal(password)} ${options};\n${memberOf
          .map((role) => `GRANT ${quoted(role)} TO ${quoted(name)};`)
          .join('\n')}`,
    ),
    ...databases.map(
      (name) => `CREATE DATABASE ${quoted(name)}${owner === undefined ? '' : ` OWNER ${quoted(owner.name)}`};`,
    ),
    ...(sql === ''
      ? []
      : [`\\connect ${quoted(first)}`, ...(owner === undefined ? [] : [`SET ROLE ${quoted(owner.name)};`]), sql]),
    '',
  ].join('\n');
}
