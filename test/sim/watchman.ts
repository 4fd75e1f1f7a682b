// Looks at the whole simulated world after every step and at every write: the promises that no history may break.
import { decodeGrant, type Grant } from '../../src/model/grant.ts';
import { ANNOTATION } from '../../src/model/names.ts';
import type { Sizes } from '../../src/model/pooler-model.ts';
import { sumOf } from '../../src/sizing/sizes.ts';
import type { LiveObject } from '../../src/kube/resources.ts';

export type PoolerTruth = { readonly inForce: Sizes; readonly loaded: string | undefined; readonly held: Sizes };

/** What is really so, whatever anybody has read or written of it. */
export type Truth = {
  /** Connections that PostgreSQL has from poolers of the fleet, logins and orphans included. */
  readonly realBackends: () => number;
  /** What a pod's running PgBouncer allows now, the hash of the file it loaded, and what it really holds; undefined where none runs. */
  readonly pooler: (podUid: string) => PoolerTruth | undefined;
  /** Connections that outlived the pooler that opened them, and what poolers hold whose pods are gone. */
  readonly unowned: () => number;
  /** As `unowned`, and what the processes without a pod may still open. */
  readonly unownedAtMost: () => number;
  readonly pods: () => readonly LiveObject[];
  /** Pods that are declared. */
  readonly replicas: () => number;
  /** What a pod takes by itself when it starts now. */
  readonly bootSizes: () => Sizes;
};

/** Something that must never be; the message names numbers. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

type Goal = { readonly budget: number; readonly generation: number };

export class Watchman {
  readonly #truth: Truth;
  /** Connections that the fleet may have now; a lowered budget counts once it could be reached. */
  #allowed: number;
  #goal: Goal;
  #checks = 0;
  #most = 0;

  constructor(truth: Truth, budget: number) {
    this.#truth = truth;
    this.#allowed = budget;
    this.#goal = { budget, generation: 1 };
  }

  /** How often the promises were looked at. */
  get checks(): number {
    return this.#checks;
  }

  /** Most connections that PostgreSQL had at once, in parts of what was allowed then. */
  get peakShare(): number {
    return this.#most;
  }

  get allowed(): number {
    return this.#allowed;
  }

  /** A new budget is declared. Higher ones hold at once, lower ones as soon as the fleet has given back what it held. */
  declare(budget: number, generation: number): void {
    this.#goal = { budget, generation };
    if (budget > this.#allowed) this.#allowed = budget;
  }

  /** After every step of the world. `told`: the generation that status speaks of, undefined while that is blocked. */
  check(told: number | undefined): void {
    this.#checks += 1;
    const real = this.#truth.realBackends();
    if (real > this.#allowed) {
      throw new Violation(
        `${real} connections at PostgreSQL, ${this.#allowed} are allowed (${this.#truth.unowned()} of them without a pod)`,
      );
    }
    this.#most = Math.max(this.#most, real / this.#allowed);
    if (this.#goal.budget >= this.#allowed || told !== this.#goal.generation) return;
    // Until the floors of pods that others may take away are free again, one of those can still bring it above the lower budget.
    const setAside = this.#truth.replicas() * sumOf(this.#truth.bootSizes());
    if (this.potential() + setAside <= this.#goal.budget) this.#allowed = this.#goal.budget;
  }

  /** At every accepted write of a pod. `epoch`: of the operator that wrote it; undefined for the world's own. */
  checkGrant(
    former: LiveObject | undefined,
    now: LiveObject,
    epoch: number | undefined,
    seen: number | undefined,
  ): void {
    const before = grantOf(former);
    const after = grantOf(now);
    if (epoch === undefined || after === undefined) return;
    this.#checks += 1;
    const { name } = now.metadata;
    const tooSmall = Object.entries(after.sizes).find(([, size]) => !Number.isInteger(size) || size < 1);
    if (tooSmall !== undefined) throw new Violation(`${name} was granted ${tooSmall[0]}=${tooSmall[1]}`);
    if (before !== undefined && before.epoch > epoch) {
      throw new Violation(`${name} carries epoch ${before.epoch}, and a leader of epoch ${epoch} could still write it`);
    }
    const unasked = before === undefined ? this.#truth.bootSizes() : {};
    if (!grows(before, after, largest([unasked, this.#truth.pooler(now.metadata.uid)?.inForce ?? {}]))) return;
    const potential = this.potential();
    if (potential > this.#allowed) {
      throw new Violation(
        `${name} grew to ${JSON.stringify(after.sizes)} while ${potential} connections may be held and ${this.#allowed} are allowed`,
      );
    }
    if (seen === this.#goal.generation && potential > this.#goal.budget) {
      throw new Violation(
        `${name} grew while ${potential} connections are above the new budget of ${this.#goal.budget}`,
      );
    }
  }

  /** Connections that may be held without anybody's further consent: whatever is granted, was granted, or is in force, and what is left of the dead. */
  potential(): number {
    return this.#truth.pods().reduce((sum, pod) => {
      const grant = grantOf(pod);
      const pooler = this.#truth.pooler(pod.metadata.uid);
      return (
        sum +
        sumOf(largest([grant?.sizes ?? {}, formerSizes(grant, pooler), pooler?.inForce ?? {}, pooler?.held ?? {}]))
      );
    }, this.#truth.unownedAtMost());
  }
}

/** Sizes of earlier files that may still come in force: none where the newest one is loaded, and none of a database that a later one removed. */
function formerSizes(grant: Grant | undefined, pooler: PoolerTruth | undefined): Sizes {
  const unsettled = grant?.unsettled ?? {};
  if (pooler === undefined) return unsettled;
  if (pooler.loaded === grant?.ini) return {};
  const known = Object.entries(unsettled).filter(
    ([name]) => grant?.sizes[name] !== undefined || name in pooler.inForce,
  );
  return Object.fromEntries(known);
}

function largest(all: readonly Sizes[]): Sizes {
  const most: Record<string, number> = {};
  for (const sizes of all)
    for (const [name, size] of Object.entries(sizes)) most[name] = Math.max(most[name] ?? 0, size);
  return most;
}

function grantOf(pod: LiveObject | undefined): Grant | undefined {
  return decodeGrant(pod?.metadata.annotations?.[ANNOTATION.grant]);
}

/** What a pod has taken by itself at its boot is no growth when it is written down. */
function grows(before: Grant | undefined, after: Grant, inForce: Sizes): boolean {
  return Object.entries(after.sizes).some(
    ([name, size]) => size > Math.max(before?.sizes[name] ?? 0, before?.unsettled?.[name] ?? 0, inForce[name] ?? 0),
  );
}
