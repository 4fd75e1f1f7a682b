// One turn for one PoolConfig: observe → plan → apply → status. Everything else is wiring.
import { API_VERSION, STATUS_FIELD_MANAGER } from '../model/names.ts';
import { sameJson } from '../model/canonical.ts';
import type { Observation } from '../model/observation.ts';
import type { Plan } from '../model/plan.ts';
import type { KubeApi } from '../kube/client.ts';
import { isApiError } from '../kube/errors.ts';
import type { EventRecorder } from '../kube/events.ts';
import { resourceOf, type LiveObject } from '../kube/resources.ts';
import { AdminError } from '../pgbouncer/errors.ts';
import { newerEpoch } from '../plan/epochs.ts';
import { planPool } from '../plan/plan.ts';
import type { Outcome } from '../runtime/controller.ts';
import type { Log } from '../runtime/log.ts';
import { apply, type ApplierOptions } from './apply.ts';
import { observe, type ObserverOptions } from './observe.ts';
import { consoleKeyOf } from './pod-consoles.ts';
import { UnsureWrites } from './unsure-writes.ts';
import { SeenPods } from './seen-pods.ts';
import type { LivePool } from './world.ts';

export type ReconcilerOptions = ObserverOptions &
  Omit<ApplierOptions, 'unsure'> & {
    readonly client: KubeApi;
    readonly events: Pick<EventRecorder, 'record'>;
    readonly log: Log;
    /** Epoch of the present leadership; undefined when this process does not lead (any more). */
    readonly epoch: () => number | undefined;
    readonly onPlanned?: (key: string, observation: Observation, plan: Plan) => void;
    readonly onForgotten?: (key: string) => void;
  };

/** At rest poolers are still read this often: for metrics, and to notice what no watch tells. Nothing is written. */
const REST_MS = 10_000;
const SECRET_WAIT_MS = 50;
const AFTER_CONSOLE_TROUBLE_MS = 250;

export class Reconciler {
  readonly #options: ReconcilerOptions;
  /** Pods last seen of each pool, to close what belongs to pods that are gone. */
  readonly #podsOf = new Map<string, ReadonlySet<string>>();
  readonly #consoleKeys = new Map<string, ReadonlySet<string>>();
  readonly #seen = new SeenPods();
  readonly #unsure = new UnsureWrites();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  async reconcile(key: string, signal: AbortSignal): Promise<Outcome> {
    const { client, world, log } = this.#options;
    const [namespace, name] = splitKey(key);
    const pool = world.pools.get(namespace, name);
    // Everything of a deleted PoolConfig goes by its owner references.
    if (pool === undefined || pool.metadata.deletionTimestamp !== undefined) return this.#forget(key);
    const epoch = this.#options.epoch();
    if (epoch === undefined) return {};
    await this.#recheckForeign(key, pool, signal);
    await this.#unsure.settle(key, namespace, client, world, signal);
    const looked = await observe(this.#options, key, pool, epoch, signal);
    if (looked === undefined) return { requeueAfterMs: SECRET_WAIT_MS };
    const newer = newerEpoch(looked);
    // Whoever leads no more writes nothing, also not what status has missed.
    const observation = newer === undefined ? this.#seen.recall(key, looked) : looked;
    if (newer !== undefined)
      log.warn('a later leader is at work, leaving the fleet to it', { pool: key, epoch, newer });
    const plan = planPool(observation);
    this.#options.onPlanned?.(key, observation, plan);
    await this.#closeWhatIsGone(key, observation);
    for (const action of plan.actions)
      log.info('action', { pool: key, generation: pool.metadata.generation, kind: action.kind, why: action.why });
    const outcome = await this.#apply(key, observation, plan, signal);
    await this.#writeStatus(pool, plan, signal);
    this.#seen.written(key, observation);
    for (const event of plan.events) {
      const regarding = { apiVersion: API_VERSION, kind: 'PoolConfig', name, namespace, uid: pool.metadata.uid };
      this.#options.events.record({
        regarding,
        type: event.type,
        reason: event.reason,
        action: 'Reconcile',
        note: event.note,
      });
    }
    return outcome;
  }

  /** A console that fails in between is no error of the turn: the next look tells what came of it. Status is written all the same. */
  async #apply(key: string, observation: Observation, plan: Plan, signal: AbortSignal): Promise<Outcome> {
    try {
      await apply({ ...this.#options, unsure: this.#unsure }, key, observation, plan.actions, signal);
      return { requeueAfterMs: plan.requeueAfterMs ?? REST_MS };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof AdminError)) throw error;
      this.#options.log.info('console trouble, looking again', { pool: key, kind: error.kind, error: error.message });
      return { requeueAfterMs: AFTER_CONSOLE_TROUBLE_MS };
    }
  }

  async #writeStatus(pool: LivePool, plan: Plan, signal: AbortSignal): Promise<void> {
    if (sameJson(pool.status ?? {}, plan.status)) return;
    const { name, namespace, resourceVersion } = pool.metadata;
    // Status is the ledger's memory of pods that are gone: a leader that was halted must not write over what its successor noted.
    const metadata = { name, namespace, resourceVersion };
    const object = { apiVersion: API_VERSION, kind: 'PoolConfig', metadata, status: plan.status };
    try {
      const written = await this.#options.client.apply(object, {
        fieldManager: STATUS_FIELD_MANAGER,
        force: true,
        subresource: 'status',
        signal,
      });
      this.#options.world.pools.upsert(written as unknown as LivePool);
    } catch (error) {
      // Deleted since this turn began: the watch is about to say so, and nobody is left to read a status.
      if (!isApiError(error, 'notFound')) throw error;
    }
  }

  async #recheckForeign(key: string, pool: LivePool, signal: AbortSignal): Promise<void> {
    const { foreign, client } = this.#options;
    const known = foreign.get(key);
    if (known === undefined) return;
    const still = new Map<string, LiveObject>();
    for (const [id, object] of known) {
      const live = await client.find(resourceOf(object), object.metadata.namespace, object.metadata.name, { signal });
      const owned = live?.metadata.ownerReferences?.some((owner) => owner.uid === pool.metadata.uid) === true;
      if (live !== undefined && !owned) still.set(id, live);
    }
    if (still.size === 0) foreign.delete(key);
    else foreign.set(key, still);
  }

  async #closeWhatIsGone(key: string, observation: Observation): Promise<void> {
    const { consoles } = this.#options;
    const { credentials } = observation;
    const present = new Set(observation.pods.map((pod) => pod.uid));
    for (const uid of this.#podsOf.get(key) ?? []) if (!present.has(uid)) this.#forgetPod(uid);
    this.#podsOf.set(key, present);
    this.#consoleKeys.set(
      key,
      new Set(
        credentials === undefined
          ? []
          : observation.pods
              .filter((pod) => observation.poolers.has(pod.uid))
              .map((pod) => consoleKeyOf(pod, credentials)),
      ),
    );
    await consoles.retain(new Set([...this.#consoleKeys.values()].flatMap((keys) => [...keys])));
  }

  #forgetPod(uid: string): void {
    const { prover, lost, refusals, addresses, orphans } = this.#options;
    prover.forgetPod(uid);
    lost.forgetPod(uid);
    refusals.delete(uid);
    addresses?.forgetPod(uid);
    orphans?.forgetPod(uid);
  }

  async #forget(key: string): Promise<Outcome> {
    const { world, servers, consoles, foreign } = this.#options;
    world.secrets.want(key, new Set());
    foreign.delete(key);
    for (const uid of this.#podsOf.get(key) ?? []) this.#forgetPod(uid);
    this.#podsOf.delete(key);
    this.#seen.forget(key);
    this.#unsure.forget(key);
    this.#consoleKeys.delete(key);
    this.#options.onForgotten?.(key);
    await consoles.retain(new Set([...this.#consoleKeys.values()].flatMap((keys) => [...keys])));
    this.#options.addresses?.forget(key);
    await servers.forget(key);
    return {};
  }
}

export function splitKey(key: string): [string, string] {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
}
