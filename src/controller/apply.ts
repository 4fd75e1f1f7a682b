// Runs a plan's actions: writes to the API one after the other, then the consoles of all pods side by side. A failure ends the rest.
import type { KubeApi } from '../kube/client.ts';
import { isApiError } from '../kube/errors.ts';
import { RESOURCES, resourceOf, type LiveObject } from '../kube/resources.ts';
import type { Store } from '../kube/store.ts';
import { childNames, FIELD_MANAGER, PLACE } from '../model/names.ts';
import type { KubeObject } from '../model/kube-object.ts';
import type { Observation, PodFacts } from '../model/observation.ts';
import type { Action } from '../model/plan.ts';
import { ADMIN_USER } from '../model/reserved-names.ts';
import type { PoolerConsole } from '../pgbouncer/console.ts';
import type { PoolerConsoles } from '../pgbouncer/consoles.ts';
import { closeUsers } from '../pgbouncer/close-users.ts';
import { endDrain } from '../pgbouncer/end-drain.ts';
import { AdminError } from '../pgbouncer/errors.ts';
import { pauseAll, pauseDatabases, reconnectDatabases, resumeAll } from '../pgbouncer/pause.ts';
import { drainToSize } from '../pgbouncer/lifetime-drain.ts';
import { head } from '../render/children.ts';
import { isChildKind } from './child-kinds.ts';
import { ownedBy } from './facts.ts';
import type { Refusals } from './observe.ts';
import { consoleOf } from './pod-consoles.ts';
import type { ServerAddresses } from './server-addresses.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Prover } from './prover.ts';
import type { UnsureWrites } from './unsure-writes.ts';
import type { World } from './world.ts';

export type ApplierOptions = {
  readonly client: KubeApi;
  readonly world: World;
  readonly consoles: PoolerConsoles;
  readonly clock: Clock;
  /** New random text of so many bytes, for the operator's own passwords. */
  readonly newSecret: (bytes: number) => string;
  readonly prover: Prover;
  readonly refusals: Refusals;
  readonly unsure: UnsureWrites;
  readonly foreign: Map<string, ReadonlyMap<string, LiveObject>>;
  readonly addresses?: Pick<ServerAddresses, 'tried'>;
};

type ConsoleAction = Extract<
  Action,
  { kind: 'loadLive' | 'shrinkPools' | 'endDrain' | 'pausePools' | 'resumePools' | 'reconnectPools' | 'closeUsers' }
>;

const CONSOLE_ACTIONS: ReadonlySet<Action['kind']> = new Set<ConsoleAction['kind']>([
  'loadLive',
  'shrinkPools',
  'endDrain',
  'pausePools',
  'resumePools',
  'reconnectPools',
  'closeUsers',
]);

const SHRINK_DEADLINE_MS = 4_000;
/** A RELOAD that changes the way to the server waits so long for logins under way, which it would drop. */
const QUIET_WITHIN_MS = 1_000;

/** Rejects with the first failure; what was not run is planned again from a fresh look. */
export async function apply(
  options: ApplierOptions,
  key: string,
  observation: Observation,
  actions: readonly Action[],
  signal: AbortSignal,
): Promise<void> {
  const onConsole = actions.filter(isConsoleAction);
  const unsure =
    (action: Action) =>
    (error: unknown): never => {
      options.unsure.note(key, action, observation.pool.metadata.name, error);
      throw error;
    };
  for (const action of actions) {
    signal.throwIfAborted();
    if (!isConsoleAction(action)) await write(options, key, observation, action, signal).catch(unsure(action));
  }
  const results = await Promise.allSettled(onConsole.map((action) => command(options, observation, action, signal)));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

function isConsoleAction(action: Action): action is ConsoleAction & { readonly why: string } {
  return CONSOLE_ACTIONS.has(action.kind);
}

async function write(
  options: ApplierOptions,
  key: string,
  { pool }: Observation,
  action: Exclude<Action, ConsoleAction>,
  signal: AbortSignal,
): Promise<void> {
  const { client, world } = options;
  const namespace = pool.metadata.namespace;
  switch (action.kind) {
    case 'createCredentials':
      await createCredentials(options, key, pool, signal);
      return;
    case 'applyChild':
      await applyChild(options, key, pool.metadata.uid, action.object, signal);
      return;
    case 'scaleReplicaSet': {
      const { name, resourceVersion, to } = action;
      const spec = { replicas: to };
      world
        .child('ReplicaSet')
        .upsert(await client.mergePatch(RESOURCES.ReplicaSet, namespace, name, { spec }, { resourceVersion, signal }));
      return;
    }
    case 'deleteReplicaSet':
      await client.delete(RESOURCES.ReplicaSet, namespace, action.name, {
        uid: action.uid,
        resourceVersion: action.resourceVersion,
        propagationPolicy: 'Background',
        signal,
      });
      return;
    case 'deletePod':
      await client.delete(RESOURCES.Pod, namespace, action.name, {
        uid: action.uid,
        resourceVersion: action.resourceVersion,
        signal,
      });
      return;
    case 'patchPod': {
      const metadata = {
        annotations: nulled(action.annotations),
        ...(action.labels === undefined ? {} : { labels: nulled(action.labels) }),
      };
      world.pods.upsert(
        await client.mergePatch(
          RESOURCES.Pod,
          namespace,
          action.name,
          { metadata },
          { resourceVersion: action.resourceVersion, signal },
        ),
      );
    }
  }
}

/** JSON merge patch removes a key by null. */
function nulled(entries: Readonly<Record<string, string | undefined>>): Record<string, string | null> {
  return Object.fromEntries(Object.entries(entries).map(([name, value]) => [name, value ?? null]));
}

async function createCredentials(
  options: ApplierOptions,
  key: string,
  pool: Observation['pool'],
  signal: AbortSignal,
): Promise<void> {
  const object = {
    ...head(pool, 'v1', 'Secret', childNames(pool.metadata.name).operatorSecret),
    type: 'Opaque',
    stringData: {
      'admin-password': keptAdminPassword(options.world, pool) ?? options.newSecret(24),
      'proof-key': options.newSecret(32),
    },
  };
  try {
    // Created, never applied: two operators must not each write a password of their own.
    options.world.child('Secret').upsert(await options.client.create(object, { signal, fieldManager: FIELD_MANAGER }));
  } catch (error) {
    if (!isApiError(error, 'alreadyExists')) throw error;
    await noteForeign(options, key, pool.metadata.uid, object, signal);
  }
}

/** Pods that run know the password of their userlist and no other: where the operator's own Secret got lost, it is found there. */
function keptAdminPassword(world: World, pool: Observation['pool']): string | undefined {
  const files = world.ownSecret(pool.metadata.namespace, childNames(pool.metadata.name).files);
  const data = (files?.data ?? {}) as Readonly<Record<string, string>>;
  for (const [name, text] of Object.entries(data)) {
    if (!name.startsWith('userlist-')) continue;
    const line = new RegExp(`^"${ADMIN_USER}" "([A-Za-z0-9_-]+)"$`, 'm').exec(
      Buffer.from(text, 'base64').toString('utf8'),
    );
    if (line?.[1] !== undefined) return line[1];
  }
  return undefined;
}

async function applyChild(
  options: ApplierOptions,
  key: string,
  ownerUid: string,
  object: KubeObject,
  signal: AbortSignal,
): Promise<void> {
  const store = storeFor(options.world, object.kind);
  const { namespace, name } = object.metadata;
  // A child that no store has may be somebody else's object of the same name: forced apply would take it over.
  if (store.get(namespace, name) === undefined && (await noteForeign(options, key, ownerUid, object, signal))) return;
  store.upsert(await options.client.apply(object as never, { force: true, fieldManager: FIELD_MANAGER, signal }));
}

/** True when the name is taken by an object that this PoolConfig does not own; the next observation then shows it. */
async function noteForeign(
  options: ApplierOptions,
  key: string,
  ownerUid: string,
  object: KubeObject,
  signal: AbortSignal,
): Promise<boolean> {
  const live = await options.client.find(resourceOf(object), object.metadata.namespace, object.metadata.name, {
    signal,
  });
  if (live === undefined || ownedBy(live, ownerUid)) {
    if (live !== undefined) storeFor(options.world, object.kind).upsert(live);
    return false;
  }
  const known = options.foreign.get(key) ?? new Map<string, LiveObject>();
  options.foreign.set(key, new Map([...known, [`${object.kind}/${object.metadata.name}`, live]]));
  return true;
}

function storeFor(world: World, kind: string): Store<LiveObject> {
  if (!isChildKind(kind)) throw new Error(`${kind} has no row in CHILD_KINDS: every kind of child needs one`);
  return world.child(kind);
}

async function command(
  options: ApplierOptions,
  observation: Observation,
  action: ConsoleAction,
  signal: AbortSignal,
): Promise<void> {
  const pod = observation.pods.find((candidate) => candidate.uid === action.uid);
  const { credentials } = observation;
  if (pod?.ip === undefined || credentials === undefined) return;
  const console = consoleOf(options.consoles, pod, credentials);
  switch (action.kind) {
    case 'loadLive':
      await loadLive(options, pod, console, action.ini, signal);
      return;
    case 'shrinkPools':
      await drainToSize(console, {
        targets: action.to,
        fromSizes: action.from,
        alone: action.alone,
        deadlineMs: SHRINK_DEADLINE_MS,
        clock: options.clock,
        signal,
      });
      return;
    case 'pausePools':
      if (action.logins === 'drop') await pauseAll(console, action.databases, signal);
      else await pauseDatabases(console, { databases: action.databases, clock: options.clock, signal });
      return;
    case 'reconnectPools':
      options.addresses?.tried(pod.uid, action.sinceMs);
      await reconnectDatabases(console, { databases: action.databases, clock: options.clock, signal });
      return;
    case 'closeUsers':
      await closeUsers(console, { users: action.users, evenBusy: action.evenBusy, signal });
      return;
    case 'resumePools':
      await resumeAll(console, action.databases);
      return;
    case 'endDrain':
      await endDrain(console, {
        databases: action.databases,
        deadlineMs: action.deadlineMs,
        clock: options.clock,
        signal,
      });
  }
}

/**
 * A refused file has been applied down to its bad line, so the last proved configuration goes back in force at once: boot.ini, which is on
 * the pod's disk, at floor sizes. The planner then writes the former live.ini.
 */
async function loadLive(
  options: ApplierOptions,
  pod: PodFacts,
  console: PoolerConsole,
  ini: string,
  signal: AbortSignal,
): Promise<void> {
  const changesServer = await options.prover.beforeLoad(pod, pod.live ?? '', console, signal);
  const quiet = changesServer ? { quietWithinMs: QUIET_WITHIN_MS } : {};
  try {
    await console.loadFile(PLACE.liveFile, { signal, ...quiet });
    options.refusals.delete(pod.uid);
  } catch (error) {
    if (!(error instanceof AdminError) || error.kind !== 'refused') throw error;
    options.refusals.set(pod.uid, { ini, message: error.message, atMs: options.clock.now() });
    await console.loadFile(PLACE.bootFile, { signal, ...quiet });
  }
}
