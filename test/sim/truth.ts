// What is really so in the simulated world, whatever anybody has read or written of it: what the watchman asks for.
import { childNames } from '../../src/model/names.ts';
import type { Sizes } from '../../src/model/pooler-model.ts';
import { declaredReplicas, podsOf, poolOf } from './fleet.ts';
import { asPod, isTerminating } from './kube/pods.ts';
import type { SimApi } from './kube/sim-api.ts';
import { NAMESPACE, POOL } from './operations.ts';
import type { DataPlane, InForce } from './pooler/data-plane.ts';
import type { SimWorld } from './sim-world.ts';
import type { PoolerTruth, Truth } from './watchman.ts';

export function truthOf({ api, plane }: SimWorld): Truth {
  return {
    realBackends: () => countOf(fleetBackends(plane)),
    pooler: (uid) => poolerTruth(api, plane, uid),
    unowned: () => {
      const owned = podAddresses(api);
      return countOf(fleetBackends(plane).filter(({ address }) => !owned.has(address)));
    },
    bootSizes: () => bootSizes(api),
    replicas: () => declaredReplicas(poolOf(api)),
    pods: () => podsOf(api),
  };
}

/** Connections of the fleet's poolers at PostgreSQL; the operator's own are of another user, and outside of the budget. */
export function fleetBackends(plane: DataPlane): readonly InForce[] {
  return plane.serversInForce().filter(({ user }) => user !== 'monitor');
}

/** Addresses that a pod has now. */
export function podAddresses(api: SimApi): ReadonlySet<string> {
  return new Set(api.list('Pod').flatMap((pod) => asPod(pod).status?.podIP ?? []));
}

function countOf(groups: readonly InForce[]): number {
  return groups.reduce((sum, { count }) => sum + count, 0);
}

function bootSizes(api: SimApi): Sizes {
  const data = api.find('ConfigMap', NAMESPACE, childNames(POOL).configMap)?.['data'];
  const record = (data as { 'proved.json'?: string } | undefined)?.['proved.json'];
  return record === undefined ? {} : (JSON.parse(record) as { floors: Sizes }).floors;
}

function poolerTruth(api: SimApi, plane: DataPlane, uid: string): PoolerTruth | undefined {
  const pod = api.list('Pod').find(({ metadata }) => metadata.uid === uid);
  const ip = pod === undefined ? undefined : asPod(pod).status?.podIP;
  if (pod === undefined || ip === undefined) return undefined;
  const process = plane.processAt(ip);
  if (process === undefined || process.exited || process.start.uid !== uid) return undefined;
  // One that is being deleted gets no new client; without any left it opens nothing more, whatever its sizes are.
  const over = isTerminating(pod) && process.showClients().length === 0;
  const rows = over ? [] : process.showDatabases().filter(({ name }) => name !== 'pgbouncer');
  const held: Record<string, number> = {};
  for (const { address, database, count } of plane.serversInForce())
    if (address === ip) held[database] = (held[database] ?? 0) + count;
  return {
    inForce: Object.fromEntries(
      rows.map(({ name, poolSize, maxConnections }) => [name, Math.max(poolSize, maxConnections)]),
    ),
    loaded: process.config.get('syslog_ident'),
    held,
  };
}
