// What an API server does with a write: names and versions, preconditions, subresources, defaults, graceful deletion.
import { resourceOf, type Manifest, type Resource } from '../../../src/kube/resources.ts';
import { isoTime } from '../../../src/model/iso-time.ts';
import type { Clock } from '../../../src/runtime/clock.ts';
import { applyFields, NO_OWNERS, ownChanges, type FieldOwners } from './field-owners.ts';
import { marked, podGraceSeconds } from './graceful-deletion.ts';
import { at, frozen, mergePatched, omitted, sameJson, type JsonMap } from './json.ts';
import { DEFAULTS, INITIAL, WITH_GENERATION, WITH_STATUS } from './kinds.ts';
import type { ObjectStore, SimObject } from './object-store.ts';
import { refusal } from './refusal.ts';
import { inScale, kept, sameSpec, scaleOf, scoped, tidy, withEncodedStrings, type Subresource } from './write-scope.ts';

const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

export type Writing = {
  /** The process that writes; goes into events. */
  readonly writer: string;
  readonly fieldManager: string;
  readonly subresource?: Subresource;
  readonly dryRun?: boolean | undefined;
};

export type Preconditions = {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
};

export type Deletion = Preconditions & {
  readonly gracePeriodSeconds?: number | undefined;
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan' | undefined;
  readonly dryRun?: boolean | undefined;
};

export class ApiVerbs {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** By UID. */
  readonly #owners = new Map<string, FieldOwners>();

  constructor(store: ObjectStore, clock: Clock, random: () => number) {
    this.#store = store;
    this.#clock = clock;
    this.#random = random;
  }

  get(resource: Resource, namespace: string | undefined, name: string, subresource?: Subresource): SimObject {
    const object = this.#store.find(resource.kind, namespace, name);
    if (object === undefined) throw refusal('notFound', `${resource.plural} "${name}" not found`);
    return subresource === 'scale' ? scaleOf(object) : object;
  }

  create(manifest: Manifest, writing: Writing): SimObject {
    const resource = resourceOf(manifest);
    const { name, namespace } = manifest.metadata;
    if (!NAME.test(name)) throw refusal('invalid', `${resource.kind} "${name}" is invalid: metadata.name`);
    if (resource.namespaced && namespace === undefined) throw refusal('invalid', `${resource.kind} needs a namespace`);
    if ((at(manifest, 'metadata', 'resourceVersion') ?? '') !== '') {
      throw refusal('unavailable', 'resourceVersion should not be set on objects to be created');
    }
    if (this.#store.find(resource.kind, namespace, name) !== undefined) {
      throw refusal('alreadyExists', `${resource.plural} "${name}" already exists`);
    }
    const object = this.#admit(manifest);
    if (writing.dryRun === true) return frozen({ ...object, metadata: { ...object.metadata, resourceVersion: '' } });
    const written = this.#store.write(object, writing.writer);
    this.#owners.set(written.metadata.uid, ownChanges({}, written, NO_OWNERS, ownerName(writing, 'Update')));
    return written;
  }

  apply(manifest: Manifest, { force, ...writing }: Writing & { readonly force: boolean }): SimObject {
    const { name, namespace } = manifest.metadata;
    const owner = ownerName(writing, 'Apply');
    const applied = scoped(frozen(withEncodedStrings(manifest as Manifest & JsonMap)), writing.subresource);
    const live = this.#store.find(manifest.kind, namespace, name);
    if (live === undefined) {
      const resource = resourceOf(manifest);
      if (writing.subresource !== undefined) throw refusal('notFound', `${resource.plural} "${name}" not found`);
      if (at(manifest, 'metadata', 'uid') !== undefined) {
        throw refusal('conflict', `uid mismatch: there is no ${resource.plural} "${name}"`);
      }
      const created = this.create(manifest, writing);
      const owners = applyFields({}, NO_OWNERS, owner, applied, true);
      if (writing.dryRun !== true && 'owners' in owners) this.#owners.set(created.metadata.uid, owners.owners);
      return created;
    }
    check(live, manifest.metadata as Preconditions);
    const result = applyFields(live, this.#ownersOf(live), owner, applied, force);
    if ('conflicts' in result) {
      throw refusal(
        'conflict',
        `Apply failed with ${result.conflicts.length} conflicts: ${result.conflicts.join(', ')}`,
      );
    }
    return this.#replace(live, result.object, writing, () => result.owners);
  }

  mergePatch(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    patch: JsonMap,
    writing: Writing,
  ): SimObject {
    const live = this.get(resource, namespace, name);
    check(live, patch['metadata'] ?? {});
    const next = mergePatched(
      live,
      inScale(live, scoped(withEncodedStrings(patch), writing.subresource), writing.subresource),
    );
    return this.#update(live, next as JsonMap, writing);
  }

  update(manifest: Manifest, writing: Writing): SimObject {
    const live = this.get(resourceOf(manifest), manifest.metadata.namespace, manifest.metadata.name);
    check(live, manifest.metadata as Preconditions);
    const given = withEncodedStrings(manifest);
    if (writing.subresource === 'scale')
      return this.#update(live, mergePatched(live, inScale(live, given, 'scale')) as JsonMap, writing);
    const status = WITH_STATUS.has(live.kind) ? { status: live['status'] } : {};
    const next = writing.subresource === 'status' ? { ...live, status: given['status'] } : { ...given, ...status };
    return this.#update(live, frozen(next), writing);
  }

  /** A change by the cluster's own parts, which may touch everything. Answers the object as it is then. */
  edit(live: SimObject, next: SimObject, writer: string): SimObject {
    if (next === live) return live;
    return this.#update(live, next, { writer, fieldManager: writer }, true);
  }

  delete(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    { gracePeriodSeconds, propagationPolicy, dryRun, ...preconditions }: Deletion,
    writer: string,
  ): void {
    const live = this.get(resource, namespace, name);
    check(live, preconditions);
    if (dryRun === true) return;
    if (propagationPolicy === 'Orphan') this.#orphan(live, writer);
    const graceSeconds = resource.kind === 'Pod' ? podGraceSeconds(live, gracePeriodSeconds) : 0;
    const finalizers = (at(live, 'metadata', 'finalizers') ?? []) as readonly string[];
    if (graceSeconds === 0 && finalizers.length === 0) {
      this.#remove(live, writer);
      return;
    }
    const going = marked(live, graceSeconds, this.#clock.now());
    if (going !== undefined) this.#store.write(going, writer);
  }

  /** A new object as the server completes it. */
  #admit(manifest: Manifest & JsonMap): SimObject {
    const { kind } = manifest;
    const given = withEncodedStrings(manifest);
    const body = WITH_STATUS.has(kind) ? omitted(given, ['status']) : given;
    const metadata = {
      ...(given['metadata'] as SimObject['metadata']),
      uid: this.#uid(),
      creationTimestamp: isoTime(this.#clock.now()),
      ...(WITH_GENERATION.has(kind) ? { generation: 1 } : {}),
    };
    return frozen(tidy({ ...DEFAULTS[kind], ...body, metadata, ...INITIAL[kind] } as unknown as SimObject));
  }

  #update(live: SimObject, next: JsonMap, writing: Writing, whole = false): SimObject {
    return this.#replace(
      live,
      next,
      writing,
      (former, written) => ownChanges(former, written, this.#ownersOf(live), ownerName(writing, 'Update')),
      whole,
    );
  }

  #replace(
    live: SimObject,
    next: JsonMap,
    writing: Writing,
    owners: (former: SimObject, written: SimObject) => FieldOwners,
    whole = false,
  ): SimObject {
    const object = tidy(whole ? (next as SimObject) : kept(live, next, writing.subresource));
    if (sameJson(object, live)) {
      this.#owners.set(live.metadata.uid, owners(live, live));
      return live;
    }
    const generation = live.metadata.generation;
    const specChanged = generation !== undefined && !sameSpec(live, object);
    const metadata = specChanged ? { ...object.metadata, generation: generation + 1 } : object.metadata;
    if (writing.dryRun === true) return frozen({ ...object, metadata });
    const ended =
      metadata.deletionTimestamp !== undefined &&
      live.kind !== 'Pod' &&
      ((at(object, 'metadata', 'finalizers') ?? []) as readonly string[]).length === 0;
    if (ended) return this.#remove(object, writing.writer);
    const written = this.#store.write({ ...object, metadata }, writing.writer);
    // Nobody applies pods, events or leases, so nobody asks who owns which of their fields.
    if (!['Pod', 'Event', 'Lease'].includes(live.kind)) this.#owners.set(live.metadata.uid, owners(live, written));
    return written;
  }

  #remove(live: SimObject, writer: string): SimObject {
    this.#owners.delete(live.metadata.uid);
    return this.#store.remove(live, writer);
  }

  #orphan(owner: SimObject, writer: string): void {
    for (const object of [...this.#store.all()]) {
      const { ownerReferences } = object.metadata;
      if (ownerReferences?.some(({ uid }) => uid === owner.metadata.uid) !== true) continue;
      const left = ownerReferences.filter(({ uid }) => uid !== owner.metadata.uid);
      this.edit(object, { ...object, metadata: { ...object.metadata, ownerReferences: left } }, writer);
    }
  }

  #ownersOf(object: SimObject): FieldOwners {
    return this.#owners.get(object.metadata.uid) ?? NO_OWNERS;
  }

  #uid(): string {
    const part = (): string =>
      Math.floor(this.#random() * 0x1_0000_0000)
        .toString(16)
        .padStart(8, '0');
    const hex = `${part()}${part()}${part()}${part()}`;
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
  }
}

function ownerName({ fieldManager, subresource }: Writing, operation: 'Apply' | 'Update'): string {
  return `${fieldManager}/${operation}/${subresource ?? ''}`;
}

function check({ metadata }: SimObject, { uid, resourceVersion }: Preconditions): void {
  if (uid !== undefined && uid !== metadata.uid) {
    throw refusal('conflict', `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`);
  }
  if (resourceVersion !== undefined && resourceVersion !== '' && resourceVersion !== metadata.resourceVersion) {
    throw refusal('conflict', `the object "${metadata.name}" has been modified; it is at ${metadata.resourceVersion}`);
  }
}
