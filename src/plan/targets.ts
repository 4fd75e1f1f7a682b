// How much each pod should have in the end: the fleet's sizes split over the pods that stay, floors for surge pods, clients' need for those that go.
import type { Sizes } from '../model/pooler-model.ts';
import { sizeFleet, type FleetSizes } from '../sizing/size-fleet.ts';
import { sizeOf, sumOf } from '../sizing/sizes.ts';
import type { Follow } from '../sizing/split-by-load.ts';
import type { SizingBasis } from './desired.ts';
import type { PodState } from './pod-state.ts';

export type Targets = {
  readonly fleet: FleetSizes;
  readonly perPod: ReadonlyMap<string, Sizes>;
  /** The sizes leave the floor of one more pod free. */
  readonly surgeKeptFree: boolean;
};

/** Pods that hold a share: those that stay, oldest first, at most as many as wanted. The rest of the staying ones are surge. */
export function shareHolders(states: readonly PodState[], replicas: number): readonly PodState[] {
  return states.filter((state) => state.phase === 'Serving' || state.phase === 'Starting').slice(0, replicas);
}

/**
 * `rolling`: a rollout adds one pod of its own beside those that the set-aside is for, so its floor is kept free too. Where the budget is too
 * tight for that, the rollout takes it from the set-aside. `bootFloors`: what pods boot with for now; where that is more than the new floors, the
 * set-aside is that much larger until boot.ini follows, and sizes that counted on it would leave no room for what has to be proved before.
 */
export function sizePods(
  basis: SizingBasis,
  states: readonly PodState[],
  rolling: boolean,
  bootFloors: Sizes = {},
  follow: Follow = 'end',
): Targets {
  const holders = shareHolders(states, basis.replicas);
  const size = (budget: number): FleetSizes =>
    sizeFleet({
      budget,
      wanted: basis.replicas,
      pods: holders.map((state) => ({
        name: state.pod.uid,
        sizes: state.pod.grant?.sizes,
        clients: clientsByDatabase(state),
      })),
      databases: basis.databases,
      demand: basis.demand,
      follow,
    });
  const whole = size(basis.budget);
  const floors = whole.feasible ? whole.floors : {};
  const held = basis.replicas * Math.max(0, sumOf(bootFloors) - sumOf(floors));
  const surge = rolling ? sumOf(floors) : 0;
  const fitting = [held + surge, held, 0]
    .map((kept) => ({ kept, fleet: kept === 0 ? whole : size(basis.budget - kept) }))
    .find((candidate) => candidate.fleet.feasible);
  const fleet = fitting?.fleet ?? whole;
  const surgeKeptFree = rolling && fitting?.kept === held + surge;
  const perPod = new Map<string, Sizes>();
  if (!fleet.feasible) return { fleet, perPod, surgeKeptFree };
  for (const state of states) {
    const share = fleet.perPod.get(state.pod.uid);
    perPod.set(
      state.pod.uid,
      share ?? (state.phase === 'Draining' ? neededByClients(state, fleet.floors) : fleet.floors),
    );
  }
  return { fleet, perPod, surgeKeptFree };
}

/** A pod that is still starting has none; undefined for one that should answer and does not. */
function clientsByDatabase({ phase, reading }: PodState): Readonly<Record<string, number>> | undefined {
  if (reading?.ok !== true) return phase === 'Starting' ? {} : undefined;
  const clients = new Map<string, number>();
  for (const { database, clientsActive, clientsWaiting } of reading.view.pools)
    clients.set(database, (clients.get(database) ?? 0) + clientsActive + clientsWaiting);
  return Object.fromEntries(clients);
}

/** A draining pod gives up its share in step with its clients: a server more than clients can never be busy, and it never grows again. */
function neededByClients(state: PodState, floors: Sizes): Sizes {
  const granted = state.pod.grant?.sizes ?? floors;
  const clients = clientsByDatabase(state);
  if (clients === undefined) return granted;
  return Object.fromEntries(
    Object.entries(granted).map(([database, size]) => [
      database,
      Math.max(1, Math.min(size, sizeOf(clients, database) ?? 0)),
    ]),
  );
}
