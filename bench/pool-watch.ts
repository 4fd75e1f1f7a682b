// Tells the moment at which a PoolConfig shows something: one watch, looked at frame by frame, so nothing is lost between two polls.
import { cluster } from '../test/support/kubectl.ts';
import { describeStatus, POOL_CONFIGS, type LivePool } from '../test/support/pool.ts';

export type Seen = Readonly<{ pool: LivePool; atMs: number }>;

type Waiter = Readonly<{ name: string; holds: (pool: LivePool) => boolean; resolve: (seen: Seen) => void }>;

/** As long as any benchmark; the API server would end a watch by itself after half an hour or more. */
const WATCH_SECONDS = 7_200;

/** Runs from `start` until it is disposed of. */
export class PoolWatch implements AsyncDisposable {
  readonly #latest = new Map<string, Seen>();
  readonly #waiters = new Set<Waiter>();
  readonly #stopping = new AbortController();
  readonly #failed = Promise.withResolvers<never>();
  #running: Promise<void> = Promise.resolve();

  private constructor() {
    // Whoever waits is told; with nobody waiting the next one is.
    this.#failed.promise.catch(() => undefined);
  }

  /** Resolves once the watch is open. */
  static async start(namespace: string): Promise<PoolWatch> {
    const watch = new PoolWatch();
    const kube = await cluster();
    const { items, resourceVersion } = await kube.list(POOL_CONFIGS, { namespace });
    for (const pool of items) watch.#latest.set(pool.metadata.name, { pool, atMs: performance.now() });
    const { signal } = watch.#stopping;
    const frames = await kube.openWatch(POOL_CONFIGS, {
      ...{ namespace, resourceVersion, timeoutSeconds: WATCH_SECONDS, signal },
    });
    watch.#running = (async () => {
      try {
        for await (const frame of frames) {
          if (frame.type === 'BOOKMARK') continue;
          watch.#see({ pool: frame.object, atMs: performance.now() }, frame.type === 'DELETED');
        }
        throw new Error('the watch of PoolConfigs ended');
      } catch (error) {
        watch.#failed.reject(error);
      }
    })();
    return watch;
  }

  /** Of the first frame that holds, the present state included. @throws with the last status when there is none in time. */
  async until(name: string, what: string, holds: (pool: LivePool) => boolean, timeoutMs: number): Promise<Seen> {
    const known = this.#latest.get(name);
    if (known !== undefined && holds(known.pool)) return known;
    const found = Promise.withResolvers<Seen>();
    const waiter = { name, holds, resolve: found.resolve };
    this.#waiters.add(waiter);
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const status = describeStatus(this.#latest.get(name)?.pool);
      late.reject(new Error(`while waiting for ${what}: not within ${timeoutMs / 1000} s\n${status}`));
    }, timeoutMs);
    try {
      return await Promise.race([found.promise, late.promise, this.#failed.promise]);
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  #see(seen: Seen, gone: boolean): void {
    const { name } = seen.pool.metadata;
    if (gone) {
      this.#latest.delete(name);
      return;
    }
    this.#latest.set(name, seen);
    for (const waiter of this.#waiters) {
      if (waiter.name === name && waiter.holds(seen.pool)) waiter.resolve(seen);
    }
  }
}
