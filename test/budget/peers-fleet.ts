// The same fleet as it is made without an operator of budgets: a Deployment and a ConfigMap, the budget divided by the replicas.
import { createHash } from 'node:crypto';
import { POOLER_PORT } from '../../src/model/names.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { until } from '../cluster/processes.ts';
import { imageOf } from '../support/cluster-images.ts';
import { applyObjects, cluster } from '../support/kubectl.ts';
import { APP, DATABASE, type Stage } from '../support/stage.ts';

export const PEERS = 'peers';
export const PEERS_SELECTOR = `app=${PEERS}`;

export type PeersFleet = Readonly<{
  replicas: number;
  budget: number;
  /** Another one makes a rollout. */ round?: string;
}>;

const NONROOT_ID = 65532;
const REST_LIMIT_MS = 120_000;

/**
 * Creates or changes it. As in common charts: a checksum of the ConfigMap in the pod template, so that new sizes come into force by a
 * rollout; Kubernetes' own strategy (25 % surge) and grace of 30 s, in which PgBouncer waits for its clients.
 */
export async function applyPeersFleet(stage: Stage, { replicas, budget, round = '1' }: PeersFleet): Promise<void> {
  const { namespace, postgres } = stage;
  const metadata = { namespace, name: PEERS };
  const labels = { app: PEERS };
  const size = Math.floor(budget / replicas);
  const ini = [
    '[databases]',
    `${DATABASE} = host=${postgres.host} port=5432 pool_size=${size} max_db_connections=${size}`,
    '[pgbouncer]',
    `listen_addr = 0.0.0.0\nlisten_port = ${POOLER_PORT}\nunix_socket_dir =\nlogfile =`,
    'auth_type = plain\nauth_file = /etc/pgbouncer/userlist.txt\npool_mode = transaction\nmax_client_conn = 1000\n',
  ].join('\n');
  const checksum = createHash('sha256').update(ini).digest('hex');
  const container = {
    name: 'pgbouncer',
    image: imageOf('pgbouncer'),
    imagePullPolicy: 'IfNotPresent',
    args: ['/etc/pgbouncer/pgbouncer.ini'],
    resources: { requests: { cpu: '100m', memory: '64Mi' } },
    readinessProbe: { tcpSocket: { port: POOLER_PORT }, periodSeconds: 2 },
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    volumeMounts: [{ name: 'config', mountPath: '/etc/pgbouncer' }],
  };
  const securityContext = { runAsNonRoot: true, runAsUser: NONROOT_ID, seccompProfile: { type: 'RuntimeDefault' } };
  const template = {
    metadata: { labels, annotations: { 'checksum/config': checksum, round } },
    spec: {
      enableServiceLinks: false,
      securityContext,
      containers: [container],
      volumes: [{ name: 'config', configMap: { name: PEERS } }],
    },
  };
  await applyObjects([
    {
      ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata },
      data: { 'pgbouncer.ini': ini, 'userlist.txt': `"${APP.name}" "${APP.password}"\n` },
    },
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata },
      spec: { selector: labels, ports: [{ port: 5432, targetPort: POOLER_PORT }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: { replicas, selector: { matchLabels: labels }, template },
    },
  ]);
}

/** Until every pod is of the present template and Ready, and no other one is left. */
export async function peersAtRest({ namespace }: Stage): Promise<void> {
  const kube = await cluster();
  const isAtRest = async (): Promise<true | undefined> => {
    const { metadata, spec, status } = await kube.get(RESOURCES.Deployment, namespace, PEERS);
    const { items } = await kube.list(RESOURCES.Pod, { namespace, labelSelector: PEERS_SELECTOR });
    const { observedGeneration, updatedReplicas, readyReplicas } = (status ?? {}) as Readonly<Record<string, number>>;
    const wanted = spec?.replicas;
    const isUpdated = observedGeneration === metadata.generation && updatedReplicas === wanted;
    return (isUpdated && readyReplicas === wanted && items.length === wanted) || undefined;
  };
  await until(`Deployment ${PEERS} to be at rest`, isAtRest, REST_LIMIT_MS, 100);
}
