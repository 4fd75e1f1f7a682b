// Keeps a store equal to a collection of the API: runs the list-watch machine, backs off, and says how fresh it is.
import { backoffMs } from '../runtime/backoff.ts';
import type { BackoffPolicy } from '../runtime/backoff.ts';
import type { Clock } from '../runtime/clock.ts';
import { toError } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import type { Selection } from './client.ts';
import type { ApiError } from './errors.ts';
import { INITIAL, step } from './list-watch.ts';
import type { ListWatchApi, ListWatchConfig, ListWatchEvent, ListWatchState } from './list-watch.ts';
import { objectKey } from './resources.ts';
import type { LiveObject, Resource } from './resources.ts';
import type { Store } from './store.ts';

export type ReflectorOptions<T extends LiveObject> = Selection & {
  readonly client: ListWatchApi;
  readonly resource: Resource<T>;
  /** May be shared by reflectors of different namespaces, not by two of one namespace. */
  readonly store: Store<T>;
  readonly clock: Clock;
  readonly log: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Keeps only what is needed of a raw object; apiVersion, kind and the metadata's identity must stay. Default: all but managedFields. */
  readonly project?: (raw: T) => T;
};

export type ReflectorMetrics = {
  readonly lists: number;
  readonly watches: number;
  readonly changes: number;
  readonly errors: number;
  /** Relists because the server no longer had our resourceVersion. */
  readonly gone: number;
  readonly staleLists: number;
  readonly unreadable: number;
};

const BACKOFF: BackoffPolicy = { baseMs: 250, maxMs: 15_000, factor: 2, jitter: 0.5 };

/**
 * Life: created → `start` → running until `stop`; never started twice. Errors are logged and counted, the machine goes on.
 * The back-off after a list and after a watch are counted apart, so that a server whose lists succeed and whose watches
 * all fail is not listed again and again at the shortest delay.
 */
export class Reflector<T extends LiveObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #config: ListWatchConfig<T>;
  readonly #stopping = new AbortController();
  readonly #synced = Promise.withResolvers<undefined>();
  #running: Promise<void> | undefined;
  #hasSynced = false;
  #lastContactMs: number | undefined;
  #lastError: ApiError | undefined;
  readonly #failures = { list: 0, watch: 0 };
  readonly #counts = { lists: 0, watches: 0, changes: 0, errors: 0, gone: 0, staleLists: 0, unreadable: 0 };

  constructor(options: ReflectorOptions<T>) {
    const { namespace, labelSelector, fieldSelector, resource, clock, random } = options;
    this.#options = options;
    this.#config = {
      namespace,
      labelSelector,
      fieldSelector,
      resource,
      clock,
      random,
      project: (raw) => this.#project(raw),
    };
  }

  /** The first complete list has reached the store. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** When the server last told something, on the clock's monotonic time; at rest it sends a bookmark about once a minute. */
  get lastContactMs(): number | undefined {
    return this.#lastContactMs;
  }

  /** The error being retried now; undefined while all is well. */
  get lastError(): ApiError | undefined {
    return this.#lastError;
  }

  metrics(): ReflectorMetrics {
    return { ...this.#counts };
  }

  start(): void {
    if (this.#running !== undefined) {
      throw new Error(`while starting the reflector of ${this.#options.resource.plural}: it was started before`);
    }
    this.#running = this.#run(this.#stopping.signal);
  }

  /** Resolves when the last call has ended. The store keeps its contents. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the reflector was stopped'));
    await this.#running;
  }

  /** Rejects with the signal's reason. */
  async waitForSync(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => {
      aborted.reject(toError(signal.reason));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([this.#synced.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { client, clock, random } = this.#options;
    const stopped = (): boolean => signal.aborted;
    let state: ListWatchState<T> = INITIAL;
    while (!stopped()) {
      const activity = state.phase === 'empty' || state.phase === 'initPage' ? 'list' : 'watch';
      const { state: next, event, error } = await step(client, this.#config, state, signal);
      if (event !== undefined) {
        this.#lastContactMs = clock.monotonicMs();
        this.#lastError = undefined;
        this.#take(event, state, next);
      }
      state = next;
      if (error !== undefined && !stopped()) {
        this.#failures[activity] += 1;
        const delayMs = backoffMs(BACKOFF, this.#failures[activity], random());
        this.#note(error, activity, delayMs);
        await clock.sleep(Math.max(delayMs, error.retryAfterMs ?? 0), signal).catch(() => undefined);
      }
    }
    if (state.phase === 'watching') {
      state.watch.close();
    }
  }

  #take(event: ListWatchEvent<T>, before: ListWatchState<T>, after: ListWatchState<T>): void {
    const { store, namespace, log, resource } = this.#options;
    switch (event.type) {
      case 'replaced': {
        const inScope = (object: T): boolean => namespace === undefined || object.metadata.namespace === namespace;
        if (event.rewound) {
          log.error('the history of the API server went back; starting anew', { kind: resource.kind, namespace });
          store.clear(inScope);
        }
        store.replace(event.items, inScope);
        this.#counts.lists += 1;
        this.#failures.list = 0;
        this.#hasSynced = true;
        this.#synced.resolve(undefined);
        return;
      }
      case 'upsert':
      case 'delete':
        this.#counts.changes += 1;
        this.#failures.watch = 0;
        store[event.type](event.object);
        return;
      case 'nothing':
        if (before.phase === 'initListed') {
          this.#counts.watches += 1;
        } else if (before.phase === 'watching' && after.phase === 'watching' && after.watch.progressed) {
          this.#failures.watch = 0;
        }
    }
  }

  #note(error: ApiError, activity: 'list' | 'watch', delayMs: number): void {
    const { log, resource, namespace } = this.#options;
    this.#lastError = error;
    this.#counts.errors += 1;
    this.#counts.gone += error.kind === 'gone' ? 1 : 0;
    this.#counts.staleLists += error.reason === 'StaleList' ? 1 : 0;
    const level = error.kind === 'gone' || this.#failures[activity] === 1 ? 'info' : 'warn';
    const fields = {
      kind: resource.kind,
      namespace,
      activity,
      failures: this.#failures[activity],
      error: error.message,
    };
    log[level]('following a collection failed, trying again', { ...fields, delayMs: Math.round(delayMs) });
  }

  #project(raw: LiveObject): T | undefined {
    const { project = withoutManagedFields, log } = this.#options;
    try {
      return project(raw as T);
    } catch (thrown) {
      this.#counts.unreadable += 1;
      const fields = { kind: raw.kind, object: objectKey(raw), error: toError(thrown) };
      log.error('an object could not be read and is left out', fields);
      return undefined;
    }
  }
}

/** They are often half of an object, and nothing decides by them. */
function withoutManagedFields<T extends LiveObject>(raw: T): T {
  const metadata = { ...raw.metadata };
  delete (metadata as { managedFields?: unknown }).managedFields;
  return { ...raw, metadata };
}
