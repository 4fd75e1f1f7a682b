// A workload of a test: a Deployment whose replicas and environment count, and that does nothing else.
import { RESOURCES } from '../../src/kube/resources.ts';
import { imageOf } from './cluster-images.ts';
import { applyObjects, cluster } from './kubectl.ts';

const NONROOT_ID = 65532;

/** Creates or changes it. Its pods sleep; poolers are sized from `replicas` and `env` alone. */
export async function applyIdleDeployment(
  namespace: string,
  name: string,
  replicas: number,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const labels = { app: name };
  const container = {
    name: 'app',
    image: imageOf('postgres'),
    imagePullPolicy: 'IfNotPresent',
    command: ['/bin/sh', '-c', 'trap "exit 0" TERM; while :; do sleep 3600 & wait; done'],
    env: Object.entries(env).map(([variable, value]) => ({ name: variable, value })),
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  };
  const securityContext = { runAsNonRoot: true, runAsUser: NONROOT_ID, seccompProfile: { type: 'RuntimeDefault' } };
  const template = {
    metadata: { labels },
    spec: { terminationGracePeriodSeconds: 1, securityContext, containers: [container] },
  };
  const metadata = { namespace, name };
  const spec = { replicas, selector: { matchLabels: labels }, template };
  await applyObjects([{ apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec }]);
}

/** Changes only the number of replicas, as `kubectl scale` does. */
export async function scaleDeployment(namespace: string, name: string, replicas: number): Promise<void> {
  await (await cluster()).mergePatch(RESOURCES.Deployment, namespace, name, { spec: { replicas } });
}
