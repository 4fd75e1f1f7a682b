// PoolConfigs for tests: a builder, apply, waiting for what their status says, and their pods.
import type {
  Condition,
  Database,
  PoolConfig,
  PoolConfigSpec,
  Server,
  Workload,
} from '../../src/api/poolconfig.gen.ts';
import type { ConditionStatus, ConditionType, Reason } from '../../src/api/reasons.ts';
import { RESOURCES, type LiveObject, type Resource } from '../../src/kube/resources.ts';
import { API_VERSION } from '../../src/model/names.ts';
import { until } from '../cluster/processes.ts';
import { cluster } from './kubectl.ts';

export type LivePool = PoolConfig & LiveObject;

/** What is applied. */
export type PoolManifest = Readonly<{
  apiVersion: string;
  kind: 'PoolConfig';
  metadata: Readonly<{ name: string; namespace: string }>;
  spec: PoolConfigSpec;
}>;

export const POOL_CONFIGS = RESOURCES.PoolConfig as Resource<LivePool>;

/** Every method answers a new builder. */
export class PoolConfigBuilder {
  readonly #name: string;
  readonly #namespace: string;
  readonly #spec: PoolConfigSpec;

  constructor(name: string, namespace: string, spec: PoolConfigSpec) {
    this.#name = name;
    this.#namespace = namespace;
    this.#spec = spec;
  }

  in(namespace: string): PoolConfigBuilder {
    return new PoolConfigBuilder(this.#name, namespace, this.#spec);
  }

  /** Plain text unless `server` says otherwise. */
  onServer(host: string, server: Partial<Server> = {}): PoolConfigBuilder {
    return this.with({ server: { host, tls: { mode: 'disable' }, ...server } });
  }

  /** Name of the basic-auth Secret of a role with pg_monitor. */
  withMonitor(secretName: string): PoolConfigBuilder {
    return this.with({ server: { ...this.#spec.server, monitorSecretRef: { name: secretName } } });
  }

  withBudget(connections: number, reserve = 0): PoolConfigBuilder {
    return this.with({ budget: { connections, reserve } });
  }

  withDatabases(...databases: readonly (string | Database)[]): PoolConfigBuilder {
    return this.with({ databases: databases.map((one) => (typeof one === 'string' ? { name: one } : one)) });
  }

  /** Names of basic-auth Secrets. */
  withUsers(...secretNames: readonly string[]): PoolConfigBuilder {
    return this.with({ auth: { users: secretNames.map((name) => ({ secretRef: { name } })) } });
  }

  /** Adds a Deployment; workers and threads as in the spec. */
  forDeployment(name: string, concurrency: Pick<Workload, 'workers' | 'threads' | 'databases'>): PoolConfigBuilder {
    return this.#add({ ref: { kind: 'Deployment', name }, ...concurrency });
  }

  /** Adds clients from elsewhere. */
  forClients(name: string, clients: number, databases?: readonly string[]): PoolConfigBuilder {
    return this.#add({ name, clients, ...(databases === undefined ? {} : { databases }) });
  }

  withReplicas(replicas: number): PoolConfigBuilder {
    return this.with({ fleet: { ...this.#spec.fleet, replicas } });
  }

  /** Durations such as `5s`. */
  withDrain(window: string, timeout: string): PoolConfigBuilder {
    return this.with({ fleet: { ...this.#spec.fleet, drain: { window, timeout } } });
  }

  withParameters(parameters: Readonly<Record<string, string | number>>): PoolConfigBuilder {
    return this.with({
      pooler: { ...this.#spec.pooler, parameters: { ...this.#spec.pooler?.parameters, ...parameters } },
    });
  }

  /** Replaces whole fields of the spec. */
  with(fields: Partial<PoolConfigSpec>): PoolConfigBuilder {
    return new PoolConfigBuilder(this.#name, this.#namespace, { ...this.#spec, ...fields });
  }

  build(): PoolManifest {
    const metadata = { name: this.#name, namespace: this.#namespace };
    return { apiVersion: API_VERSION, kind: 'PoolConfig', metadata, spec: this.#spec };
  }

  #add(workload: Workload): PoolConfigBuilder {
    return this.with({ workloads: [...(this.#spec.workloads ?? []), workload] });
  }
}

/** One database `orders` on `db`, user from Secret `orders-app`, 40 connections, two pods that drain quickly. */
export function poolConfig(name = 'orders'): PoolConfigBuilder {
  return new PoolConfigBuilder(name, 'default', {
    server: { host: 'db', tls: { mode: 'disable' } },
    budget: { connections: 40 },
    databases: [{ name: 'orders' }],
    auth: { users: [{ secretRef: { name: 'orders-app' } }] },
    fleet: { replicas: 2, drain: { window: '5s', timeout: '20s' } },
  });
}

/** Creates or changes it; answers it as stored, with the generation to wait for. */
export async function applyPool(pool: PoolConfigBuilder | PoolManifest): Promise<LivePool> {
  const manifest = pool instanceof PoolConfigBuilder ? pool.build() : pool;
  return (await (await cluster()).apply(manifest, { force: true })) as unknown as LivePool;
}

export async function applyBasicAuth(namespace: string, name: string, user: string, password: string): Promise<void> {
  const body = { type: 'kubernetes.io/basic-auth', stringData: { username: user, password } };
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name }, ...body };
  await (await cluster()).apply(secret, { force: true });
}

export async function readPool(namespace: string, name: string): Promise<LivePool> {
  return await (await cluster()).get(POOL_CONFIGS, namespace, name);
}

export function conditionOf(pool: LivePool, type: ConditionType): Condition | undefined {
  return pool.status?.conditions?.find((condition) => condition.type === type);
}

export type ConditionWait = Readonly<{
  reason?: Reason;
  /** The condition must speak of this generation or a later one; of the present one when left out. */
  generation?: number;
  timeoutMs?: number;
}>;

/** Waits for a condition of the spec as it stands; answers the PoolConfig. @throws with the last conditions on time-out. */
export async function waitForCondition(
  namespace: string,
  name: string,
  type: ConditionType,
  status: ConditionStatus,
  { reason, generation, timeoutMs }: ConditionWait = {},
): Promise<LivePool> {
  const holds = (pool: LivePool): boolean => {
    const condition = conditionOf(pool, type);
    const wantedGeneration = generation ?? pool.metadata.generation;
    return (
      condition?.status === status &&
      (condition.observedGeneration ?? 0) >= wantedGeneration &&
      (reason === undefined || condition.reason === reason)
    );
  };
  return await waitForPool(
    namespace,
    name,
    `${type}=${status}${reason === undefined ? '' : ` (${reason})`}`,
    holds,
    timeoutMs,
  );
}

/** Waits until `holds` says yes of the PoolConfig. @throws with its last conditions on time-out. */
export async function waitForPool(
  namespace: string,
  name: string,
  what: string,
  holds: (pool: LivePool) => boolean,
  timeoutMs = 60_000,
): Promise<LivePool> {
  const kube = await cluster();
  let last: LivePool | undefined;
  const look = async (): Promise<LivePool | undefined> => {
    last = await kube.find(POOL_CONFIGS, namespace, name);
    return last !== undefined && holds(last) ? last : undefined;
  };
  try {
    return await until(`${what} of PoolConfig ${namespace}/${name}`, look, timeoutMs, 50);
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${describeStatus(last)}`, { cause: error });
  }
}

/** Conditions, sizes and pods in a few lines, for messages of failed tests. */
export function describeStatus(pool: LivePool | undefined): string {
  if (pool === undefined) return 'the PoolConfig does not exist';
  const { conditions = [], databases = [], pods = [], budget, size } = pool.status ?? {};
  return [
    `generation ${pool.metadata.generation}, size ${String(size)}, budget ${JSON.stringify(budget)}`,
    ...conditions.map(
      (c) => `  ${c.type}=${c.status} ${c.reason} (generation ${String(c.observedGeneration)}): ${c.message}`,
    ),
    ...databases.map((one) => `  database ${one.name}: ${String(one.size)} ${one.reason ?? ''}`),
    ...pods.map(
      (one) => `  pod ${one.name} ${String(one.state)} ${String(one.configHash)} ${JSON.stringify(one.sizes)}`,
    ),
  ].join('\n');
}
