// Finds out how many connections the fleet may spend, from what is declared and what PostgreSQL allows.
import { REASONS } from '../../api/reasons.ts';
import type { Finding } from '../../model/finding.ts';
import type { Observation } from '../../model/observation.ts';
import type { ServerLimits } from '../../model/server-view.ts';
import { resolveBudget, type Budget } from '../../sizing/budget.ts';

export function readBudget(observation: Observation): {
  budget: Budget | undefined;
  findings: readonly Finding[];
} {
  const declared = observation.pool.spec.budget;
  const limits = knownLimits(observation);
  const result = resolveBudget({
    ...declared,
    reserve: declared.reserve ?? 0,
    ...(limits === undefined ? {} : { limits }),
  });
  if ('problem' in result) {
    return {
      budget: undefined,
      findings: [
        {
          condition: 'BudgetSatisfied',
          reason: result.problem,
          message: `spec.budget: ${result.message}. ${REASONS[result.problem].remedy}`,
          blocking: true,
        },
      ],
    };
  }
  const findings: Finding[] = [];
  if (result.source === 'server') {
    findings.push({
      condition: 'BudgetSatisfied',
      reason: 'ServerAllowsLess',
      message: `spec.budget declares ${result.declared} connections, but PostgreSQL leaves ${result.usable ?? 0} to ordinary roles; the fleet is sized to ${result.budget}. Raise max_connections or lower the budget.`,
      blocking: false,
    });
  }
  const usable = result.usable;
  const total = observation.neighbours.reduce((sum, neighbour) => sum + neighbour.connections, result.declared);
  if (usable !== undefined && observation.neighbours.length > 0 && total > usable) {
    const others = observation.neighbours.map((neighbour) => `${neighbour.key} (${neighbour.connections})`).join(', ');
    findings.push({
      condition: 'BudgetSatisfied',
      reason: 'ServerShared',
      message: `This PoolConfig (${result.declared}) and ${others} use the same server and together declare ${total} connections, more than the ${usable} it has for ordinary roles. Lower their budgets.`,
      blocking: false,
    });
  }
  return { budget: result, findings };
}

/** The server's limits as read now, else as last written to status: a server that is away must not change any size. */
function knownLimits(observation: Observation): ServerLimits | undefined {
  const server = observation.server;
  if (server?.reachable === true) return server.limits;
  if (observation.pool.spec.server.monitorSecretRef === undefined) return undefined;
  const last = observation.pool.status?.budget;
  if (last?.maxConnections === undefined || last.usable === undefined) return undefined;
  const superuserReserved = last.maxConnections - last.usable;
  return { versionNumber: 0, maxConnections: last.maxConnections, superuserReserved, reserved: 0 };
}
