// The object of one pod in the API, as the scheduler and the kubelet write it: never that of a later pod of the same name.
import { asPod, boundTo, withCondition, withReadiness, type PodStatus, type SimPod } from './pods.ts';
import type { Container } from './container.ts';
import type { SimApi } from './sim-api.ts';

export type Progress = {
  readonly phase: 'Pending' | 'Running' | 'Failed';
  readonly ip: string | undefined;
  /** Why it is Failed. */
  readonly failure: { readonly reason: string; readonly message: string } | undefined;
};

const SCHEDULER = 'scheduler';
const KUBELET = 'kubelet';

export class PodObject {
  readonly #api: SimApi;
  readonly #namespace: string | undefined;
  readonly #name: string;
  readonly #uid: string;

  constructor(api: SimApi, { metadata }: SimPod) {
    this.#api = api;
    this.#namespace = metadata.namespace;
    this.#name = metadata.name;
    this.#uid = metadata.uid;
  }

  placed(place: { readonly node: string } | { readonly unschedulable: string }): void {
    const bound = 'node' in place;
    const why = bound ? {} : { reason: 'Unschedulable', message: place.unschedulable };
    this.#write(SCHEDULER, (pod, status, nowMs) => ({
      ...(bound ? boundTo(pod, place.node) : pod),
      status: withCondition(status, 'PodScheduled', bound, nowMs, why),
    }));
  }

  report({ phase, ip, failure }: Progress, container: Container): void {
    this.#write(KUBELET, (pod, status, nowMs) => {
      const address = ip === undefined ? {} : { podIP: ip };
      const seen = { ...status, phase, ...failure, ...address, containerStatuses: [container.status()] };
      return { ...pod, status: withReadiness(seen, container.ready, nowMs) };
    });
  }

  remove(): void {
    this.#api.remove('Pod', this.#namespace, this.#name, { writer: KUBELET, uid: this.#uid, gracePeriodSeconds: 0 });
  }

  #write(writer: string, change: (pod: SimPod, status: PodStatus, nowMs: number) => SimPod): void {
    const live = this.#api.find('Pod', this.#namespace, this.#name);
    if (live?.metadata.uid !== this.#uid) return;
    const pod = asPod(live);
    const next = change(pod, pod.status ?? {}, this.#api.clock.now());
    this.#api.edit('Pod', this.#namespace, this.#name, () => next, writer);
  }
}
