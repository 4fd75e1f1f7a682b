// The ReplicaSet controller: keeps the number of pods, counting none that is Terminating or finished.
import type { Manifest, ReplicaSet } from '../../../src/kube/resources.ts';
import { isoTime } from '../../../src/model/iso-time.ts';
import type { Timer } from '../../../src/runtime/clock.ts';
import { deletionOrder } from './deletion-order.ts';
import { asPod, controllerUid, isFinished, isReady, isTerminating, type SimPod } from './pods.ts';
import { hasLabels } from './selectors.ts';
import type { ObjectEvent, SimApi, SimObject } from './sim-api.ts';

type SimReplicaSet = SimObject & ReplicaSet;

export type ReplicaSetsOptions = {
  /** From a change to the look at it; default 5 to 50 ms, drawn. */
  readonly delayMs?: () => number;
};

const WRITER = 'replicaset-controller';
const NAME_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';
/** A refused creation is tried again, later and later. */
const RETRY_MS = { first: 50, most: 60_000 };

/** Life: works from its making on, for as long as the clock runs. */
export class ReplicaSets {
  /** No more pods than this exist in a namespace: more are refused, as by a ResourceQuota. */
  quota = Infinity;
  readonly #api: SimApi;
  readonly #delayMs: () => number;
  readonly #due = new Map<string, Timer>();
  readonly #refusals = new Map<string, number>();

  constructor(api: SimApi, options: ReplicaSetsOptions = {}) {
    this.#api = api;
    this.#delayMs = options.delayMs ?? (() => 5 + api.random() * 45);
    api.subscribe((event) => {
      this.#note(event);
    });
    for (const set of api.list('ReplicaSet')) this.#lookLater(set.metadata.uid);
  }

  #note({ object, former }: ObjectEvent): void {
    if (object.kind === 'ReplicaSet') this.#lookLater(object.metadata.uid);
    if (object.kind !== 'Pod') return;
    for (const uid of new Set([controllerUid(object), former && controllerUid(former)])) {
      if (uid !== undefined) this.#lookLater(uid);
    }
    if (controllerUid(object) !== undefined) return;
    // An orphan: whoever selects it takes it.
    for (const set of this.#api.list('ReplicaSet')) {
      if (selected(set, object)) this.#lookLater(set.metadata.uid);
    }
  }

  #lookLater(uid: string, ms = this.#delayMs()): void {
    if (this.#due.has(uid)) return;
    const timer = this.#api.clock.setTimer(ms, () => {
      this.#due.delete(uid);
      const set = this.#api.list('ReplicaSet').find(({ metadata }) => metadata.uid === uid);
      if (set !== undefined) this.#look(set);
    });
    this.#due.set(uid, timer);
  }

  #look(set: SimReplicaSet): void {
    const pods = this.#claimed(set).filter((pod) => !isTerminating(pod) && !isFinished(pod));
    const failure = isTerminating(set) ? undefined : this.#manage(set, pods);
    this.#writeStatus(set, pods, failure);
    const { uid } = set.metadata;
    if (failure === undefined) {
      this.#refusals.delete(uid);
      return;
    }
    const refusals = this.#refusals.get(uid) ?? 0;
    this.#refusals.set(uid, refusals + 1);
    this.#lookLater(uid, Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** refusals));
  }

  /** Its pods; orphans that it selects become its own, and own ones that it no longer selects are let go. */
  #claimed(set: SimReplicaSet): readonly SimPod[] {
    const { namespace, uid, name } = set.metadata;
    const claimed: SimPod[] = [];
    for (const pod of this.#api.list('Pod')) {
      if (pod.metadata.namespace !== namespace) continue;
      const owner = controllerUid(pod);
      const matches = selected(set, pod);
      if (owner === uid && matches) claimed.push(asPod(pod));
      else if (owner === uid) {
        const ownerReferences = pod.metadata.ownerReferences?.filter((reference) => reference.uid !== uid);
        this.#edit(pod, { ...pod, metadata: { ...pod.metadata, ...(ownerReferences && { ownerReferences }) } });
      } else if (owner === undefined && matches && !isTerminating(pod) && !isTerminating(set)) {
        const ownerReferences = [...(pod.metadata.ownerReferences ?? []), reference(name, uid)];
        claimed.push(asPod(this.#edit(pod, { ...pod, metadata: { ...pod.metadata, ownerReferences } })));
      }
    }
    return claimed;
  }

  /** Answers why no more pods could be made, if so. */
  #manage(set: SimReplicaSet, pods: readonly SimPod[]): string | undefined {
    const wanted = set.spec?.replicas ?? 1;
    const { namespace } = set.metadata;
    const surplus = deletionOrder(pods, this.#api.clock.now()).slice(0, Math.max(0, pods.length - wanted));
    for (const { metadata } of surplus) {
      this.#api.remove('Pod', namespace, metadata.name, { writer: WRITER, uid: metadata.uid });
    }
    for (let missing = wanted - pods.length; missing > 0; missing -= 1) {
      const used = this.#api.list('Pod').filter(({ metadata }) => metadata.namespace === namespace).length;
      const name = this.#newName(set);
      if (used >= this.quota) {
        return `pods "${name}" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=${used}, limited: pods=${this.quota}`;
      }
      this.#makePod(set, name);
    }
    return undefined;
  }

  #newName({ metadata }: SimReplicaSet): string {
    const letter = (): string => NAME_LETTERS[Math.floor(this.#api.random() * NAME_LETTERS.length)] ?? 'b';
    for (;;) {
      const name = `${metadata.name}-${letter()}${letter()}${letter()}${letter()}${letter()}`;
      if (this.#api.find('Pod', metadata.namespace, name) === undefined) return name;
    }
  }

  #makePod({ metadata, spec }: SimReplicaSet, name: string): void {
    const { labels, annotations } = (spec?.template?.metadata ?? {}) as SimObject['metadata'];
    this.#api.create(
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name,
          ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
          generateName: `${metadata.name}-`,
          ...(labels === undefined ? {} : { labels }),
          ...(annotations === undefined ? {} : { annotations }),
          ownerReferences: [reference(metadata.name, metadata.uid)],
        },
        spec: spec?.template?.spec,
      } as Manifest,
      WRITER,
    );
  }

  /** From the pods as they were found: what was just made or deleted is counted at the next look. */
  #writeStatus(set: SimReplicaSet, pods: readonly SimPod[], failure: string | undefined): void {
    const current = this.#api.find('ReplicaSet', set.metadata.namespace, set.metadata.name);
    if (current?.metadata.uid !== set.metadata.uid) return;
    const labels = (set.spec?.template?.metadata?.labels ?? {}) as Readonly<Record<string, string>>;
    const ready = pods.filter(isReady).length;
    const others = (set.status?.conditions ?? []).filter(({ type }) => type !== 'ReplicaFailure');
    const known = set.status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
    const condition = {
      type: 'ReplicaFailure',
      status: 'True',
      reason: 'FailedCreate',
      message: failure,
      lastTransitionTime: known?.lastTransitionTime ?? isoTime(this.#api.clock.now()),
    };
    const conditions = failure === undefined ? others : [...others, condition];
    const status = {
      replicas: pods.length,
      ...(pods.length === 0 ? {} : { fullyLabeledReplicas: pods.filter((pod) => hasLabels(pod, labels)).length }),
      ...(ready === 0 ? {} : { readyReplicas: ready, availableReplicas: ready }),
      observedGeneration: set.metadata.generation,
      ...(conditions.length === 0 ? {} : { conditions }),
    };
    this.#edit(current, { ...current, status });
  }

  #edit(object: SimObject, next: SimObject): SimObject {
    const { kind, metadata } = object;
    return this.#api.edit(kind, metadata.namespace, metadata.name, () => next, WRITER);
  }
}

function selected(set: SimReplicaSet, pod: SimObject): boolean {
  const labels = (set.spec?.selector.matchLabels ?? {}) as Readonly<Record<string, string>>;
  return set.metadata.namespace === pod.metadata.namespace && Object.keys(labels).length > 0 && hasLabels(pod, labels);
}

function reference(name: string, uid: string) {
  return { apiVersion: 'apps/v1', kind: 'ReplicaSet', name, uid, controller: true, blockOwnerDeletion: true };
}
