// The sizes of a whole fleet: what each database needs, its fair share of the budget, and each pod's part of that.
import type { PoolMode, Sizes } from '../model/pooler-model.ts';
import { clientsPerDatabase } from './demand.ts';
import type { WorkloadDemand } from './demand.ts';
import { fairShare } from './fair-share.ts';
import type { Member } from './fair-share.ts';
import { DEFAULT_DUTY, needOf } from './need.ts';
import type { Need } from './need.ts';
import { explainSize } from './size-reason.ts';
import type { LimitedBy } from './size-reason.ts';
import { sizeOf } from './sizes.ts';
import { splitByLoad, type Follow, type LoadedHolder, type LoadSplit } from './split-by-load.ts';

export type DatabaseWish = {
  readonly name: string;
  readonly weight: number;
  readonly poolMode: PoolMode;
  /** Total over the fleet, instead of what the workloads need. */
  readonly fixed?: number | undefined;
  /** How many users log in to it; with fewer connections per pod than users they fight over servers. */
  readonly users?: number | undefined;
};

export type FleetPod = {
  readonly name: string;
  readonly sizes?: Sizes | undefined;
  /** By database; undefined for a pod that can't be asked. */
  readonly clients?: Readonly<Record<string, number>> | undefined;
};

export type FleetInput = {
  /** B: connections that the whole fleet may hold. */
  readonly budget: number;
  /** Those of the wanted pods that exist, with the sizes now granted; pods still to come get their part kept free. */
  readonly pods: readonly FleetPod[];
  /** N: pods wanted. */
  readonly wanted: number;
  readonly databases: readonly DatabaseWish[];
  readonly demand: readonly WorkloadDemand[];
  readonly duty?: number | undefined;
  /** Whether a pod's part may follow its clients; `end` where it is left out. */
  readonly follow?: Follow | undefined;
};

/** One database's size and every number it comes from; counts are connections over the whole fleet. */
export type SizedDatabase = {
  readonly name: string;
  /** K: clients that may be busy at once. */
  readonly clients: number;
  /** a: servers busy on average. */
  readonly offered: number;
  readonly need: number;
  readonly want: number;
  /** T: what it gets. */
  readonly size: number;
  readonly limitedBy: LimitedBy;
  readonly reason: string;
};

export type FleetSizes =
  | {
      readonly feasible: true;
      /** F: connections kept free for pods that may exist beyond the wanted ones, each at the floors. */
      readonly setAside: number;
      /** Sizes of a pod that boots without being told more. */
      readonly floors: Sizes;
      readonly databases: readonly SizedDatabase[];
      readonly perPod: ReadonlyMap<string, Sizes>;
      /** Sizes of some database follow the clients of each pod. */
      readonly uneven: boolean;
      readonly unassigned: number;
    }
  | { readonly feasible: false; readonly needed: number; readonly budget: number; readonly message: string };

/** A pod that boots unattended serves with this part of a usual pod's size. */
const FLOOR_PART = 8;

type Claim = DatabaseWish & Need & { readonly clients: number; readonly want: number };

/**
 * Sizes for every database and pod: Σ over pods + set aside ≤ budget, each size ≥ its floor ≥ 1. A closed procedure of two rounds,
 * whatever is granted now, so it cannot oscillate: the shares at floors of 1 give the floors (an eighth of a pod's share), and the
 * shares within what those floors leave are the answer. The second round always fits when the first does: a floor above 1 is at most an
 * eighth of a share that was affordable. What is granted now only decides which pods carry the remainders.
 */
export function sizeFleet(input: FleetInput): FleetSizes {
  const { budget, databases } = input;
  const pods = Math.max(input.wanted, input.pods.length);
  const lowest = new Map(databases.map(({ name }) => [name, 1]));
  const claims = claimsOf(input, pods, budget - pods * databases.length);

  const first = share(budget, pods, claims, lowest);
  if (first === undefined) return infeasible(budget, pods, databases.length);
  const floors = new Map(
    claims.map(({ name }) => [
      name,
      Math.max(1, Math.floor((first.get(name) ?? 0) / (FLOOR_PART * Math.max(1, pods)))),
    ]),
  );
  const shares = share(budget, pods, claims, floors);
  if (shares === undefined) throw new Error('floors of an eighth of affordable shares must be affordable');

  const setAside = pods * total(floors);
  const splits = splitOverPods(input, pods, shares, floors);
  return {
    feasible: true,
    setAside,
    floors: Object.fromEntries(floors),
    databases: claims.map((claim) => {
      const uneven = splits.get(claim.name)?.uneven === true;
      return sized(claim, { size: shares.get(claim.name) ?? 0, uneven, shareable: budget - setAside, pods }, input);
    }),
    perPod: new Map(
      input.pods.map((pod) => [
        pod.name,
        Object.fromEntries([...splits].map(([database, { sizes }]) => [database, sizes.get(pod.name) ?? 0])),
      ]),
    ),
    uneven: [...splits.values()].some(({ uneven }) => uneven),
    unassigned: budget - setAside - total(shares),
  };
}

function claimsOf(input: FleetInput, pods: number, shareable: number): readonly Claim[] {
  const clients = clientsPerDatabase(input.demand);
  return input.databases.map((wish) => {
    const count = clients.get(wish.name) ?? 0;
    const need = needOf(count, input.duty ?? DEFAULT_DUTY, wish.poolMode);
    const wanted = wish.fixed ?? (input.demand.length === 0 ? shareable : need.need);
    return { ...wish, ...need, clients: count, want: pods === 0 ? 0 : Math.max(pods, wanted) };
  });
}

/** Shares of the budget after as many floors are set aside as pods are wanted; undefined where not even the floors fit. */
function share(
  budget: number,
  pods: number,
  claims: readonly Claim[],
  floors: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> | undefined {
  const members = claims.map(({ name, weight, want }): Member => ({
    name,
    weight,
    want,
    floor: pods * (floors.get(name) ?? 1),
  }));
  const result = fairShare(budget - pods * total(floors), members);
  return result.feasible ? result.shares : undefined;
}

/** By database. */
function splitOverPods(
  input: FleetInput,
  pods: number,
  shares: ReadonlyMap<string, number>,
  floors: ReadonlyMap<string, number>,
): ReadonlyMap<string, LoadSplit> {
  // Pods still to come take part in the split under names that sort behind every real one.
  const coming = Array.from({ length: pods - input.pods.length }, (_, index): LoadedHolder => ({
    name: `\uffff${index}`,
    clients: 0,
  }));
  return new Map(
    input.databases.map(({ name }, index) => {
      const holders = input.pods.map(({ name: pod, sizes, clients }): LoadedHolder => ({
        name: pod,
        now: sizeOf(sizes, name),
        clients: clients === undefined ? undefined : (sizeOf(clients, name) ?? 0),
      }));
      return [
        name,
        splitByLoad(shares.get(name) ?? 0, [...holders, ...coming], {
          floor: floors.get(name) ?? 1,
          follow: input.follow ?? 'end',
          rotation: index,
        }),
      ];
    }),
  );
}

type Split = {
  readonly size: number;
  readonly uneven: boolean;
  readonly shareable: number;
  readonly pods: number;
};

function sized(claim: Claim, { size, uneven, shareable, pods }: Split, input: FleetInput): SizedDatabase {
  const { name, clients, offered, need } = claim;
  const undeclared = input.demand.length === 0 && claim.fixed === undefined;
  const want = undeclared ? Math.max(size, pods === 0 ? 0 : shareable) : claim.want;
  const limitedBy = limit(claim, size, pods, undeclared);
  const reason = explainSize({
    ...claim,
    want,
    size,
    limitedBy,
    uneven,
    shareable,
    pods,
    undeclared,
    duty: input.duty ?? DEFAULT_DUTY,
    totalWeight: input.databases.reduce((sum, { weight }) => sum + weight, 0),
    missing: input.demand.filter((workload) => workload.missing === true && workload.databases.includes(name)),
  });
  return { name, clients, offered, need, want, size, limitedBy, reason };
}

function limit(claim: Claim, size: number, pods: number, undeclared: boolean): LimitedBy {
  if (pods > 0 && (undeclared || size < claim.want)) return 'budget';
  if ((claim.fixed ?? claim.need) < pods) return 'floor';
  return claim.fixed === undefined ? 'demand' : 'fixed';
}

/** The smallest budget for so many pods: a connection of each for every database, and as many set aside. */
export function leastBudget(pods: number, databases: number): number {
  return 2 * pods * databases;
}

function infeasible(budget: number, pods: number, databases: number): FleetSizes {
  const needed = leastBudget(pods, databases);
  const message =
    `${pods} pods × ${databases} databases need ${needed} connections ` +
    `(one each, and as many set aside for replacement pods), but the budget is ${budget}`;
  return { feasible: false, needed, budget, message };
}

function total(sizes: ReadonlyMap<string, number>): number {
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
