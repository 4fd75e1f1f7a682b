// Everything but the operator, in one virtual time: the cluster, its nodes, PostgreSQL, the poolers that run, and their clients.
import { API_VERSION } from '../../src/model/names.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { ArmedFaults } from './armed-faults.ts';
import type { Setup } from './history.ts';
import { GarbageCollector } from './kube/garbage-collector.ts';
import { Kubelet } from './kube/kubelet.ts';
import { usualTiming } from './kube/kubelet-timing.ts';
import { ReplicaSets } from './kube/replica-sets.ts';
import { SimApi } from './kube/sim-api.ts';
import { DATABASE_NAMES, firstSpec, HOST, NAMESPACE, POOL } from './operations.ts';
import { DataPlane, type DataPlaneOptions } from './pooler/data-plane.ts';
import { PASSWORDS, putSurroundings } from './surroundings.ts';

export type SimWorld = {
  readonly api: SimApi;
  readonly kubelet: Kubelet;
  readonly plane: DataPlane;
  /** Pods that somebody else has had deleted. */
  readonly evicted: Set<string>;
};

export type SimWorldOptions = {
  readonly clock: Clock;
  /** Uniform in [0, 1); every part of the world draws from it. */
  readonly random: () => number;
  readonly faults: Pick<ArmedFaults, 'files' | 'reloads'>;
};

/** With the PoolConfig declared, its clients waiting, and nobody yet who does anything about it. */
export function simWorld(setup: Setup, { clock, random, faults }: SimWorldOptions): SimWorld {
  const plane = new DataPlane({
    clock,
    random,
    postgres: [postgresOf(setup)],
    refuseReload: ({ pod, text }) => faults.reloads.refusal(pod, text),
  });
  const api = new SimApi({ clock, random });
  new ReplicaSets(api);
  new GarbageCollector(api);
  const usual = usualTiming(random);
  const kubelet = new Kubelet({
    api,
    startPooler: plane.start,
    timing: { projectionDelayMs: (sinceLastMs) => usual.projectionDelayMs(sinceLastMs) + faults.files.lagMs() },
  });
  putSurroundings(api, setup);
  const metadata = { name: POOL, namespace: NAMESPACE };
  const pool = { apiVersion: API_VERSION, kind: 'PoolConfig', metadata, spec: firstSpec(setup) };
  api.put(pool);
  putLoad(plane, setup);
  return { api, kubelet, plane, evicted: new Set() };
}

function postgresOf({ maxConnections }: Setup): DataPlaneOptions['postgres'][number] {
  return {
    hosts: [HOST],
    port: 5432,
    maxConnections,
    databases: [...DATABASE_NAMES, 'postgres'],
    users: PASSWORDS,
    monitors: ['monitor'],
    // The operator has PostgreSQL look after its clients every second (ADR 17).
    orphanMs: 1_000,
  };
}

/** The first database is asked for twice as much as the others. */
function putLoad(plane: DataPlane, setup: Setup): void {
  const clients = Math.ceil(setup.clients / (setup.databases * setup.users));
  for (const [index, database] of DATABASE_NAMES.slice(0, setup.databases).entries()) {
    for (const [user, password] of Object.entries(PASSWORDS).slice(0, setup.users))
      plane.setDemand({ database, user, password, clients: index === 0 ? clients : Math.ceil(clients / 2) });
  }
}
