// Follows the pods of a fleet: their addresses, and when each came, was Ready, was to leave and was gone.
import { setTimeout as sleep } from 'node:timers/promises';
import { RESOURCES, type Pod } from '../../src/kube/resources.ts';
import { ANNOTATION } from '../../src/model/names.ts';
import { cluster } from '../support/kubectl.ts';
import { nowMs, type PodLife } from './recording.ts';

const EVERY_MS = 100;

export type PodView = Readonly<{
  name: string;
  uid: string;
  address: string | undefined;
  isReady: boolean;
  isDraining: boolean;
  isTerminating: boolean;
}>;

/** Runs from `start` to `stop`; an API server that does not answer leaves the last view as it is. */
export class PodWatch implements AsyncDisposable {
  readonly #namespace: string;
  readonly #labelSelector: string;
  readonly #lives = new Map<string, { -readonly [Key in keyof PodLife]: PodLife[Key] }>();
  readonly #stopping = new AbortController();
  #views: readonly PodView[] = [];
  #running: Promise<void> = Promise.resolve();

  private constructor(namespace: string, labelSelector: string) {
    this.#namespace = namespace;
    this.#labelSelector = labelSelector;
  }

  static async start(namespace: string, labelSelector: string): Promise<PodWatch> {
    const watch = new PodWatch(namespace, labelSelector);
    await watch.#look();
    watch.#running = watch.#run();
    return watch;
  }

  /** As last seen; Terminating ones too. */
  get pods(): readonly PodView[] {
    return this.#views;
  }

  get lives(): readonly PodLife[] {
    return [...this.#lives.values()].map((life) => ({ ...life }));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#look().catch(() => undefined);
      await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const kube = await cluster();
    const { items } = await kube.list(RESOURCES.Pod, {
      namespace: this.#namespace,
      labelSelector: this.#labelSelector,
    });
    const atMs = nowMs();
    this.#views = items.map(viewOf);
    for (const view of this.#views) {
      const { uid, name, address } = view;
      const fresh = { name, address, seenMs: atMs, readyMs: undefined, leavingMs: undefined, goneMs: undefined };
      const life = this.#lives.get(uid) ?? fresh;
      life.address ??= address;
      // The latest of several: a container that was killed is Ready again later.
      if (!view.isReady) life.readyMs = undefined;
      else life.readyMs ??= atMs;
      if (view.isDraining || view.isTerminating) life.leavingMs ??= atMs;
      this.#lives.set(uid, life);
    }
    for (const [uid, life] of this.#lives) {
      if (!this.#views.some((view) => view.uid === uid)) life.goneMs ??= atMs;
    }
  }
}

function viewOf({ metadata, status }: Pod): PodView {
  return {
    name: metadata.name,
    uid: metadata.uid,
    address: status?.podIP,
    isReady: status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true,
    isDraining: metadata.annotations?.[ANNOTATION.drain] !== undefined,
    isTerminating: metadata.deletionTimestamp !== undefined,
  };
}
