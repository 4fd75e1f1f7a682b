// Finds out how many connections the fleet may spend, from what is declared, what PostgreSQL allows and what others hold of it.
import { databasesOf, wantedReplicas } from '../../api/poolconfig.ts';
import { REASONS } from '../../api/reasons.ts';
import type { Finding } from '../../model/finding.ts';
import type { Observation } from '../../model/observation.ts';
import type { ServerLimits } from '../../model/server-view.ts';
import { marginOf, resolveBudget, usableConnections, type Budget } from '../../sizing/budget.ts';
import { leastBudget } from '../../sizing/size-fleet.ts';
import { describeOthers, othersMark, type OthersMark } from '../others.ts';

export type BudgetReading = {
  readonly budget: Budget | undefined;
  /** Undefined while others are too few to matter. */
  readonly others: OthersMark | undefined;
  readonly findings: readonly Finding[];
};

export function readBudget(observation: Observation): BudgetReading {
  const { pool } = observation;
  const declared = pool.spec.budget;
  const limits = knownLimits(observation);
  const usable = limits === undefined ? 0 : usableConnections(limits);
  const monitors = monitorCount(observation);
  const mark = limits === undefined ? undefined : othersMark(observation, marginOf(usable));
  const result = resolveBudget({
    ...declared,
    reserve: declared.reserve ?? 0,
    ...(limits === undefined ? {} : { limits, monitors }),
    othersInUse: mark?.high ?? 0,
    least: leastBudget(wantedReplicas(pool), databasesOf(pool).length),
  });
  if ('problem' in result) {
    return {
      budget: undefined,
      others: undefined,
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
  const sums = { result, mark, monitors, neighbours: observation.neighbours };
  const matters = mark !== undefined && declaredTogether(sums) + monitors + mark.high + marginOf(usable) > usable;
  const findings = [allowsLess(sums), shared(sums), crowded(sums)].filter((finding) => finding !== undefined);
  return { budget: result, others: matters ? mark : undefined, findings };
}

type Sums = {
  readonly result: Budget;
  readonly mark: OthersMark | undefined;
  readonly monitors: number;
  readonly neighbours: Observation['neighbours'];
};

function warning(reason: Finding['reason'], message: string): Finding {
  return { condition: 'BudgetSatisfied', reason, message, blocking: false };
}

function allowsLess({ result, mark, monitors }: Sums): Finding | undefined {
  const { declared, reserve, budget, usable = 0, source } = result;
  if (source !== 'server') return undefined;
  return warning(
    'ServerAllowsLess',
    `spec.budget declares ${declared} connections, but PostgreSQL leaves ${usable} to ordinary roles${holders(mark, monitors)}; the fleet is sized to ${budget}${reserve === 0 ? '' : `, with a reserve of ${reserve}`}. Raise max_connections or lower the budget${mark === undefined ? '' : ', or have the others use fewer'}.`,
  );
}

function shared(sums: Sums): Finding | undefined {
  const { result, mark, monitors, neighbours } = sums;
  const { declared, usable } = result;
  const total = declaredTogether(sums);
  if (usable === undefined || neighbours.length === 0 || total + monitors + (mark?.high ?? 0) <= usable)
    return undefined;
  const names = neighbours.map((neighbour) => `${neighbour.key} (${neighbour.connections})`).join(', ');
  return warning(
    'ServerShared',
    `This PoolConfig (${declared}) and ${names} use the same server and together declare ${total} connections; for ordinary roles it has ${usable}${holders(mark, monitors)}. Lower their budgets.`,
  );
}

function crowded({ result, mark, monitors }: Sums): Finding | undefined {
  const { budget, usable, spare } = result;
  if (usable === undefined || spare === undefined || spare >= marginOf(usable)) return undefined;
  const free = spare > 0 ? `leaves ${spare} of them free` : 'leaves none of them free';
  return warning(
    'ServerCrowded',
    `PostgreSQL has ${usable} connections for ordinary roles${holders(mark, monitors)}; the fleet's budget of ${budget} ${free}, and fewer than ${marginOf(usable)} free ones may refuse a login. Raise max_connections or lower the budget.`,
  );
}

function holders(mark: OthersMark | undefined, monitors: number): string {
  const parts = [
    ...(mark === undefined ? [] : [`others have held up to ${describeOthers(mark)} of them in the last hours`]),
    ...(monitors === 0 ? [] : [`the operator's monitor holds ${monitors}`]),
  ];
  return parts.length === 0 ? '' : ` (${parts.join('; ')})`;
}

function declaredTogether({ result, neighbours }: Pick<Sums, 'result' | 'neighbours'>): number {
  return neighbours.reduce((sum, neighbour) => sum + neighbour.connections, result.declared);
}

/** The operator keeps a connection for each PoolConfig that names a monitor role. */
function monitorCount({ pool, neighbours }: Observation): number {
  const own = pool.spec.server.monitorSecretRef === undefined ? 0 : 1;
  return neighbours.filter((neighbour) => neighbour.monitored === true).length + own;
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
