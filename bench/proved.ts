// When a status counts as proof: Ready of the wanted generation, and every pod in it with the configuration that is wanted.
import { conditionOf, type LivePool } from '../test/support/pool.ts';

/** Ready=True that speaks of the generation. */
export function isReady(pool: LivePool, generation: number): boolean {
  const ready = conditionOf(pool, 'Ready');
  return ready?.status === 'True' && (ready.observedGeneration ?? 0) >= generation;
}

/** Exactly so many pods serve, each proved to run the configuration that is wanted now. */
export function everyPodProved({ status }: LivePool, pods: number): boolean {
  const serving = (status?.pods ?? []).filter((pod) => pod.state === 'Serving');
  return (
    status?.configHash !== undefined &&
    serving.length === pods &&
    (status.pods ?? []).every((pod) => pod.state !== 'Starting') &&
    serving.every((pod) => pod.configHash === status.configHash)
  );
}

/** The connections that the serving pods are granted, over all databases. */
export function grantedSize({ status }: LivePool): number {
  return (status?.pods ?? [])
    .filter((pod) => pod.state === 'Serving')
    .flatMap((pod) => pod.sizes ?? [])
    .reduce((sum, { size }) => sum + size, 0);
}

/** The connections that the databases are to have, over the whole fleet. */
export function targetSize({ status }: LivePool): number {
  return (status?.databases ?? []).reduce((sum, { size = 0 }) => sum + size, 0);
}

/** Nothing is under way any more. */
export function isAtRest(pool: LivePool, pods: number): boolean {
  return (
    isReady(pool, pool.metadata.generation) &&
    everyPodProved(pool, pods) &&
    pool.status?.pods?.length === pods &&
    conditionOf(pool, 'Reconciling') === undefined
  );
}
