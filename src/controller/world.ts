// The stores that mirror the cluster, kept by reflectors, and which PoolConfig each change concerns.
import type { PoolConfig } from '../api/poolconfig.gen.ts';
import type { KubeApi } from '../kube/client.ts';
import { Reflector } from '../kube/reflector.ts';
import {
  RESOURCES,
  type Deployment,
  type LiveObject,
  type Pod,
  type PodDisruptionBudget,
  type ReplicaSet,
  type Resource,
  type Secret,
  type StatefulSet,
} from '../kube/resources.ts';
import { SecretWatches } from '../kube/secret-watches.ts';
import { Store } from '../kube/store.ts';
import { isSelected } from '../model/label-selector.ts';
import { LABEL } from '../model/names.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { CHILD_KINDS, type ChildKind } from './child-kinds.ts';
import { projectDisruptionBudget, projectWorkload } from './facts.ts';

export type LivePool = PoolConfig & LiveObject;

export type WorldOptions = {
  readonly client: KubeApi;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** Empty: all namespaces. */
  readonly namespaces: readonly string[];
  /** Called with `namespace/name` of every PoolConfig that something changed for. */
  readonly onChange: (key: string, source: 'list' | 'watch') => void;
};

const NAMESPACE_INDEX = { namespace: (object: LiveObject): readonly string[] => [object.metadata.namespace ?? ''] };
const POOL_INDEX = { pool: (object: LiveObject): readonly string[] => poolKeys(object) };

/** Children are found by the label that every one of them carries. */
function poolKeys({ metadata }: LiveObject): readonly string[] {
  const pool = metadata.labels?.[LABEL.pool];
  return pool === undefined ? [] : [`${metadata.namespace ?? ''}/${pool}`];
}

function isOurs({ metadata }: LiveObject): boolean {
  return (
    metadata.labels?.['app.kubernetes.io/managed-by'] === 'poolsmith' && poolKeys({ metadata } as LiveObject).length > 0
  );
}

/** Life: `start` → running until `stop`. Nothing is decided before `waitForSync`. */
export class World {
  readonly pools: Store<LivePool>;
  readonly pods: Store<Pod>;
  /** One store for each row of CHILD_KINDS. */
  readonly children: ReadonlyMap<ChildKind, Store<LiveObject>>;
  readonly deployments: Store<Deployment>;
  readonly statefulSets: Store<StatefulSet>;
  /** Everybody's, because Kubernetes evicts no pod that two of them choose. */
  readonly disruptionBudgets: Store<PodDisruptionBudget>;
  readonly secrets: SecretWatches;
  readonly #options: WorldOptions;
  readonly #reflectors: Reflector<LiveObject>[] = [];

  constructor(options: WorldOptions) {
    this.#options = options;
    const { log, client, clock, random } = options;
    this.pools = new Store<LivePool>({ log, indexes: NAMESPACE_INDEX });
    this.pods = new Store<Pod>({ log, indexes: POOL_INDEX });
    this.children = new Map(
      (Object.keys(CHILD_KINDS) as ChildKind[]).map((kind) => [
        kind,
        new Store<LiveObject>({ log, indexes: POOL_INDEX }),
      ]),
    );
    this.deployments = new Store<Deployment>({ log });
    this.statefulSets = new Store<StatefulSet>({ log });
    this.disruptionBudgets = new Store<PodDisruptionBudget>({ log, indexes: NAMESPACE_INDEX });
    this.secrets = new SecretWatches({ client, clock, log, random });
    this.#follow();
  }

  start(): void {
    for (const reflector of this.#reflectors) reflector.start();
  }

  async waitForSync(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.waitForSync(signal)));
  }

  /** True once every list was read and no watch has been silent for longer than `maxSilenceMs`. */
  isFresh(maxSilenceMs: number): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    return this.#reflectors.every(
      ({ hasSynced, lastContactMs }) =>
        hasSynced && lastContactMs !== undefined && nowMs - lastContactMs <= maxSilenceMs,
    );
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#reflectors.map((reflector) => reflector.stop()), this.secrets.stop()]);
  }

  child(kind: ChildKind): Store<LiveObject> {
    const store = this.children.get(kind);
    if (store === undefined) throw new Error(`there is no store of ${kind}: the constructor makes one for every row`);
    return store;
  }

  /** One of the operator's own Secrets: the mounted files, or its credentials. */
  ownSecret(namespace: string, name: string): Secret | undefined {
    return this.child('Secret').get(namespace, name);
  }

  replicaSetsOf(key: string): readonly ReplicaSet[] {
    return this.child('ReplicaSet').byIndex('pool', key);
  }

  /** Disruption budgets of others that choose one of these pods, by name. */
  budgetsOfOthers(namespace: string, pods: readonly Pod[]): readonly string[] {
    return this.disruptionBudgets
      .byIndex('namespace', namespace)
      .filter(
        (budget) =>
          !isOurs(budget) && pods.some(({ metadata }) => isSelected(budget.spec?.selector, metadata.labels ?? {})),
      )
      .map(({ metadata }) => metadata.name)
      .sort();
  }

  /** PoolConfigs that use the same server, the given one left out. */
  neighbours(pool: LivePool): readonly LivePool[] {
    return this.pools.list().filter((other) => other.metadata.uid !== pool.metadata.uid && sameServer(other, pool));
  }

  #follow(): void {
    const { onChange } = this.#options;
    const own = `${LABEL.pool},app.kubernetes.io/managed-by=poolsmith`;
    this.#reflect<LivePool>(RESOURCES.PoolConfig, this.pools);
    this.#reflect(RESOURCES.Pod, this.pods, own);
    for (const [kind, store] of this.children) this.#reflect<LiveObject>(CHILD_KINDS[kind], store, own);
    this.#reflect(RESOURCES.Deployment, this.deployments, undefined, projectWorkload);
    this.#reflect(RESOURCES.StatefulSet, this.statefulSets, undefined, projectWorkload);
    this.#reflect(RESOURCES.PodDisruptionBudget, this.disruptionBudgets, undefined, projectDisruptionBudget);
    this.pools.subscribe(({ object, source }) => {
      onChange(`${object.metadata.namespace}/${object.metadata.name}`, source);
      for (const other of this.neighbours(object))
        onChange(`${other.metadata.namespace}/${other.metadata.name}`, source);
    });
    for (const store of [this.pods as unknown as Store<LiveObject>, ...this.children.values()]) {
      store.subscribe(({ object, source }) => {
        for (const key of poolKeys(object)) onChange(key, source);
      });
    }
    for (const store of [this.deployments, this.statefulSets]) {
      (store as Store<LiveObject>).subscribe(({ object, source }) => {
        for (const key of this.#poolsUsing(object)) onChange(key, source);
      });
    }
    this.disruptionBudgets.subscribe(({ object, source }) => {
      if (isOurs(object)) return;
      for (const pool of this.pools.byIndex('namespace', object.metadata.namespace ?? ''))
        onChange(`${pool.metadata.namespace}/${pool.metadata.name}`, source);
    });
    this.secrets.onChange((owners) => {
      for (const owner of owners) onChange(owner, 'watch');
    });
  }

  #poolsUsing({ kind, metadata }: LiveObject): readonly string[] {
    return this.pools
      .byIndex('namespace', metadata.namespace ?? '')
      .filter(
        (pool) => pool.spec.workloads?.some(({ ref }) => ref?.kind === kind && ref.name === metadata.name) === true,
      )
      .map((pool) => `${pool.metadata.namespace}/${pool.metadata.name}`);
  }

  #reflect<T extends LiveObject>(
    resource: Resource<T>,
    store: Store<T>,
    labelSelector?: string,
    project?: (raw: T) => T,
  ): void {
    const { client, clock, log, random, namespaces } = this.#options;
    const scopes = namespaces.length === 0 ? [undefined] : namespaces;
    for (const namespace of scopes) {
      const reflector = new Reflector<T>({
        client,
        resource,
        store,
        clock,
        log,
        random,
        ...(namespace === undefined ? {} : { namespace }),
        ...(labelSelector === undefined ? {} : { labelSelector }),
        ...(project === undefined ? {} : { project }),
      });
      this.#reflectors.push(reflector as unknown as Reflector<LiveObject>);
    }
  }
}

function sameServer(a: PoolConfig, b: PoolConfig): boolean {
  const key = ({ spec, metadata }: PoolConfig): string => {
    const host = spec.server.host.toLowerCase().replace(/\.$/, '');
    // A name without a dot means the pool's own namespace.
    return `${host.includes('.') || host.includes(':') ? host : `${host}.${metadata.namespace}`}:${spec.server.port ?? 5432}`;
  };
  return key(a) === key(b);
}
