// The one fleet of a history, as the API shows it: what is declared, its pods, and whether it serves.
import type { PoolConfig } from '../../src/api/poolconfig.gen.ts';
import { LABEL } from '../../src/model/names.ts';
import { asPod, type SimPod } from './kube/pods.ts';
import type { SimApi, SimObject } from './kube/sim-api.ts';
import { NAMESPACE, POOL } from './operations.ts';
import { FOREIGN_LABEL } from './surroundings.ts';

/** Of a PoolConfig that declares none. */
const USUAL_REPLICAS = 2;

export function poolOf(api: SimApi): PoolConfig {
  return api.find('PoolConfig', NAMESPACE, POOL) as unknown as PoolConfig;
}

export function declaredReplicas({ spec }: Pick<PoolConfig, 'spec'>): number {
  return spec.fleet?.replicas ?? USUAL_REPLICAS;
}

export function podsOf(api: SimApi): readonly SimPod[] {
  return api
    .list('Pod')
    .filter(({ metadata }) => metadata.labels?.[LABEL.pool] === POOL)
    .map(asPod);
}

/** Those of the operator, not a stranger's that looks like them. */
export function replicaSetsOf(api: SimApi): readonly SimObject[] {
  return api
    .list('ReplicaSet')
    .filter(({ metadata }) => metadata.labels?.[LABEL.pool] === POOL && metadata.labels[FOREIGN_LABEL] === undefined);
}

/** The generation that status speaks of; undefined while that one is blocked, so that what stood before goes on. */
export function toldGeneration({ status }: PoolConfig): number | undefined {
  const stalled = status?.conditions?.some(({ type, status: holds }) => type === 'Stalled' && holds === 'True');
  return stalled === true ? undefined : status?.observedGeneration;
}

/** Ready is told of what is declared now. */
export function isReady({ status, metadata }: PoolConfig): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return ready?.status === 'True' && ready.observedGeneration === metadata.generation;
}
