// How many pods may be struck at once: only for so many is room set aside in the budget.
import { ANNOTATION } from '../../src/model/names.ts';
import { declaredReplicas, poolOf } from './fleet.ts';
import { isTerminating } from './kube/pods.ts';
import type { SimWorld } from './sim-world.ts';
import { podAddresses } from './truth.ts';

/** What is set aside covers every wanted pod once; nobody takes more of them before those have gone. */
export function bearableLosses(world: SimWorld): number {
  return Math.max(0, declaredReplicas(poolOf(world.api)) - uninvited(world));
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
