// Whether the disruption budgets let a pod go now, as the eviction subresource decides it.
import type { PodDisruptionBudget, ReplicaSet } from '../../../src/kube/resources.ts';
import { controllerUid, isFinished, isReady, isTerminating, asPod, type SimPod } from './pods.ts';
import { hasLabels } from './selectors.ts';
import type { SimApi, SimObject } from './sim-api.ts';

export function evictionAllowed(api: SimApi, pod: SimPod): boolean {
  if (isFinished(pod) || isTerminating(pod) || pod.status?.phase === 'Pending') return true;
  const budgets = api.list('PodDisruptionBudget') as readonly (SimObject & PodDisruptionBudget)[];
  return budgets.every((budget) => {
    if (!covers(budget, pod)) return true;
    if (!isReady(pod) && budget.spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
    return healthy(api, budget) > leastHealthy(api, budget);
  });
}

function covers({ metadata, spec }: SimObject & PodDisruptionBudget, pod: SimObject): boolean {
  const labels = (spec?.selector?.matchLabels ?? {}) as Readonly<Record<string, string>>;
  return metadata.namespace === pod.metadata.namespace && hasLabels(pod, labels);
}

function healthy(api: SimApi, budget: SimObject & PodDisruptionBudget): number {
  return api.list('Pod').filter((pod) => covers(budget, pod) && !isTerminating(pod) && isReady(asPod(pod))).length;
}

function leastHealthy(api: SimApi, budget: SimObject & PodDisruptionBudget): number {
  const { minAvailable, maxUnavailable } = budget.spec ?? {};
  if (minAvailable !== undefined) return Number(minAvailable);
  return Math.max(0, expected(api, budget) - Number(maxUnavailable ?? 0));
}

/** The pods that there should be: the sum over the controllers of the pods that the budget covers. */
function expected(api: SimApi, budget: SimObject & PodDisruptionBudget): number {
  const covered = api.list('Pod').filter((pod) => covers(budget, pod));
  const owners = new Set(covered.map(controllerUid));
  const sets = (api.list('ReplicaSet') as readonly (SimObject & ReplicaSet)[]).filter((set) =>
    owners.has(set.metadata.uid),
  );
  return sets.reduce((sum, set) => sum + (set.spec?.replicas ?? 1), 0);
}
