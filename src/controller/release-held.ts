// Before an operator goes, clients that wait for a lost server go on: nobody may be there to see it come back.
import { databasesOf } from '../api/poolconfig.ts';
import { AdminError } from '../pgbouncer/errors.ts';
import { resumeAll } from '../pgbouncer/pause.ts';
import { podFacts } from './facts.ts';
import { readCredentials, type ObserverOptions } from './observe.ts';
import { consoleOf } from './pod-consoles.ts';

/** Best effort, straight at the pods: the API server may be what is gone. A later leader pauses again what still has to wait. */
export async function releaseHeld({ world, consoles }: Pick<ObserverOptions, 'world' | 'consoles'>): Promise<void> {
  const releases = world.pools.list().flatMap((pool) => {
    const credentials = readCredentials(world, pool);
    const noted = new Set(pool.status?.outage?.pods);
    if (credentials === undefined || noted.size === 0) return [];
    const databases = databasesOf(pool).map(({ name }) => name);
    return world.pods
      .byIndex('pool', `${pool.metadata.namespace}/${pool.metadata.name}`)
      .map(podFacts)
      .filter(({ name, ip }) => noted.has(name) && ip !== undefined)
      .map((pod) => resumeAll(consoleOf(consoles, pod, credentials), databases));
  });
  for (const result of await Promise.allSettled(releases)) {
    if (result.status === 'rejected' && !(result.reason instanceof AdminError)) throw result.reason;
  }
}
