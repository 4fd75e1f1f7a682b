// A PgBouncer pod without any operator: for tests of the tests, and to compare with.
import { imageOf } from './cluster-images.ts';
import { applyObjects, kubectl } from './kubectl.ts';

export type HandMadePooler = Readonly<{
  namespace: string;
  /** Of the pod and its Service, which listens on port 5432. */
  name: string;
  serverHost: string;
  database: string;
  user: string;
  password: string;
  poolSize: number;
}>;

const NONROOT_ID = 65532;

/** Starts it and waits until it is ready. */
export async function startHandMadePooler(pooler: HandMadePooler): Promise<void> {
  const { namespace, name, serverHost, database, user, password, poolSize } = pooler;
  const labels = { app: name };
  const ini = [
    '[databases]',
    `${database} = host=${serverHost} port=5432 pool_size=${poolSize} max_db_connections=${poolSize}`,
    '[pgbouncer]',
    'listen_addr = 0.0.0.0\nlisten_port = 6432\nunix_socket_dir =\nlogfile =',
    'auth_type = plain\nauth_file = /etc/pgbouncer/userlist.txt\npool_mode = transaction\nmax_client_conn = 500\n',
  ].join('\n');
  const metadata = { namespace, name };
  await applyObjects([
    {
      ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata },
      data: { 'pgbouncer.ini': ini, 'userlist.txt': `"${user}" "${password}"\n` },
    },
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata },
      spec: { selector: labels, ports: [{ port: 5432, targetPort: 6432 }] },
    },
    {
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, labels } },
      spec: {
        terminationGracePeriodSeconds: 1,
        enableServiceLinks: false,
        securityContext: { runAsNonRoot: true, runAsUser: NONROOT_ID, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name: 'pgbouncer',
            image: imageOf('pgbouncer'),
            imagePullPolicy: 'IfNotPresent',
            args: ['/etc/pgbouncer/pgbouncer.ini'],
            readinessProbe: { tcpSocket: { port: 6432 }, periodSeconds: 1 },
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
            volumeMounts: [{ name: 'config', mountPath: '/etc/pgbouncer' }],
          },
        ],
        volumes: [{ name: 'config', configMap: { name } }],
      },
    },
  ]);
  await kubectl(['wait', '-n', namespace, `pod/${name}`, '--for=condition=Ready', '--timeout=60s']);
}
