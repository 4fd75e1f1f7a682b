// The nodes of the simulated cluster: gives every pod its life, and does to pods what happens to pods.
import type { Endpoint, StartPooler } from '../contracts.ts';
import { Addresses, podAddresses } from './addresses.ts';
import { Endpoints } from './endpoints.ts';
import { evictionAllowed } from './eviction.ts';
import { usualTiming, type KubeletTiming } from './kubelet-timing.ts';
import { PodLife, type Node } from './pod-life.ts';
import { asPod, withCondition, type SimPod } from './pods.ts';
import { mountsObject } from './projected-files.ts';
import type { ObjectEvent, SimApi } from './sim-api.ts';

export type KubeletOptions = {
  readonly api: SimApi;
  readonly startPooler: StartPooler;
  /** Overrides single durations of `usualTiming`. */
  readonly timing?: Partial<KubeletTiming>;
  /** Default: 24, so that they are used again soon. */
  readonly addresses?: readonly string[];
  readonly nodes?: readonly string[];
  readonly endpointLagMs?: () => number;
};

export type NodeLoss = {
  /** How long the processes go on, heard of by nobody; Infinity: until the node returns. */
  readonly processEndsAfterMs: number;
  /** `deleted`: somebody force-deletes the pod objects at once. `silent`: they become NotReady and later Terminating, and stay so. */
  readonly objects?: 'deleted' | 'silent';
};

const NODE_CONTROLLER = 'node-controller';

/** Life: works from its making on, for as long as the clock runs. */
export class Kubelet {
  /** Why a pod fits on no node; looked at again while it does not. */
  unschedulable: (pod: SimPod) => string | undefined = () => undefined;
  /** Why an image can't be pulled; tried again while it can't. */
  pullFailure: (image: string) => string | undefined = () => undefined;
  readonly #api: SimApi;
  readonly #timing: KubeletTiming;
  readonly #world: Node;
  readonly #endpoints: Endpoints;
  /** By UID; one that lost its object stays until its process has ended. */
  readonly #lives = new Map<string, PodLife>();

  constructor({ api, startPooler, timing, addresses, nodes = ['node-1', 'node-2'], endpointLagMs }: KubeletOptions) {
    this.#api = api;
    this.#timing = { ...usualTiming(api.random), ...timing };
    this.#endpoints = new Endpoints(api, endpointLagMs);
    this.#world = {
      api,
      timing: this.#timing,
      startPooler,
      addresses: new Addresses(addresses ?? podAddresses(24), api.random),
      place: (pod) => {
        const why = this.unschedulable(pod);
        if (why !== undefined) return { unschedulable: why };
        return { node: nodes[Math.floor(api.random() * nodes.length)] ?? 'node-1' };
      },
      pullFailure: (image) => this.pullFailure(image),
    };
    api.subscribe((event) => {
      this.#note(event);
    });
    for (const pod of api.list('Pod')) this.#begin(asPod(pod));
  }

  /** Ready, not Terminating, with the labels; as callers of the Service see it, up to a second late. */
  endpoints(namespace: string, selector: Readonly<Record<string, string>>): readonly Endpoint[] {
    return this.#endpoints.of(namespace, selector);
  }

  /** Deletes a pod as a node drain does; answers false when a disruption budget forbids it now. */
  evict(name: string): boolean {
    const { pod } = this.#life(name);
    if (!evictionAllowed(this.#api, pod)) return false;
    this.#api.remove('Pod', pod.metadata.namespace, name, { writer: 'eviction', uid: pod.metadata.uid });
    return true;
  }

  /** Deletes a pod as a person does; without a grace period of one's own it is the pod's. */
  deletePodBy(name: string, graceMs?: number): void {
    const { metadata } = this.#life(name).pod;
    const grace = graceMs === undefined ? {} : { gracePeriodSeconds: Math.ceil(graceMs / 1000) };
    this.#api.remove('Pod', metadata.namespace, name, { writer: 'person', uid: metadata.uid, ...grace });
  }

  /** SIGKILL to the process, as by the kernel when memory runs out; the container is started again. */
  killContainer(name: string): void {
    this.#life(name).kill();
  }

  /** The pod becomes Failed and stays as an object, as after an eviction by its node under pressure. */
  failPod(name: string, reason = 'Evicted', message = 'The node was low on resource: ephemeral-storage.'): void {
    this.#life(name).fail(reason, message);
  }

  loseNode(names: readonly string[], { processEndsAfterMs, objects = 'deleted' }: NodeLoss): void {
    for (const name of names) {
      const life = this.#life(name);
      const { metadata } = life.pod;
      life.fallSilent(processEndsAfterMs);
      if (objects === 'deleted') {
        const deletion = { writer: 'person', uid: metadata.uid, gracePeriodSeconds: 0 };
        this.#api.remove('Pod', metadata.namespace, name, deletion);
      } else this.#markSilent(life);
    }
  }

  /** Ends the silence of `loseNode`: what goes on there without an object is killed, the rest goes on. */
  returnNode(uids: readonly string[]): void {
    for (const uid of uids) this.#lives.get(uid)?.returnFromSilence();
  }

  /** Pods whose process runs, also where their object is gone. */
  running(): readonly { readonly pod: string; readonly uid: string }[] {
    return [...this.#lives.values()].filter(({ running }) => running).map(({ name, uid }) => ({ pod: name, uid }));
  }

  #markSilent(life: PodLife): void {
    const { namespace, name, uid } = life.pod.metadata;
    const { notReady, deleted } = this.#timing.silentNodeMs;
    const present = (): SimPod | undefined => {
      const live = this.#api.find('Pod', namespace, name);
      return live?.metadata.uid === uid && life.silent ? asPod(live) : undefined;
    };
    this.#api.clock.setTimer(notReady, () => {
      const pod = present();
      if (pod === undefined) return;
      const status = withCondition(pod.status ?? {}, 'Ready', false, this.#api.clock.now());
      this.#api.edit('Pod', namespace, name, () => ({ ...pod, status }), NODE_CONTROLLER);
    });
    this.#api.clock.setTimer(notReady + deleted, () => {
      if (present() !== undefined) this.#api.remove('Pod', namespace, name, { writer: NODE_CONTROLLER, uid });
    });
  }

  #note({ type, object }: ObjectEvent): void {
    if (object.kind === 'ConfigMap' || object.kind === 'Secret') {
      this.#noteSource(object);
      return;
    }
    if (object.kind !== 'Pod') return;
    const life = this.#lives.get(object.metadata.uid);
    if (type === 'deleted') life?.gone();
    else if (life === undefined) this.#begin(asPod(object));
    else life.changed(asPod(object));
  }

  /** Nobody tells the kubelet: it finds the change when it next looks at the pod. */
  #noteSource({ kind, metadata }: ObjectEvent['object']): void {
    for (const life of this.#lives.values()) {
      if (life.pod.metadata.namespace === metadata.namespace && mountsObject(life.pod, kind, metadata.name)) {
        life.projectWithin(this.#timing.unpokedProjectionMs());
      }
    }
  }

  #begin(pod: SimPod): void {
    const { uid } = pod.metadata;
    const life = new PodLife(this.#world, pod, () => this.#lives.delete(uid));
    this.#lives.set(uid, life);
  }

  #life(name: string): PodLife {
    const life = [...this.#lives.values()].find((candidate) => candidate.name === name);
    if (life === undefined) throw new Error(`there is no pod ${name} on any node`);
    return life;
  }
}
