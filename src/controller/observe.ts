// One look at everything that concerns a PoolConfig: the stores, every pooler, PostgreSQL. IO only; nothing is decided here.
import { referencedSecrets } from '../api/poolconfig.ts';
import type { LiveObject } from '../kube/resources.ts';
import { childNames, isChildName, LABEL } from '../model/names.ts';
import type { KubeObject } from '../model/kube-object.ts';
import type { LoadRefusal, Observation, OperatorCredentials, PodFacts, SecretReading } from '../model/observation.ts';
import { SecretText } from '../model/secret-text.ts';
import type { ServerTrust } from '../model/server-trust.ts';
import type { PoolerConsole } from '../pgbouncer/console.ts';
import type { PoolerConsoles } from '../pgbouncer/consoles.ts';
import { readUsers } from '../plan/policies/users-are-readable.ts';
import { serverHash, wantedTrials } from '../plan/server-hash.ts';
import { serverTrust } from '../plan/server-trust.ts';
import type { Clock } from '../runtime/clock.ts';
import { ownedBy, podFacts, replicaSetFacts, secretReading, workloadFacts } from './facts.ts';
import type { LostServers } from './lost-servers.ts';
import type { OrphanWatch } from './orphan-watch.ts';
import { consoleOf } from './pod-consoles.ts';
import type { Prover } from './prover.ts';
import { readPoolers } from './read-poolers.ts';
import type { ServerAddresses } from './server-addresses.ts';
import type { ServerSource } from './servers.ts';
import type { LivePool, World } from './world.ts';

/** Loads of live.ini that PgBouncer refused, by pod uid; forgotten with the next accepted one. */
export type Refusals = Map<string, LoadRefusal>;

export type ObserverOptions = {
  readonly world: World;
  readonly consoles: PoolerConsoles;
  readonly prover: Prover;
  readonly servers: ServerSource;
  readonly refusals: Refusals;
  readonly lost: LostServers;
  /** Left out, nobody looks where the server's host leads. */
  readonly addresses?: ServerAddresses;
  readonly clock: Clock;
  readonly defaultImage: string;
  /** Left out, nobody looks for orphaned backends. */
  readonly orphans?: OrphanWatch;
  /** Objects that bear a child's name and are somebody else's, as apply met them. */
  readonly foreign: Map<string, ReadonlyMap<string, LiveObject>>;
};

/** Undefined while a referenced Secret has not been looked up yet: deciding without it would look like its absence. */
export async function observe(
  options: ObserverOptions,
  key: string,
  pool: LivePool,
  epoch: number,
  signal: AbortSignal,
): Promise<Observation | undefined> {
  const { world, clock } = options;
  const secrets = readSecrets(world, key, pool);
  if (secrets === undefined) return undefined;
  const nowMs = clock.now();
  const children = readChildren(options, key, pool);
  const credentials = readCredentials(world, pool);
  const own = world.pods
    .byIndex('pool', key)
    .filter((pod) => pod.metadata.ownerReferences?.some((owner) => owner.kind === 'ReplicaSet') === true);
  const pods = own.map(podFacts);
  const base: Observation = {
    nowMs,
    epoch,
    pool,
    defaultImage: options.defaultImage,
    secrets,
    credentials,
    workloads: readWorkloads(world, pool),
    server: undefined,
    trials: [],
    children,
    replicaSets: world
      .replicaSetsOf(key)
      .filter((set) => set.metadata.ownerReferences?.some((owner) => owner.uid === pool.metadata.uid) === true)
      .map(replicaSetFacts),
    pods,
    poolers: new Map(),
    budgetsOfOthers: world.budgetsOfOthers(pool.metadata.namespace, own),
    neighbours: world.neighbours(pool).map(neighbour),
    fleetAddresses: fleetAddresses(world, pool),
  };
  const trust = serverTrust(base);
  const { users } = readUsers(base);
  const leadsTo = options.addresses?.look(key, pool);
  const [server, trials, poolers] = await Promise.all([
    options.servers.observe(key, pool, secrets, trust, signal, leadsTo?.address),
    tryLogins(options, key, base, trust, signal),
    readPoolers(options, base, users, leadsTo, signal),
  ]);
  const seen = {
    ...base,
    server,
    trials,
    poolers,
    ...(leadsTo === undefined ? {} : { leadsSinceMs: leadsTo.sinceMs }),
  };
  const orphans = await options.orphans?.look(key, seen, (pod) => knownConsole(options, pod, credentials), signal);
  return orphans === undefined ? seen : { ...seen, orphans };
}

function knownConsole(
  options: ObserverOptions,
  pod: PodFacts,
  credentials: OperatorCredentials | undefined,
): PoolerConsole | undefined {
  return credentials === undefined ? undefined : consoleOf(options.consoles, pod, credentials);
}

function readSecrets(world: World, key: string, pool: LivePool): ReadonlyMap<string, SecretReading> | undefined {
  const names = referencedSecrets(pool);
  world.secrets.want(key, new Set(names.map((name) => `${pool.metadata.namespace}/${name}`)));
  const readings = new Map<string, SecretReading>();
  for (const name of names) {
    const secret = world.secrets.get(`${pool.metadata.namespace}/${name}`);
    if (secret === 'unsynced') return undefined;
    readings.set(name, secretReading(secret));
  }
  return readings;
}

/** Owned ones, and whatever bears the name of a child: that it is not ours is for planning to say. */
function readChildren(
  { world, foreign }: ObserverOptions,
  key: string,
  pool: LivePool,
): ReadonlyMap<string, KubeObject> {
  const labelled = [...world.children]
    .filter(([kind]) => kind !== 'ReplicaSet')
    .flatMap(([, store]) => store.byIndex('pool', key))
    .filter((object) => ownedBy(object, pool.metadata.uid) || isChildName(pool.metadata.name, object.metadata.name));
  const found = [...(foreign.get(key)?.values() ?? []), ...labelled] as unknown as readonly KubeObject[];
  return new Map(found.map((object) => [`${object.kind}/${object.metadata.name}`, object]));
}

export function readCredentials(world: World, pool: LivePool): OperatorCredentials | undefined {
  const { operatorSecret } = childNames(pool.metadata.name);
  const data = world.ownSecret(pool.metadata.namespace, operatorSecret)?.data as
    Readonly<Record<string, string>> | undefined;
  const read = (name: string): SecretText | undefined =>
    data?.[name] === undefined ? undefined : new SecretText(Buffer.from(data[name], 'base64').toString('utf8'));
  const adminPassword = read('admin-password');
  const proofKey = read('proof-key');
  return adminPassword === undefined || proofKey === undefined ? undefined : { adminPassword, proofKey };
}

function readWorkloads(world: World, pool: LivePool): Observation['workloads'] {
  const refs = (pool.spec.workloads ?? []).map((workload) => workload.ref).filter((ref) => ref !== undefined);
  return new Map(
    refs.flatMap((ref) => {
      const store = ref.kind === 'Deployment' ? world.deployments : world.statefulSets;
      const workload = store.get(pool.metadata.namespace, ref.name);
      return workload === undefined ? [] : [[`${ref.kind}/${ref.name}`, workloadFacts(workload)] as const];
    }),
  );
}

function neighbour(other: LivePool): Observation['neighbours'][number] {
  return {
    key: `${other.metadata.namespace}/${other.metadata.name}`,
    connections: other.spec.budget.connections ?? other.status?.budget?.declared ?? 0,
    monitored: other.spec.server.monitorSecretRef !== undefined,
  };
}

/** Also of pods that outlive their PoolConfig for as long as they drain: for a moment they would look like somebody else's. */
function fleetAddresses(world: World, pool: LivePool): readonly string[] {
  const neighbours = world.neighbours(pool);
  const onThisServer = new Set(neighbours.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  const pods = world.pods.list().filter(({ metadata }) => {
    const name = metadata.labels?.[LABEL.pool] ?? '';
    const namespace = metadata.namespace ?? '';
    return onThisServer.has(`${namespace}/${name}`) || world.pools.get(namespace, name) === undefined;
  });
  const known = neighbours.flatMap((other) => (other.status?.pods ?? []).map((entry) => entry.ip));
  return [...pods.map((pod) => pod.status?.podIP), ...known].filter((address) => address !== undefined);
}

async function tryLogins(
  options: ObserverOptions,
  key: string,
  base: Observation,
  trust: ServerTrust,
  signal: AbortSignal,
): Promise<Observation['trials']> {
  const wishes = wantedTrials(base);
  const hash = serverHash(base);
  if (wishes.length === 0 || hash === undefined) return [];
  return options.servers.tryLogins(key, base.pool, hash, wishes, trust, base.nowMs, signal);
}
