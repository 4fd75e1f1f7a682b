// What a fleet is declared as: at first, and after each operation that edits it; and the budget that follows.
import type { PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import type { Operation, Setup } from './history.ts';

export const NAMESPACE = 'shop';
export const POOL = 'orders';
export const APP_SECRETS = ['orders-app', 'orders-report'] as const;
export const MONITOR_SECRET = 'monitor';
export const HOST = 'db.shop.svc';

export const DATABASE_NAMES = ['orders', 'audit', 'catalog'] as const;

/** The specification that a history begins with. */
export function firstSpec(setup: Setup): PoolConfigSpec {
  return {
    server: {
      host: HOST,
      port: 5432,
      tls: { mode: 'disable' },
      ...(setup.monitor ? { monitorSecretRef: { name: MONITOR_SECRET } } : {}),
    },
    budget: { ...setup.budget, reserve: setup.reserve },
    databases: databases(setup.databases),
    auth: { users: APP_SECRETS.slice(0, setup.users).map((name) => ({ secretRef: { name } })) },
    workloads: [{ ref: { kind: 'Deployment', name: 'web' }, workers: 2, threads: 5 }],
    fleet: { replicas: setup.replicas, drain: { window: `${setup.drainWindowSeconds}s`, timeout: '20s' } },
  };
}

function databases(count: number): PoolConfigSpec['databases'] {
  return DATABASE_NAMES.slice(0, count).map((name, index) => ({ name, weight: index + 1 }));
}

/**
 * The specification after an operation that edits it; undefined for one that does something else. `most`: connections that a budget is raised to
 * at most.
 */
export function editedSpec(spec: PoolConfigSpec, operation: Operation, most = Infinity): PoolConfigSpec | undefined {
  switch (operation.kind) {
    case 'editParameter':
      return {
        ...spec,
        pooler: {
          ...spec.pooler,
          parameters: { ...spec.pooler?.parameters, server_idle_timeout: operation.seconds },
        },
      };
    case 'editDatabases':
      return { ...spec, databases: databases(operation.databases) };
    case 'scaleFleet':
      return { ...spec, fleet: { ...spec.fleet, replicas: operation.replicas } };
    case 'rollout': {
      const annotations = { 'example.com/rollout': String(operation.template) };
      return {
        ...spec,
        fleet: { ...spec.fleet, template: { ...spec.fleet?.template, metadata: { annotations } } },
      };
    }
    case 'lowerBudget':
    case 'raiseBudget':
      return { ...spec, budget: scaledBudget(spec.budget, operation.factor, most) };
    case 'scaleWorkload':
    case 'evictPod':
    case 'losePod':
    case 'loseNode':
    case 'killContainer':
    case 'secondLeader':
      return undefined;
  }
}

function scaledBudget(budget: PoolConfigSpec['budget'], factor: number, most: number): PoolConfigSpec['budget'] {
  const { connections, percent, reserve = 0 } = budget;
  if (connections !== undefined)
    return { connections: Math.min(most, Math.max(reserve + 1, Math.round(connections * factor))), reserve };
  return { percent: Math.min(100, Math.max(1, Math.round((percent ?? 50) * factor))), reserve };
}

/** Nobody but a monitor sees that a budget is more than the server has; then the last pods would never come in. Trial logins need two. */
export function mostDeclared({ monitor, maxConnections }: Setup): number {
  return monitor ? Infinity : maxConnections - 3 - 2;
}

/** B as PostgreSQL's limits and the declaration give it: reckoned here once more, apart from the program under test. */
export function budgetOf({ budget }: PoolConfigSpec, maxConnections: number, monitored: boolean): number {
  // superuser_reserved_connections of every PostgreSQL here.
  const usable = maxConnections - 3;
  const reserve = budget.reserve ?? 0;
  const declared = budget.connections ?? Math.floor((usable * (budget.percent ?? 0)) / 100);
  return (monitored ? Math.min(declared, usable) : declared) - reserve;
}
