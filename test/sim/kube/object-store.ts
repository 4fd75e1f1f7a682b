// What etcd is to an API server: every object, one growing version for all of them, and the history that watches read.
import type { LiveObject } from '../../../src/kube/resources.ts';
import type { Clock } from '../../../src/runtime/clock.ts';
import { frozen } from './json.ts';

export type SimObject = LiveObject & Readonly<Record<string, unknown>>;

export type ObjectEvent = {
  readonly type: 'added' | 'modified' | 'deleted';
  /** As it is after the event; for `deleted` its last state, under the version of its end. */
  readonly object: SimObject;
  readonly former: SimObject | undefined;
  /** Which process wrote it: the name of an operator's connection, or of a part of the cluster. */
  readonly writer: string;
  readonly version: number;
  /** On the clock's monotonic time. */
  readonly atMs: number;
};

export type Listener = (event: ObjectEvent) => void;

type Collection = { readonly objects: Map<string, SimObject>; readonly events: ObjectEvent[] };

const FIRST_VERSION = 1_000;

export class ObjectStore {
  readonly #clock: Clock;
  readonly #collections = new Map<string, Collection>();
  readonly #listeners = new Set<Listener>();
  /** The moments at which versions were made: `#versionTimes[i]` belongs to version FIRST_VERSION + 1 + i. */
  readonly #versionTimes: number[] = [];
  #version = FIRST_VERSION;
  #oldestReadable = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get version(): number {
    return this.#version;
  }

  find(kind: string, namespace: string | undefined, name: string): SimObject | undefined {
    return this.#collections.get(kind)?.objects.get(keyOf(namespace, name));
  }

  /** In the order of their names, as a real server lists. */
  list(kind: string): readonly SimObject[] {
    const found = [...(this.#collections.get(kind)?.objects.values() ?? [])];
    return found.sort((a, b) => (keyOfObject(a) < keyOfObject(b) ? -1 : 1));
  }

  /** Every object, in no order that means anything. */
  *all(): Generator<SimObject> {
    for (const { objects } of this.#collections.values()) yield* objects.values();
  }

  /** The collection as it was so long ago, with the version of that moment. */
  listAsOf(kind: string, agoMs: number): { readonly items: readonly SimObject[]; readonly version: number } {
    const thenMs = this.#clock.monotonicMs() - agoMs;
    const version = this.#versionAt(thenMs);
    const objects = new Map(this.#collections.get(kind)?.objects);
    const events = this.#collections.get(kind)?.events ?? [];
    for (let index = events.length - 1; index >= 0; index -= 1) {
      const event = events[index];
      if (event === undefined || event.version <= version) break;
      if (event.former === undefined) objects.delete(keyOfObject(event.object));
      else objects.set(keyOfObject(event.object), event.former);
    }
    return { items: [...objects.values()].sort((a, b) => (keyOfObject(a) < keyOfObject(b) ? -1 : 1)), version };
  }

  /** Puts an object there, or in the place of its former state, under a new version. */
  write(object: SimObject, writer: string): SimObject {
    const collection = this.#collection(object.kind);
    const key = keyOfObject(object);
    const former = collection.objects.get(key);
    const written = this.#versioned(object);
    collection.objects.set(key, written);
    this.#tell(collection, { type: former === undefined ? 'added' : 'modified', object: written, former, writer });
    return written;
  }

  remove(object: SimObject, writer: string): SimObject {
    const collection = this.#collection(object.kind);
    const former = collection.objects.get(keyOfObject(object));
    const last = this.#versioned(object);
    collection.objects.delete(keyOfObject(object));
    this.#tell(collection, { type: 'deleted', object: last, former, writer });
    return last;
  }

  /** What happened after a version; undefined where that much history is not kept any more. */
  eventsSince(kind: string, version: number): readonly ObjectEvent[] | undefined {
    if (version < this.#oldestReadable) return undefined;
    const events = this.#collections.get(kind)?.events ?? [];
    let start = events.length;
    while (start > 0 && (events[start - 1]?.version ?? 0) > version) start -= 1;
    return events.slice(start);
  }

  /** As after a compaction of etcd: only what happens from now on can be read. */
  expireHistory(): void {
    this.#oldestReadable = this.#version;
  }

  /** Listeners are told at once, one after the other; they note what they want and write nothing. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(collection: Collection, fields: Omit<ObjectEvent, 'version' | 'atMs'>): void {
    const event = { ...fields, version: this.#version, atMs: this.#clock.monotonicMs() };
    collection.events.push(event);
    for (const listener of this.#listeners) listener(event);
  }

  #versioned(object: SimObject): SimObject {
    this.#version += 1;
    this.#versionTimes.push(this.#clock.monotonicMs());
    return frozen({ ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } });
  }

  #versionAt(thenMs: number): number {
    let count = this.#versionTimes.length;
    while (count > 0 && (this.#versionTimes[count - 1] ?? 0) > thenMs) count -= 1;
    return FIRST_VERSION + count;
  }

  #collection(kind: string): Collection {
    let collection = this.#collections.get(kind);
    if (collection === undefined) {
      collection = { objects: new Map(), events: [] };
      this.#collections.set(kind, collection);
    }
    return collection;
  }
}

function keyOf(namespace: string | undefined, name: string): string {
  return `${namespace ?? ''}/${name}`;
}

export function keyOfObject({ metadata }: LiveObject): string {
  return keyOf(metadata.namespace, metadata.name);
}
