// The one fleet of a history, as the API shows it: what is declared, its pods, and whether it serves.
import type { PoolConfig } from '../../src/api/poolconfig.gen.ts';
import { LABEL } from '../../src/model/names.ts';
import { asPod, type SimPod } from './kube/pods.ts';
import type { SimApi } from './kube/sim-api.ts';
import { NAMESPACE, POOL } from './operations.ts';

/** Of a PoolConfig that declares none. */
const USUAL_REPLICAS = 2;

export function poolOf(api: SimApi): PoolConfig {
  return api.find('PoolConfig', NAMESPACE, POOL) as unknown as PoolConfig;
}

export function declaredReplicas({ spec }: PoolConfig): number {
  return spec.fleet?.replicas ?? USUAL_REPLICAS;
}

export function podsOf(api: SimApi): readonly SimPod[] {
  return api
    .list('Pod')
    .filter(({ metadata }) => metadata.labels?.[LABEL.pool] === POOL)
    .map(asPod);
}

/** Ready is told of what is declared now. */
export function isReady({ status, metadata }: PoolConfig): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return ready?.status === 'True' && ready.observedGeneration === metadata.generation;
}
