// The local copy of a collection: frozen objects, found by name, by UID and by named indexes; tells of every change.
import { toError } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import { objectKey } from './resources.ts';
import type { LiveObject } from './resources.ts';
import { isOlder } from './resource-version.ts';

/** The values under which an object is found in one index. */
export type IndexFunction<T extends LiveObject> = (object: T) => readonly string[];

export type StoreChange<T extends LiveObject> = {
  readonly type: 'added' | 'modified' | 'deleted';
  /** For `deleted` the last state known. */
  readonly object: T;
  /** The state before; undefined for `added`. */
  readonly old: T | undefined;
  /** `list`: found by listing everything, so it may be old news and can wait behind live changes. */
  readonly source: 'list' | 'watch';
};

export type StoreOptions<T extends LiveObject> = {
  readonly log: Log;
  readonly indexes?: Readonly<Record<string, IndexFunction<T>>>;
};

/** Far more than can be deleted while one call to the API is under way. */
const ENDS_REMEMBERED = 1_000;

/**
 * Invariants: one object per name; an older resourceVersion never replaces a newer one; a UID that a watch told as deleted comes back only
 * by a list; a new UID under an old name is told as deleted, then added; subscribers see the store as it is after the change, and their
 * exceptions stay theirs.
 */
export class Store<T extends LiveObject> {
  readonly #log: Log;
  readonly #byKey = new Map<string, T>();
  readonly #byUid = new Map<string, T>();
  readonly #indexes: ReadonlyMap<string, { readonly keysOf: IndexFunction<T>; readonly buckets: Map<string, Set<T>> }>;
  readonly #subscribers = new Set<(change: StoreChange<T>) => void>();
  /** UIDs whose end a watch told, oldest first. */
  readonly #ended = new Set<string>();
  #failedDeliveries = 0;

  constructor({ log, indexes = {} }: StoreOptions<T>) {
    this.#log = log;
    this.#indexes = new Map(
      Object.entries(indexes).map(([name, keysOf]) => [name, { keysOf, buckets: new Map<string, Set<T>>() }]),
    );
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** Changes that a subscriber answered with an exception. */
  get failedDeliveries(): number {
    return this.#failedDeliveries;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#byKey.get(namespace === undefined ? name : `${namespace}/${name}`);
  }

  byUid(uid: string): T | undefined {
    return this.#byUid.get(uid);
  }

  list(): readonly T[] {
    return [...this.#byKey.values()];
  }

  byIndex(indexName: string, key: string): readonly T[] {
    const index = this.#indexes.get(indexName);
    if (index === undefined) {
      throw new Error(`while looking into a store: there is no index ${indexName}`);
    }
    return [...(index.buckets.get(key) ?? [])];
  }

  /** Subscribers only take note (enqueue a key); they never act. Returns the way to unsubscribe. */
  subscribe(subscriber: (change: StoreChange<T>) => void): () => void {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  /** Takes an object from a watch. Returns false when the store already has this version or a newer one. */
  upsert(object: T, source: StoreChange<T>['source'] = 'watch'): boolean {
    const key = objectKey(object);
    const old = this.#byKey.get(key);
    // The answer to a write of ours may come later than the watch's word that the object is gone.
    if (this.#ended.has(object.metadata.uid)) return false;
    if (old === undefined) {
      this.#insert(key, object);
      this.#tell({ type: 'added', object, old: undefined, source });
      return true;
    }
    const { uid, resourceVersion } = old.metadata;
    if (
      resourceVersion === object.metadata.resourceVersion ||
      isOlder(object.metadata.resourceVersion, resourceVersion)
    ) {
      return false;
    }
    if (uid !== object.metadata.uid) {
      this.#remove(key, old);
      this.#tell({ type: 'deleted', object: old, old, source });
      this.#insert(key, object);
      this.#tell({ type: 'added', object, old: undefined, source });
      return true;
    }
    this.#remove(key, old);
    this.#insert(key, object);
    this.#tell({ type: 'modified', object, old, source });
    return true;
  }

  /** Takes a deletion from a watch. Returns false when the store holds no object of that name, or a newer one. */
  delete(object: T, source: StoreChange<T>['source'] = 'watch'): boolean {
    const key = objectKey(object);
    this.#rememberEnd(object.metadata.uid);
    const old = this.#byKey.get(key);
    if (old === undefined || isOlder(object.metadata.resourceVersion, old.metadata.resourceVersion)) {
      return false;
    }
    deepFreeze(object);
    this.#remove(key, old);
    this.#tell({ type: 'deleted', object, old, source });
    return true;
  }

  /** Takes a complete list: what is in scope and not listed is gone. The difference is told, nothing else. */
  replace(objects: readonly T[], inScope: (object: T) => boolean = () => true): void {
    const listed = new Map(objects.map((object) => [objectKey(object), object]));
    // A cluster set back from a backup has its former objects again.
    this.#ended.clear();
    for (const [key, old] of [...this.#byKey]) {
      if (inScope(old) && !listed.has(key)) {
        this.#remove(key, old);
        this.#tell({ type: 'deleted', object: old, old, source: 'list' });
      }
    }
    for (const object of objects) {
      this.upsert(object, 'list');
    }
  }

  /** Forgets what is in scope, as if it had been deleted. */
  clear(inScope: (object: T) => boolean = () => true): void {
    this.replace([], inScope);
  }

  #insert(key: string, object: T): void {
    deepFreeze(object);
    this.#byKey.set(key, object);
    this.#byUid.set(object.metadata.uid, object);
    for (const { keysOf, buckets } of this.#indexes.values()) {
      for (const indexKey of keysOf(object)) {
        const bucket = buckets.get(indexKey) ?? new Set<T>();
        bucket.add(object);
        buckets.set(indexKey, bucket);
      }
    }
  }

  #rememberEnd(uid: string): void {
    this.#ended.add(uid);
    const [oldest] = this.#ended;
    if (this.#ended.size > ENDS_REMEMBERED && oldest !== undefined) this.#ended.delete(oldest);
  }

  #remove(key: string, object: T): void {
    this.#byKey.delete(key);
    this.#byUid.delete(object.metadata.uid);
    for (const { keysOf, buckets } of this.#indexes.values()) {
      for (const indexKey of keysOf(object)) {
        const bucket = buckets.get(indexKey);
        bucket?.delete(object);
        if (bucket?.size === 0) {
          buckets.delete(indexKey);
        }
      }
    }
  }

  #tell(change: StoreChange<T>): void {
    for (const subscriber of [...this.#subscribers]) {
      try {
        subscriber(change);
      } catch (thrown) {
        this.#failedDeliveries += 1;
        const fields = { kind: change.object.kind, object: objectKey(change.object), error: toError(thrown) };
        this.#log.error('a subscriber of the store failed', fields);
      }
    }
  }
}

function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) {
    return;
  }
  Object.freeze(value);
  for (const part of Object.values(value)) {
    deepFreeze(part);
  }
}
