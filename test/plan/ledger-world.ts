// A hostile little world for the ledger: late shrinks, late deaths, stale and missing views, crashes, two leaders, up to E extra pods.
import type { Sizes } from '../../src/model/pooler-model.ts';
import { committedOf, mayRestore } from '../../src/plan/ledger.ts';
import type { Cell } from '../../src/plan/ledger.ts';
import { sizeOf, sumOf } from '../../src/sizing/sizes.ts';

/** What the operator writes on a pod. */
export type Annotation = { readonly sizes: Sizes; readonly unsettled: Sizes };
/** One reading of a pooler's console: all of it from one moment. */
type Snapshot = { readonly inForce: Sizes; readonly own: Sizes; readonly restarts: number };
/** A write of one pod's annotation, refused when the pod has changed since it was read. */
export type Write = {
  readonly pod: string;
  readonly resourceVersion: number;
  readonly annotation: Annotation;
  readonly grows: boolean;
};

type Pod = {
  readonly name: string;
  readonly born: number;
  resourceVersion: number;
  annotation: Annotation | undefined;
  /** Every live.ini ever written; the file holds one of them, and which one only moves forward. */
  readonly files: Sizes[];
  file: number;
  /** Index into `files` of what PgBouncer runs, -1 for boot.ini. */
  loaded: number;
  own: Sizes;
  orphans: Sizes;
  restarts: number;
  /** From a container's restart until its newest live.ini is in force and no orphan is left. */
  restarted: boolean;
  terminating: boolean;
  /** The operator drained it and asked for its deletion: none of the extra pods that come without consent. */
  dismissed: boolean;
  readonly snapshots: Snapshot[];
  shown: number;
};
type Gone = { readonly name: string; backends: number; readonly charges: number };

export type WorldShape = {
  readonly budget: number;
  readonly floors: Sizes;
  /** E: pods that may exist, or whose backends may, beyond the replicas. */
  readonly extra: number;
  readonly replicas: number;
};

/** What one look at the world gives the operator. */
export type Look = {
  readonly cells: readonly Cell[];
  readonly resourceVersions: ReadonlyMap<string, number>;
  readonly server: boolean;
};

export class World {
  readonly shape: WorldShape;
  readonly databases: readonly string[];
  readonly random: () => number;
  replicas: number;
  pods: Pod[] = [];
  gone: Gone[] = [];
  #births = 0;

  constructor(shape: WorldShape, random: () => number) {
    this.shape = shape;
    this.databases = Object.keys(shape.floors);
    this.random = random;
    this.replicas = shape.replicas;
    this.replacePods();
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  upTo(most: number): number {
    return Math.floor(this.random() * (most + 1));
  }

  pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.random() * list.length)];
  }

  /** Pods that are not being deleted, oldest first. */
  get live(): readonly Pod[] {
    return this.pods.filter((pod) => !pod.terminating);
  }

  /** Pods that are being deleted though nobody here asked for it. */
  get uninvited(): readonly Pod[] {
    return this.pods.filter((pod) => pod.terminating && !pod.dismissed);
  }

  /** Connections that PostgreSQL really has. */
  get real(): number {
    const held = this.pods.reduce((sum, pod) => sum + sumOf(pod.own) + sumOf(pod.orphans), 0);
    return held + this.gone.reduce((sum, { backends }) => sum + backends, 0);
  }

  /** Σ committed as one would reckon it who knows everything at once. */
  get committed(): number {
    const cells = this.pods.flatMap((pod) => this.databases.map((database) => this.#truth(pod, database)));
    return (
      cells.reduce((sum, cell) => sum + committedOf(cell), 0) +
      this.gone.reduce((sum, { backends }) => sum + backends, 0)
    );
  }

  /** Floors that pods may still take without anybody's consent. */
  get pending(): number {
    const coming = this.replicas - this.live.length + this.shape.extra - this.charges;
    return coming * sumOf(this.shape.floors);
  }

  /** Extra pods, or backends of such, that there are now. */
  get charges(): number {
    const terminating = this.uninvited.length;
    const orphaned = this.pods.filter((pod) => sumOf(pod.orphans) > 0).length;
    return terminating + orphaned + this.gone.reduce((sum, { charges }) => sum + charges, 0);
  }

  /** Something happens that nobody asked for. */
  disturb(): void {
    const live = this.pick(this.live);
    const leaving = this.pick(this.pods.filter((pod) => pod.terminating));
    const roll = this.random();
    if (roll < 0.1) this.replacePods();
    else if (roll < 0.15 && live !== undefined && this.charges < this.shape.extra) this.#terminate(live);
    else if (roll < 0.2 && leaving !== undefined) this.#remove(leaving);
    else if (roll < 0.25 && live !== undefined && sumOf(live.orphans) === 0 && this.charges < this.shape.extra)
      this.#restart(live);
    else if (roll < 0.35) this.#backendsEnd(0.3);
    else this.tick(0.5);
  }

  /** Everything that was late happens: backends end, deleted pods go, files arrive. */
  heal(): void {
    for (const pod of this.pods.filter(({ terminating }) => terminating)) this.#remove(pod);
    this.#backendsEnd(1);
    this.replacePods();
    this.tick(1);
  }

  /** Clients come and go; a pool above its size only ever falls, and each pod's file may move on. */
  tick(haste: number): void {
    for (const pod of this.pods) {
      const force = this.#inForce(pod);
      pod.own = this.#each((database) => {
        const [own, cap] = [sizeOf(pod.own, database) ?? 0, sizeOf(force, database) ?? 0];
        if (own > cap) return this.chance(haste) ? Math.max(cap, own - 1 - this.upTo(own - cap)) : own;
        return this.chance(0.3) ? cap : this.upTo(cap);
      });
      const behind = pod.files.length - 1 - pod.file;
      if (!pod.terminating) pod.file += haste === 1 ? behind : this.chance(haste) ? this.upTo(behind) : 0;
      this.#record(pod);
    }
  }

  /**
   * Reload of one pod's live.ini, which holds whatever the kubelet has brought so far. A container found on boot.ini is looked at once more:
   * it gets its share back only beside what PostgreSQL is seen to hold, and only from the newest file while there are orphans.
   */
  reload(name: string, server: boolean): void {
    const pod = this.pods.find((candidate) => candidate.name === name);
    if (pod === undefined || pod.file < 0) return;
    if (pod.restarted && pod.loaded < 0) {
      const cells = this.databases.map((database) => this.#truth(pod, database));
      if (!cells.every((cell) => mayRestore(server ? cell : { ...cell, seenByServer: undefined }))) return;
      if (sumOf(pod.orphans) > 0 && pod.file < pod.files.length - 1) return;
    }
    pod.loaded = pod.file;
    this.#recover(pod);
    this.#record(pod);
  }

  write({ pod: name, resourceVersion, annotation }: Write, checkVersion = true): boolean {
    const pod = this.pods.find((candidate) => candidate.name === name);
    if (pod === undefined || (checkVersion && pod.resourceVersion !== resourceVersion)) return false;
    const before = pod.annotation?.sizes;
    pod.annotation = annotation;
    pod.resourceVersion += 1;
    const changed = this.databases.some((database) => sizeOf(before, database) !== sizeOf(annotation.sizes, database));
    if (changed) pod.files.push(annotation.sizes);
    return true;
  }

  /** A new leader's mark: every write prepared before it fails. */
  stamp(): void {
    for (const pod of this.pods) pod.resourceVersion += 1;
  }

  /** Deletes a pod for good: the ReplicaSet wants one less. */
  dismiss(pod: Pod): void {
    this.replicas -= 1;
    pod.dismissed = true;
    this.#terminate(pod);
  }

  /** The ReplicaSet does its work; it does not count pods that are being deleted. */
  replacePods(): void {
    while (this.live.length < this.replicas) {
      this.#births += 1;
      const nothing = this.#each(() => 0);
      const pod: Pod = {
        name: `pod-${String(this.#births).padStart(4, '0')}`,
        born: this.#births,
        resourceVersion: 1,
        annotation: undefined,
        files: [],
        file: -1,
        loaded: -1,
        own: nothing,
        orphans: nothing,
        restarts: 0,
        restarted: false,
        terminating: false,
        dismissed: false,
        snapshots: [],
        shown: 0,
      };
      this.#record(pod);
      this.pods.push(pod);
    }
  }

  /** Pods and annotations fresh, consoles late or silent, PostgreSQL now or not at all. */
  look(honest: boolean): Look {
    const server = honest || this.chance(0.7);
    const cells = this.pods.flatMap((pod) => {
      const silent = !honest && this.chance(0.1);
      const canChange = !pod.terminating && !silent && (honest || this.chance(0.9));
      // Orphans are told from the difference of two views, which therefore have to be of one moment.
      const newest = pod.snapshots.length - 1;
      pod.shown = honest || (server && pod.restarted) ? newest : pod.shown + this.upTo(newest - pod.shown);
      const snapshot = pod.snapshots[pod.shown];
      const restarted = pod.restarted && (snapshot?.restarts === pod.restarts || this.chance(0.5));
      return this.databases.map((database): Cell => {
        const { inForce, seenByPooler, seenByServer, ...rest } = this.#truth(pod, database);
        const view = silent
          ? {}
          : {
              inForce: sizeOf(snapshot?.inForce, database) ?? inForce,
              seenByPooler: sizeOf(snapshot?.own, database) ?? seenByPooler,
            };
        return { ...rest, canChange, poolerRestarted: restarted, ...view, ...(server ? { seenByServer } : {}) };
      });
    });
    return { cells, resourceVersions: new Map(this.pods.map((pod) => [pod.name, pod.resourceVersion])), server };
  }

  #truth(pod: Pod, database: string): Cell {
    const floor = sizeOf(this.shape.floors, database) ?? 1;
    return {
      pod: pod.name,
      database,
      granted: sizeOf(pod.annotation?.sizes, database) ?? floor,
      inForce: sizeOf(this.#inForce(pod), database),
      seenByPooler: sizeOf(pod.own, database) ?? 0,
      seenByServer: (sizeOf(pod.own, database) ?? 0) + (sizeOf(pod.orphans, database) ?? 0),
      unsettled: sizeOf(pod.annotation?.unsettled, database),
      floor,
      canChange: !pod.terminating,
      poolerRestarted: pod.restarted,
    };
  }

  #inForce(pod: Pod): Sizes {
    return pod.files[pod.loaded] ?? this.shape.floors;
  }

  #terminate(pod: Pod): void {
    pod.terminating = true;
    pod.resourceVersion += 1;
  }

  #restart(pod: Pod): void {
    if (pod.restarted) return;
    pod.orphans = pod.own;
    pod.own = this.#each(() => 0);
    pod.loaded = -1;
    pod.restarts += 1;
    pod.restarted = true;
    this.#recover(pod);
    this.#record(pod);
  }

  #recover(pod: Pod): void {
    if (sumOf(pod.orphans) === 0 && pod.loaded === pod.files.length - 1) pod.restarted = false;
  }

  #remove(pod: Pod): void {
    const backends = sumOf(pod.own) + sumOf(pod.orphans);
    this.pods = this.pods.filter((candidate) => candidate !== pod);
    const charges = (sumOf(pod.orphans) > 0 ? 1 : 0) + (pod.dismissed ? 0 : 1);
    if (backends > 0) this.gone.push({ name: pod.name, backends, charges });
  }

  #backendsEnd(part: number): void {
    const end = (count: number): number => (part === 1 ? 0 : this.chance(part) ? 0 : this.upTo(count));
    for (const gone of this.gone) gone.backends = end(gone.backends);
    this.gone = this.gone.filter(({ backends }) => backends > 0);
    for (const pod of this.pods) {
      if (sumOf(pod.orphans) === 0) continue;
      pod.orphans = this.#each((database) => end(sizeOf(pod.orphans, database) ?? 0));
      this.#recover(pod);
    }
  }

  #record(pod: Pod): void {
    pod.snapshots.push({ inForce: this.#inForce(pod), own: pod.own, restarts: pod.restarts });
  }

  #each(size: (database: string) => number): Sizes {
    return Object.fromEntries(this.databases.map((database) => [database, size(database)]));
  }
}
