// The garbage collector: what has no living owner left is deleted, some time after the owner went.
import type { ObjectEvent, SimApi, SimObject } from './sim-api.ts';

export type GarbageCollectorOptions = {
  /** From the end of an owner to the deletion of what it owned; default 0.1 to 2 s, drawn. */
  readonly delayMs?: () => number;
};

const WRITER = 'garbage-collector';

/** Life: works from its making on, for as long as the clock runs. */
export class GarbageCollector {
  readonly #api: SimApi;
  readonly #delayMs: () => number;
  readonly #uids = new Set<string>();

  constructor(api: SimApi, options: GarbageCollectorOptions = {}) {
    this.#api = api;
    this.#delayMs = options.delayMs ?? (() => 100 + api.random() * 1_900);
    for (const object of api.all()) this.#uids.add(object.metadata.uid);
    api.subscribe((event) => {
      this.#note(event);
    });
  }

  #note({ type, object }: ObjectEvent): void {
    const { uid } = object.metadata;
    if (type === 'deleted') {
      this.#uids.delete(uid);
      for (const other of this.#api.all()) {
        if (other.metadata.ownerReferences?.some((owner) => owner.uid === uid) === true) this.#collectLater(other);
      }
      return;
    }
    if (type === 'added') this.#uids.add(uid);
    // A child may be written after its owner is gone.
    if (this.#isGarbage(object)) this.#collectLater(object);
  }

  #collectLater({ kind, metadata }: SimObject): void {
    this.#api.clock.setTimer(this.#delayMs(), () => {
      const live = this.#api.find(kind, metadata.namespace, metadata.name);
      if (live?.metadata.uid !== metadata.uid || !this.#isGarbage(live)) return;
      this.#api.remove(kind, metadata.namespace, metadata.name, { writer: WRITER, uid: metadata.uid });
    });
  }

  #isGarbage({ metadata }: SimObject): boolean {
    const owners = metadata.ownerReferences ?? [];
    return (
      metadata.deletionTimestamp === undefined && owners.length > 0 && owners.every(({ uid }) => !this.#uids.has(uid))
    );
  }
}
