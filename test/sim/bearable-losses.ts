// How many pods may be struck at once: only for so many is room set aside in the budget.
import { ANNOTATION } from '../../src/model/names.ts';
import { leastBudget } from '../../src/sizing/size-fleet.ts';
import { sumOf } from '../../src/sizing/sizes.ts';
import { declaredReplicas, podsOf, poolOf, replicaSetsOf } from './fleet.ts';
import { isTerminating } from './kube/pods.ts';
import type { SimApi } from './kube/sim-api.ts';
import type { SimWorld } from './sim-world.ts';
import { bootSizes, podAddresses, provedRecord } from './truth.ts';

/** What is set aside covers every wanted pod once; nobody takes more of them before those have gone. */
export function bearableLosses(world: SimWorld, budget: number): number {
  const { api } = world;
  const replicas = wantedReplicas(api, budget);
  const surplus = podsOf(api).filter((pod) => !isTerminating(pod)).length - replicas;
  const surge = isTight(world, budget) ? Math.max(0, surplus) : 0;
  return Math.max(0, replicas - surge - uninvited(world));
}

/**
 * A declaration that the budget is too small for changes nothing: what was proved last goes on. Nor does one that nobody has carried out yet: for
 * pods that were never made nothing is set aside.
 */
function wantedReplicas(api: SimApi, budget: number): number {
  const { spec } = poolOf(api);
  const declared = declaredReplicas({ spec });
  const feasible = budget >= leastBudget(declared, spec.databases.length);
  const kept = replicaSetsOf(api).reduce(
    (sum, set) => sum + ((set['spec'] as { replicas?: number } | undefined)?.replicas ?? 0),
    0,
  );
  return Math.min(feasible ? declared : (provedRecord(api)?.basis.replicas ?? declared), kept);
}

/** No floor can be kept free for the pod that a rollout adds, so it takes one that was set aside for a loss (ADR 9). */
function isTight({ api }: SimWorld, budget: number): boolean {
  const floors = bootSizes(api);
  const { spec } = poolOf(api);
  return budget - sumOf(floors) < leastBudget(declaredReplicas({ spec }), spec.databases.length);
}

/** Pods that are on their way out though the operator did not ask for it, and what is left of those that are gone. */
function uninvited({ api, kubelet, plane, evicted }: SimWorld): number {
  const pods = api.list('Pod');
  const leaving = pods.filter(
    (pod) =>
      isTerminating(pod) &&
      (evicted.has(pod.metadata.name) || pod.metadata.annotations?.[ANNOTATION.drain] === undefined),
  );
  const owned = podAddresses(api);
  const uids = new Set(pods.map(({ metadata }) => metadata.uid));
  const ghosts = kubelet.running().filter(({ uid }) => !uids.has(uid));
  const remains = new Set(
    plane
      .serversInForce()
      .map(({ address }) => address)
      .filter((address) => !owned.has(address) && plane.podAt(address) !== address),
  );
  return leaving.length + Math.max(ghosts.length, remains.size);
}
