// Counts the clients of every declared workload; a missing one is told, and the others still count.
import { workloadWish } from '../../api/poolconfig.ts';
import type { Finding } from '../../model/finding.ts';
import type { Observation } from '../../model/observation.ts';
import { workloadDemand, type WorkloadDemand } from '../../sizing/demand.ts';

export function readDemand(observation: Observation): {
  demand: readonly WorkloadDemand[];
  findings: readonly Finding[];
} {
  const all = observation.pool.spec.databases.map((database) => database.name);
  const wishes = (observation.pool.spec.workloads ?? []).map(workloadWish).filter((wish) => wish !== undefined);
  const demand = wishes.map((wish) =>
    workloadDemand(
      wish,
      'ref' in wish ? observation.workloads.get(`${wish.ref.kind}/${wish.ref.name}`) : undefined,
      all,
    ),
  );
  const missing = demand.filter((workload) => workload.missing === true).map((workload) => workload.name);
  if (missing.length === 0) return { demand, findings: [] };
  return {
    demand,
    findings: [
      {
        condition: 'BudgetSatisfied',
        reason: 'WorkloadMissing',
        message: `spec.workloads: ${missing.join(', ')} not found in this namespace; sized without. Create it, or correct the name.`,
        blocking: false,
      },
    ],
  };
}
