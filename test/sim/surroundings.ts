// What is there before a fleet is: Secrets, the application, and objects of somebody else that nobody of ours may touch.
import type { Setup } from './history.ts';
import type { SimApi } from './kube/sim-api.ts';
import { APP_SECRETS, MONITOR_SECRET, NAMESPACE } from './operations.ts';

/** Of the roles in PostgreSQL; the last one only watches. */
export const PASSWORDS: Readonly<Record<string, string>> = {
  orders_app: 'correct horse',
  orders_report: 'battery staple',
  monitor: 'looks on',
};

/** On everything that belongs to somebody else. */
export const FOREIGN_LABEL = 'example.com/belongs-to-somebody-else';

export function putSurroundings(api: SimApi, setup: Setup): void {
  const secret = (name: string, user: string): void => {
    const data = { username: base64(user), password: base64(PASSWORDS[user] ?? '') };
    api.put({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: NAMESPACE }, data } as never);
  };
  secret(APP_SECRETS[0], 'orders_app');
  secret(APP_SECRETS[1], 'orders_report');
  secret(MONITOR_SECRET, 'monitor');
  api.put({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: NAMESPACE },
    spec: {
      replicas: setup.workloadReplicas,
      strategy: { rollingUpdate: { maxSurge: '25%' } },
      template: { spec: { containers: [{ name: 'web' }] } },
    },
    status: { replicas: setup.workloadReplicas },
  } as never);
  for (const kind of ['ConfigMap', 'Secret', 'Service'] as const) {
    const metadata = { name: 'theirs', namespace: NAMESPACE, labels: { [FOREIGN_LABEL]: 'true' } };
    api.put({ apiVersion: 'v1', kind, metadata } as never);
  }
  // Under our label and a name like ours, and yet not ours: made by hand, owned by nobody.
  const metadata = {
    name: 'orders-pooler-by-hand',
    namespace: NAMESPACE,
    labels: { [FOREIGN_LABEL]: 'true', 'poolsmith.dev/pool': 'orders', 'app.kubernetes.io/managed-by': 'poolsmith' },
  };
  api.put({
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata,
    spec: { replicas: 0, selector: { matchLabels: { app: 'by-hand' } }, template: { metadata: {}, spec: {} } },
  } as never);
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
