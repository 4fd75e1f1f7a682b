// What belongs to a fleet in the cluster: its pods, its Service, everything that must go with it.
import { isApiError } from '../../src/kube/errors.ts';
import { RESOURCES, type Pod } from '../../src/kube/resources.ts';
import { LABEL, childNames } from '../../src/model/names.ts';
import { MIN_AGE_MS } from '../../src/plan/children.ts';
import { until } from '../cluster/processes.ts';
import { cluster } from './kubectl.ts';
import { POOL_CONFIGS } from './pool.ts';
import { serviceAddress, type Address } from './service.ts';

/** The pooler pods, oldest first; Terminating ones too. */
export async function poolPods(namespace: string, name: string): Promise<readonly Pod[]> {
  const { items } = await (await cluster()).list(RESOURCES.Pod, { namespace, labelSelector: `${LABEL.pool}=${name}` });
  const born = (pod: Pod): string => `${pod.metadata.creationTimestamp ?? ''} ${pod.metadata.name}`;
  return [...items].sort((a, b) => born(a).localeCompare(born(b)));
}

/** What tells a pod that was left alone from one that was not: uid, container ids, restart counts. */
export async function podIdentities(namespace: string, name: string): Promise<Readonly<Record<string, string>>> {
  const pods = await poolPods(namespace, name);
  const identity = ({ metadata, status }: Pod): string =>
    [
      metadata.uid,
      ...(status?.containerStatuses ?? []).map((one) => `${one.name} ${one.containerID ?? ''} ${one.restartCount}`),
    ].join(' ');
  return Object.fromEntries(pods.map((pod) => [pod.metadata.name, identity(pod)]));
}

/** The address of the fleet's Service as this machine reaches it, once a pod answers there. */
export async function poolAddress(namespace: string, name: string): Promise<Address> {
  return await serviceAddress(namespace, childNames(name).service);
}

/** Kinds of which a PoolConfig may have children. */
const CHILD_KINDS = [
  'Pod',
  'ReplicaSet',
  'Service',
  'ConfigMap',
  'Secret',
  'PodDisruptionBudget',
  'NetworkPolicy',
] as const;

/** `Kind/name` of everything that belongs to the fleet, by its label. */
export async function childrenOf(namespace: string, name: string): Promise<readonly string[]> {
  const kube = await cluster();
  const labelSelector = `${LABEL.pool}=${name}`;
  const lists = CHILD_KINDS.map(async (kind) => {
    const { items } = await kube.list(RESOURCES[kind], { namespace, labelSelector });
    return items.map((item) => `${kind}/${item.metadata.name}`);
  });
  return (await Promise.all(lists)).flat();
}

/** Deletes it and waits until nothing of it is left. */
export async function deletePool(namespace: string, name: string, timeoutMs = 60_000): Promise<void> {
  const kube = await cluster();
  await kube.delete(POOL_CONFIGS, namespace, name).catch((error: unknown) => {
    if (!isApiError(error, 'notFound')) throw error;
  });
  await waitUntilGone(namespace, name, timeoutMs);
}

/** Waits until neither the PoolConfig nor anything of its fleet is left. @throws with what is. */
export async function waitUntilGone(namespace: string, name: string, timeoutMs = 60_000): Promise<void> {
  let left: readonly string[] = [];
  const isGone = async (): Promise<true | undefined> => {
    const pool = await (await cluster()).find(POOL_CONFIGS, namespace, name);
    left = [...(pool === undefined ? [] : [`PoolConfig/${name}`]), ...(await childrenOf(namespace, name))];
    return left.length === 0 ? true : undefined;
  };
  await until(`everything of PoolConfig ${namespace}/${name} to be gone`, isGone, timeoutMs).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}; left: ${left.join(', ')}`, { cause: error });
  });
}

/** Until the pod is old enough to be replaced when its container dies a second time; a younger one is left to the kubelet. */
export async function untilReplaceable({ metadata }: Pod): Promise<void> {
  const createdMs = Date.parse(metadata.creationTimestamp ?? '');
  const isOldEnough = (): true | undefined => Date.now() - createdMs > MIN_AGE_MS + 1_000 || undefined;
  await until(`${metadata.name} to be older than ${MIN_AGE_MS / 1000} s`, isOldEnough, 2 * MIN_AGE_MS, 200);
}
