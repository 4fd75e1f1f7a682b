// Workloads of a test: Deployments and StatefulSets whose replicas and environment count, and that do nothing else.
import { RESOURCES } from '../../src/kube/resources.ts';
import { imageOf } from './cluster-images.ts';
import { applyObjects, cluster } from './kubectl.ts';

const NONROOT_ID = 65532;

type Environment = Readonly<Record<string, string>>;

/** Creates or changes it. Its pods sleep; poolers are sized from `replicas` and `env` alone. */
export async function applyIdleDeployment(
  namespace: string,
  name: string,
  replicas: number,
  env: Environment = {},
): Promise<void> {
  const metadata = { namespace, name };
  await applyObjects([{ apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: idleSpec(name, replicas, env) }]);
}

/** As `applyIdleDeployment`, for a StatefulSet. */
export async function applyIdleStatefulSet(
  namespace: string,
  name: string,
  replicas: number,
  env: Environment = {},
): Promise<void> {
  const spec = { ...idleSpec(name, replicas, env), serviceName: name, podManagementPolicy: 'Parallel' };
  await applyObjects([{ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { namespace, name }, spec }]);
}

function idleSpec(name: string, replicas: number, env: Environment): object {
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
  return { replicas, selector: { matchLabels: labels }, template };
}

/** Changes only the number of replicas, as `kubectl scale` does. */
export async function scaleDeployment(namespace: string, name: string, replicas: number): Promise<void> {
  await (await cluster()).mergePatch(RESOURCES.Deployment, namespace, name, { spec: { replicas } });
}
