// Where a Service sends new connections, as its callers see it: up to a second late.
import type { Timer } from '../../../src/runtime/clock.ts';
import type { Endpoint } from '../contracts.ts';
import { sameJson } from './json.ts';
import { asPod, isReady, isTerminating } from './pods.ts';
import { hasLabels } from './selectors.ts';
import type { SimApi } from './sim-api.ts';

type Labels = Readonly<Record<string, string>>;
type View = { readonly namespace: string; readonly selector: Labels; seen: readonly Endpoint[]; timer?: Timer };

export class Endpoints {
  readonly #api: SimApi;
  readonly #lagMs: () => number;
  readonly #views = new Map<string, View>();

  /** `lagMs`: from a change to the moment callers follow it; default 0 to 1,000, drawn. */
  constructor(api: SimApi, lagMs = () => api.random() * 1_000) {
    this.#api = api;
    this.#lagMs = lagMs;
    api.subscribe(({ object }) => {
      if (object.kind !== 'Pod') return;
      for (const view of this.#views.values()) this.#follow(view);
    });
  }

  of(namespace: string, selector: Labels): readonly Endpoint[] {
    let key = namespace;
    for (const [name, value] of Object.entries(selector)) key += ` ${name}=${value}`;
    let view = this.#views.get(key);
    if (view === undefined) {
      view = { namespace, selector, seen: this.#now(namespace, selector) };
      this.#views.set(key, view);
    }
    return view.seen;
  }

  #follow(view: View): void {
    if (view.timer !== undefined || sameJson(view.seen, this.#now(view.namespace, view.selector))) return;
    view.timer = this.#api.clock.setTimer(this.#lagMs(), () => {
      delete view.timer;
      view.seen = this.#now(view.namespace, view.selector);
    });
  }

  #now(namespace: string, selector: Labels): readonly Endpoint[] {
    return this.#api.list('Pod').flatMap((object) => {
      const pod = asPod(object);
      const ip = pod.status?.podIP;
      const serves = !isTerminating(pod) && isReady(pod) && hasLabels(pod, selector);
      if (pod.metadata.namespace !== namespace || ip === undefined || !serves) return [];
      return [{ pod: pod.metadata.name, uid: pod.metadata.uid, ip }];
    });
  }
}
