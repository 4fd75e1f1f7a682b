// Builds observations for tests of planning: a PoolConfig with all it refers to, and a fleet that can be put into any state.
import type { PoolConfig, PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import type { KubeObject } from '../../src/model/kube-object.ts';
import type { Observation, PodFacts, SecretReading } from '../../src/model/observation.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import type { WorkloadFacts } from '../../src/sizing/demand.ts';

export const NOW_MS = 1_790_000_000_000;

export function poolConfig(spec: Partial<PoolConfigSpec> = {}, generation = 1): PoolConfig {
  return {
    apiVersion: 'poolsmith.dev/v1alpha1',
    kind: 'PoolConfig',
    metadata: { name: 'orders', namespace: 'shop', uid: 'pool-uid', generation, resourceVersion: '1' },
    spec: {
      server: { host: 'db.shop.svc', port: 5432, tls: { mode: 'disable' } },
      budget: { connections: 80, reserve: 5 },
      databases: [{ name: 'orders', database: 'orders_production', poolMode: 'transaction', weight: 1 }],
      auth: { users: [{ secretRef: { name: 'orders-app' } }] },
      workloads: [{ ref: { kind: 'Deployment', name: 'web' }, workers: 2, threads: 3 }],
      fleet: { replicas: 2 },
      ...spec,
    },
  };
}

export function secret(data: Readonly<Record<string, string>>): SecretReading {
  return { state: 'present', data: new Map(Object.entries(data).map(([key, text]) => [key, new SecretText(text)])) };
}

export function workload(replicas: number): WorkloadFacts {
  return {
    kind: 'Deployment',
    specReplicas: replicas,
    statusReplicas: replicas,
    maxSurge: '25%',
    recreate: false,
    template: { containers: [{ name: 'web', env: [] }] },
  };
}

/** An observation before anything exists but what the user made. */
export function observation(pool: PoolConfig = poolConfig(), changes: Partial<Observation> = {}): Observation {
  return {
    nowMs: NOW_MS,
    epoch: 7,
    pool,
    defaultImage: 'poolsmith/pgbouncer:1.26.1',
    secrets: new Map([['orders-app', secret({ username: 'orders_app', password: 'correct horse' })]]),
    credentials: {
      adminPassword: new SecretText('admin password'),
      proofKey: new SecretText('a proof key that is long enough'),
    },
    workloads: new Map([['Deployment/web', workload(2)]]),
    server: undefined,
    trials: [],
    children: new Map<string, KubeObject>(),
    replicaSets: [],
    pods: [],
    poolers: new Map(),
    neighbours: [],
    ...changes,
  };
}

/** A pod as the ReplicaSet controller has just made it. */
export function newPod(name: string, template: string, createdAtMs: number): PodFacts {
  return {
    name,
    uid: `uid-${name}`,
    resourceVersion: '1',
    ip: undefined,
    template,
    ready: false,
    serving: true,
    createdAtMs,
    terminatingSinceMs: undefined,
    unschedulable: undefined,
    finished: false,
    container: {
      id: undefined,
      running: false,
      startedAtMs: undefined,
      restartCount: 0,
      waitingReason: 'ContainerCreating',
      waitingMessage: undefined,
      lastTerminatedAtMs: undefined,
    },
    live: undefined,
    grant: undefined,
    drain: undefined,
    nonce: undefined,
    deletionCost: undefined,
    crowded: false,
  };
}
