// What is really so in the simulated world, whatever anybody has read or written of it: what the watchman asks for.
import { childNames } from '../../src/model/names.ts';
import type { DatabaseRow } from '../../src/model/pooler-view.ts';
import type { Sizes } from '../../src/model/pooler-model.ts';
import type { ProvedRecord } from '../../src/plan/proved-record.ts';
import { sumOf } from '../../src/sizing/sizes.ts';
import { declaredReplicas, podsOf, poolOf } from './fleet.ts';
import { asPod, isTerminating } from './kube/pods.ts';
import type { SimApi } from './kube/sim-api.ts';
import { NAMESPACE, POOL } from './operations.ts';
import type { DataPlane, InForce } from './pooler/data-plane.ts';
import type { PgbouncerModel } from './pooler/pgbouncer-model.ts';
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
    unownedAtMost: () => unownedAtMost(api, plane),
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

/** What processes without a pod have, or may come to have as long as they live: those of a lost node go on for a while. */
function unownedAtMost(api: SimApi, plane: DataPlane): number {
  const owned = podAddresses(api);
  const most = new Map<string, number>();
  for (const { address, count } of fleetBackends(plane)) most.set(address, (most.get(address) ?? 0) + count);
  for (const [ip, process] of plane.running()) {
    // Without a client it opens nothing, and without a pod it gets none; nor while it is paused, as it stays.
    if (process.showClients().length > 0)
      most.set(ip, Math.max(most.get(ip) ?? 0, sumOf(sizesInForce(process, ({ paused }) => !paused))));
  }
  return [...most].reduce((sum, [ip, count]) => sum + (owned.has(ip) ? 0 : count), 0);
}

function sizesInForce(process: PgbouncerModel, which: (row: DatabaseRow) => boolean = () => true): Sizes {
  const rows = process.showDatabases().filter((row) => row.name !== 'pgbouncer' && which(row));
  return Object.fromEntries(
    rows.map(({ name, poolSize, maxConnections }) => [name, Math.max(poolSize, maxConnections)]),
  );
}

/** What boot.ini gives a pod that starts now. */
export function bootSizes(api: SimApi): Sizes {
  return provedRecord(api)?.floors ?? {};
}

/** What the operator keeps beside boot.ini. */
export function provedRecord(api: SimApi): ProvedRecord | undefined {
  const data = api.find('ConfigMap', NAMESPACE, childNames(POOL).configMap)?.['data'];
  const record = (data as { 'proved.json'?: string } | undefined)?.['proved.json'];
  return record === undefined ? undefined : (JSON.parse(record) as ProvedRecord);
}

function poolerTruth(api: SimApi, plane: DataPlane, uid: string): PoolerTruth | undefined {
  const pod = api.list('Pod').find(({ metadata }) => metadata.uid === uid);
  const ip = pod === undefined ? undefined : asPod(pod).status?.podIP;
  if (pod === undefined || ip === undefined) return undefined;
  const process = plane.processAt(ip);
  if (process === undefined || process.exited || process.start.uid !== uid) return undefined;
  // One that is being deleted gets no new client; without any left it opens nothing more, whatever its sizes are.
  const over = isTerminating(pod) && process.showClients().length === 0;
  const inForce = over ? {} : sizesInForce(process);
  const held: Record<string, number> = {};
  for (const { address, database, count } of plane.serversInForce())
    if (address === ip) held[database] = (held[database] ?? 0) + count;
  return {
    inForce,
    loaded: process.config.get('syslog_ident'),
    held,
  };
}
