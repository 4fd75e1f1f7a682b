// The demo's application seen from outside: the counters of all its pods, summed and compared over time.
import { setTimeout as sleep } from 'node:timers/promises';
import { RESOURCES } from '../src/kube/resources.ts';
import { until } from '../test/cluster/processes.ts';
import { cluster } from '../test/support/kubectl.ts';
import { sumTallies, type Tally } from './client/tally.ts';

/** What a pod says of itself. */
type PodCounters = Tally & Readonly<{ pod: string; workers: number; bootRetries: number; crashes: number }>;

export type Total = Tally & Readonly<{ bootRetries: number; crashes: number; pods: number }>;

const POLL_MS = 250;
const ANSWER_LIMIT_MS = 2_000;

/** Reads from `start` to `stop`; a pod that is gone keeps its last counters. */
export class Application implements AsyncDisposable {
  readonly #namespace: string;
  readonly #labelSelector: string;
  readonly #byPod = new Map<string, PodCounters>();
  readonly #stopping = new AbortController();
  #settledDone: number | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(namespace: string, labelSelector: string) {
    this.#namespace = namespace;
    this.#labelSelector = labelSelector;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** The sum over all pods that ever answered, as last read. */
  get total(): Total {
    const pods = [...this.#byPod.values()];
    const sum = (key: 'bootRetries' | 'crashes'): number => pods.reduce((count, pod) => count + pod[key], 0);
    const tally = sumTallies(pods);
    return {
      ...tally,
      done: this.#settledDone ?? tally.done,
      bootRetries: sum('bootRetries'),
      crashes: sum('crashes'),
      pods: pods.length,
    };
  }

  /** After the application stopped: what it wrote down about itself, later than any reading. */
  settle(acknowledged: number): void {
    this.#settledDone = acknowledged;
  }

  /** Reads every living pod once more, then sums. */
  async read(): Promise<Total> {
    await this.#readAll();
    return this.total;
  }

  /** Waits until every thread of every living pod has done `count` more transactions: nothing hangs, nothing is left over from before. */
  async everyThreadDoes(count: number, timeoutMs = 30_000): Promise<Total> {
    await this.#readAll();
    const before = this.#acknowledged();
    const living = new Set(await this.#podNames());
    const isDone = async (): Promise<Total | undefined> => {
      await this.#readAll();
      const waiting = Object.entries(this.#acknowledged()).filter(
        ([thread, done]) => living.has(thread.split('/')[0] ?? '') && done < (before[thread] ?? 0) + count,
      );
      if (waiting.length === 0) return this.total;
      throw new Error(`${waiting.length} have not, among them ${waiting[0]?.[0] ?? ''}`);
    };
    return await until(`every thread to do ${count} transactions`, isDone, timeoutMs, 100);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #acknowledged(): Record<string, number> {
    return Object.fromEntries(Object.entries(this.total.threads).map(([name, own]) => [name, own.acknowledged]));
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // A pod that goes just now does not answer; it is read no more, and its last counters stay.
      await this.#readAll().catch(() => undefined);
      await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #podNames(): Promise<string[]> {
    return (await this.#pods()).map(({ metadata }) => metadata.name);
  }

  async #pods() {
    const selection = { namespace: this.#namespace, labelSelector: this.#labelSelector };
    const { items } = await (await cluster()).list(RESOURCES.Pod, selection);
    return items.filter(
      ({ metadata, status }) => metadata.deletionTimestamp === undefined && status?.podIP !== undefined,
    );
  }

  async #readAll(): Promise<void> {
    const pods = await this.#pods();
    await Promise.all(
      pods.map(async ({ metadata, status }) => {
        const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
        const answer = await fetch(`http://${status?.podIP ?? ''}:8081/counters`, { signal }).catch(() => undefined);
        if (answer?.ok !== true) return;
        const counters = (await answer.json()) as PodCounters;
        // Answers can overtake each other; counters only grow.
        const former = this.#byPod.get(metadata.name);
        if (former === undefined || counters.done + counters.failed >= former.done + former.failed)
          this.#byPod.set(metadata.name, counters);
      }),
    );
  }
}

/** Classes of errors and how often each came. */
export function errorsOf({ errors }: Pick<Tally, 'errors'>): string {
  const texts = Object.entries(errors).map(([name, count]) => `${count} × ${name}`);
  return texts.length === 0 ? 'none' : texts.join(', ');
}
