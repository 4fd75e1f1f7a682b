// What is there before a fleet is: Secrets, the application, and objects of somebody else that nobody of ours may touch.
import { LABEL } from '../../src/model/names.ts';
import type { Setup } from './history.ts';
import type { SimApi } from './kube/sim-api.ts';
import { APP_SECRETS, MONITOR_SECRET, NAMESPACE, POOL } from './operations.ts';

/** Of the roles in PostgreSQL; the last one only watches. */
export const PASSWORDS: Readonly<Record<string, string>> = {
  orders_app: 'correct horse',
  orders_report: 'battery staple',
  monitor: 'looks on',
};

/** On everything that belongs to somebody else. */
export const FOREIGN_LABEL = 'example.com/belongs-to-somebody-else';

export function putSurroundings(api: SimApi, setup: Setup): void {
  putSecret(api, APP_SECRETS[0], 'orders_app');
  putSecret(api, APP_SECRETS[1], 'orders_report');
  putSecret(api, MONITOR_SECRET, 'monitor');
  const application = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: NAMESPACE },
    spec: {
      replicas: setup.workloadReplicas,
      strategy: { rollingUpdate: { maxSurge: '25%' } },
      template: { spec: { containers: [{ name: 'web' }] } },
    },
    status: { replicas: setup.workloadReplicas },
  };
  api.put(application);
  for (const kind of ['ConfigMap', 'Secret', 'Service'] as const) {
    const metadata = { name: 'theirs', namespace: NAMESPACE, labels: { [FOREIGN_LABEL]: 'true' } };
    api.put({ apiVersion: 'v1', kind, metadata });
  }
  // Under our label and a name like ours, and yet not ours: made by hand, owned by nobody.
  const madeByHand = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: 'orders-pooler-by-hand',
      namespace: NAMESPACE,
      labels: { [FOREIGN_LABEL]: 'true', [LABEL.pool]: POOL, 'app.kubernetes.io/managed-by': 'poolsmith' },
    },
    spec: { replicas: 0, selector: { matchLabels: { app: 'by-hand' } }, template: { metadata: {}, spec: {} } },
  };
  api.put(madeByHand);
}

function putSecret(api: SimApi, name: string, user: string): void {
  const data = { username: base64(user), password: base64(PASSWORDS[user] ?? '') };
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: NAMESPACE }, data };
  api.put(secret);
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
