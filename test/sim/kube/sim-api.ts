// A Kubernetes API in memory and in virtual time: what operators connect to, and what the world around them reads and changes.
import type { ListOptions, WatchOptions } from '../../../src/kube/client.ts';
import { resourceOf, type LiveObject, type Manifest, type Resource } from '../../../src/kube/resources.ts';
import type { Clock, Timer } from '../../../src/runtime/clock.ts';
import type { FateOf } from '../contracts.ts';
import { ApiVerbs, type Deletion } from './api-verbs.ts';
import { connection, type ConnectOptions, type ListPage, type SimConnection } from './connection.ts';
import { mergePatched } from './json.ts';
import { ObjectStore, type Listener, type SimObject } from './object-store.ts';
import { refusal } from './refusal.ts';
import { selects } from './selectors.ts';
import { WatchStream } from './watch-stream.ts';
import { withEncodedStrings } from './write-scope.ts';

export type { SimConnection } from './connection.ts';
export type { ObjectEvent, SimObject } from './object-store.ts';

export type SimApiOptions = {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
};

const BOOKMARK_EVERY_MS = 60_000;
const WORLD = 'world';

export class SimApi {
  readonly clock: Clock;
  /** For the parts of the cluster, which draw from the same seed. */
  readonly random: () => number;
  /** How old the state is that a list of this kind shows; 0 unless a history says otherwise. */
  staleReads: (kind: string) => number = () => 0;
  readonly #store: ObjectStore;
  readonly #verbs: ApiVerbs;
  readonly #watches = new Map<string, Set<WatchStream>>();
  #bookmarks: Timer | undefined;

  constructor({ clock, random }: SimApiOptions) {
    this.clock = clock;
    this.random = random;
    this.#store = new ObjectStore(clock);
    this.#verbs = new ApiVerbs(this.#store, clock, random);
    this.#store.subscribe((event) => {
      for (const stream of [...(this.#watches.get(event.object.kind) ?? [])]) stream.push(event);
    });
  }

  /** The client of one operator process. */
  connect(fateOf: FateOf, options: ConnectOptions): SimConnection {
    const cluster = {
      clock: this.clock,
      verbs: this.#verbs,
      list: (resource: Resource, given: ListOptions) => this.#page(resource, given),
      watch: (resource: Resource, given: WatchOptions, lagMs: () => number) => this.#watch(resource, given, lagMs),
    };
    return connection(cluster, fateOf, options);
  }

  /** Creates an object as a client does, at once. @throws ApiError */
  create(object: Manifest, writer = WORLD): SimObject {
    return this.#verbs.create(object, { writer, fieldManager: writer });
  }

  /** Creates an object, or puts it in the place of the one of that name; unlike a client it may set status too. */
  put(object: Manifest, writer = WORLD): SimObject {
    const { kind, metadata } = object;
    const live = this.find(kind, metadata.namespace, metadata.name) ?? this.create(object, writer);
    const given = withEncodedStrings(object);
    const next = { ...given, status: given['status'] ?? live['status'] } as unknown as SimObject;
    return this.edit(kind, metadata.namespace, metadata.name, (current) => withIdentityOf(current, next), writer);
  }

  find(kind: string, namespace: string | undefined, name: string): SimObject | undefined {
    return this.#store.find(kind, namespace, name);
  }

  /** In the order of their names. */
  list(kind: string): readonly SimObject[] {
    return this.#store.list(kind);
  }

  all(): Iterable<SimObject> {
    return this.#store.all();
  }

  /**
   * Changes an object, status and all: a function of the frozen object, or a JSON merge patch. No change is no write.
   * @throws when there is no such object.
   */
  edit(
    kind: string,
    namespace: string | undefined,
    name: string,
    change: ((object: SimObject) => SimObject) | Readonly<Record<string, unknown>>,
    writer = WORLD,
  ): SimObject {
    const live = this.find(kind, namespace, name);
    if (live === undefined) throw new Error(`while ${writer} edits: there is no ${kind} ${namespace ?? ''}/${name}`);
    const next = typeof change === 'function' ? change(live) : (mergePatched(live, change) as SimObject);
    return this.#verbs.edit(live, next, writer);
  }

  /** Deletes as a client does: pods keep their grace period. Nothing happens when it is gone already. */
  remove(
    kind: string,
    namespace: string | undefined,
    name: string,
    { writer = WORLD, ...deletion }: Deletion & { readonly writer?: string } = {},
  ): void {
    const live = this.find(kind, namespace, name);
    if (live !== undefined) this.#verbs.delete(resourceOf(live), namespace, name, deletion, writer);
  }

  /** Told of every change at the moment it happens. Listeners only take note; they write nothing themselves. */
  subscribe(listener: Listener): () => void {
    return this.#store.subscribe(listener);
  }

  /** The version of the newest change. */
  get resourceVersion(): string {
    return String(this.#store.version);
  }

  /** Open watches of a kind miss the next events, and break after so many. */
  dropEvents(kind: string, count: number): void {
    for (const stream of this.#watches.get(kind) ?? []) stream.lose(count);
  }

  /** All open watches break, or those of a kind; what was on its way to their readers is lost, and read again when they come back. */
  breakWatches(kind?: string): void {
    for (const [watched, streams] of this.#watches) {
      if (kind === undefined || kind === watched) for (const stream of [...streams]) stream.break();
    }
  }

  /** As by a compaction: a watch that wants to go on from an older version is `gone`. */
  expireHistory(): void {
    this.#store.expireHistory();
  }

  get openWatches(): number {
    return [...this.#watches.values()].reduce((sum, streams) => sum + streams.size, 0);
  }

  #page({ kind }: Resource, selection: ListOptions): ListPage {
    const agoMs = this.staleReads(kind);
    const matches = selects(selection);
    if (agoMs <= 0) return { items: this.#store.list(kind).filter(matches), resourceVersion: this.resourceVersion };
    const { items, version } = this.#store.listAsOf(kind, agoMs);
    return { items: items.filter(matches), resourceVersion: String(version) };
  }

  #watch(resource: Resource, options: WatchOptions, lagMs: () => number): WatchStream {
    const { resourceVersion, timeoutSeconds, allowWatchBookmarks = false, ...selection } = options;
    const { kind } = resource;
    const from = resourceVersion === undefined ? this.#store.version : Number(resourceVersion);
    const missed = this.#store.eventsSince(kind, from);
    if (missed === undefined) throw refusal('gone', `too old resource version: ${from}`);
    const stream = new WatchStream({
      clock: this.clock,
      matches: selects(selection),
      bookmarks: allowWatchBookmarks,
      lagMs,
    });
    const streams = this.#watches.get(kind) ?? new Set();
    this.#watches.set(kind, streams.add(stream));
    stream.onClosed(() => streams.delete(stream));
    for (const event of missed) stream.push(event);
    if (timeoutSeconds !== undefined) {
      const end = this.clock.setTimer(timeoutSeconds * 1000, () => {
        stream.end();
      });
      stream.onClosed(() => {
        end.cancel();
      });
    }
    this.#bookmarks ??= this.#nextBookmarks();
    return stream;
  }

  #nextBookmarks(): Timer {
    return this.clock.setTimer(BOOKMARK_EVERY_MS, () => {
      for (const streams of this.#watches.values()) {
        for (const stream of [...streams]) stream.bookmark(this.#store.version);
      }
      this.#bookmarks = this.openWatches === 0 ? undefined : this.#nextBookmarks();
    });
  }
}

/** Metadata that the server gave stays; labels, annotations and the rest are the new object's. */
function withIdentityOf(live: LiveObject, next: SimObject): SimObject {
  const { uid, resourceVersion, creationTimestamp, generation, deletionTimestamp, deletionGracePeriodSeconds } =
    live.metadata;
  const given = { uid, resourceVersion, creationTimestamp, generation, deletionTimestamp, deletionGracePeriodSeconds };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...next, metadata: { ...next.metadata, ...known } };
}
