// The Secrets that pools refer to, one watch each and only while somebody wants it; never all of a namespace.
import type { Clock } from '../runtime/clock.ts';
import { toError } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import type { ApiError } from './errors.ts';
import type { ListWatchApi } from './list-watch.ts';
import { Reflector } from './reflector.ts';
import { RESOURCES } from './resources.ts';
import type { Secret } from './resources.ts';
import { Store } from './store.ts';

export type SecretWatchesOptions = {
  readonly client: ListWatchApi;
  readonly clock: Clock;
  readonly log: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
};

/** `namespace/name` */
export type SecretKey = string;

export type SecretWatchesMetrics = {
  readonly watches: number;
  readonly unsynced: number;
  /** The monotonic time of the watch that has been silent for longest; undefined when none has had contact. */
  readonly oldestContactMs: number | undefined;
};

type Watch = {
  readonly owners: Set<string>;
  readonly store: Store<Secret>;
  readonly reflector: Reflector<Secret>;
  readonly released: AbortController;
};

export class SecretWatches {
  readonly #options: SecretWatchesOptions;
  readonly #watches = new Map<SecretKey, Watch>();
  readonly #wantedBy = new Map<string, ReadonlySet<SecretKey>>();
  readonly #handlers = new Set<(owners: readonly string[]) => void>();
  readonly #closing = new Set<Promise<void>>();
  #stopped = false;

  constructor(options: SecretWatchesOptions) {
    this.#options = options;
  }

  /** Says what an owner (the key of a pool) refers to now; an empty set ends its interest. */
  want(owner: string, names: ReadonlySet<SecretKey>): void {
    if (this.#stopped) {
      return;
    }
    const before = this.#wantedBy.get(owner) ?? new Set();
    for (const key of names) {
      const watch = this.#watches.get(key) ?? this.#open(key);
      watch.owners.add(owner);
    }
    for (const key of before) {
      if (!names.has(key)) {
        this.#release(key, owner);
      }
    }
    if (names.size === 0) {
      this.#wantedBy.delete(owner);
    } else {
      this.#wantedBy.set(owner, new Set(names));
    }
  }

  /** `unsynced`: nobody wants it, or the server has not answered yet (`lastError` may say why). */
  get(key: SecretKey): Secret | 'missing' | 'unsynced' {
    const watch = this.#watches.get(key);
    if (watch?.reflector.hasSynced !== true) {
      return 'unsynced';
    }
    const { namespace, name } = splitKey(key);
    return watch.store.get(namespace, name) ?? 'missing';
  }

  lastError(key: SecretKey): ApiError | undefined {
    return this.#watches.get(key)?.reflector.lastError;
  }

  /** Told of the owners of a Secret that appeared, changed, disappeared, or was looked up for the first time. */
  onChange(handler: (owners: readonly string[]) => void): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  metrics(): SecretWatchesMetrics {
    const reflectors = [...this.#watches.values()].map(({ reflector }) => reflector);
    const contacts = reflectors.flatMap(({ lastContactMs }) => lastContactMs ?? []);
    return {
      watches: reflectors.length,
      unsynced: reflectors.filter(({ hasSynced }) => !hasSynced).length,
      oldestContactMs: contacts.length === 0 ? undefined : Math.min(...contacts),
    };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const [key, watch] of [...this.#watches]) {
      this.#close(key, watch);
    }
    this.#wantedBy.clear();
    await Promise.all(this.#closing);
  }

  #open(key: SecretKey): Watch {
    const { namespace, name } = splitKey(key);
    const { log } = this.#options;
    const store = new Store<Secret>({ log });
    const reflector = new Reflector<Secret>({
      ...this.#options,
      resource: RESOURCES.Secret,
      namespace,
      fieldSelector: `metadata.name=${name}`,
      store,
      project: withoutHistory,
    });
    const watch: Watch = { owners: new Set(), store, reflector, released: new AbortController() };
    this.#watches.set(key, watch);
    store.subscribe(() => {
      // Before the first list is complete the end of `waitForSync` tells.
      if (reflector.hasSynced) {
        this.#tell(watch);
      }
    });
    reflector.start();
    void reflector.waitForSync(watch.released.signal).then(
      () => {
        this.#tell(watch);
      },
      () => undefined,
    );
    return watch;
  }

  #release(key: SecretKey, owner: string): void {
    const watch = this.#watches.get(key);
    watch?.owners.delete(owner);
    if (watch?.owners.size === 0) {
      this.#close(key, watch);
    }
  }

  #close(key: SecretKey, watch: Watch): void {
    this.#watches.delete(key);
    watch.owners.clear();
    watch.released.abort(new Error('nobody wants this Secret any more'));
    const closing = watch.reflector.stop().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  #tell({ owners }: Watch): void {
    if (owners.size === 0) {
      return;
    }
    for (const handler of [...this.#handlers]) {
      try {
        handler([...owners]);
      } catch (thrown) {
        this.#options.log.error('a subscriber of the Secrets failed', { error: toError(thrown) });
      }
    }
  }
}

function splitKey(key: SecretKey): { readonly namespace: string; readonly name: string } {
  const [namespace, name, ...rest] = key.split('/');
  if (namespace === undefined || name === undefined || rest.length > 0 || namespace === '' || name === '') {
    throw new Error(`while naming a Secret: ${JSON.stringify(key)} is not namespace/name`);
  }
  return { namespace, name };
}

/** Annotations go too: kubectl keeps a copy of the whole Secret in one of them. */
function withoutHistory({ apiVersion, kind, metadata, type, data }: Secret): Secret {
  const { name, namespace, uid, resourceVersion } = metadata;
  return {
    apiVersion,
    kind,
    metadata: { name, uid, resourceVersion, ...(namespace === undefined ? {} : { namespace }) },
    ...(type === undefined ? {} : { type }),
    ...(data === undefined ? {} : { data }),
  };
}
