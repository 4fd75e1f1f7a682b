// Every size in force as numbers and sentences, from status alone: what `poolsmith explain` prints.
import type { PoolConfig } from '../api/poolconfig.gen.ts';
import { describeOthers } from './others.ts';

export function explainPool(pool: PoolConfig): string {
  const { status } = pool;
  const head = `PoolConfig ${pool.metadata.namespace}/${pool.metadata.name}, generation ${pool.metadata.generation}`;
  if (status === undefined) return `${head}\n  The operator has not looked at it yet.\n`;
  const behind =
    status.observedGeneration === pool.metadata.generation
      ? ''
      : ` (status is of generation ${status.observedGeneration ?? 0})`;
  return `${[
    head + behind,
    ...section(
      'Conditions',
      (status.conditions ?? []).map(
        (condition) =>
          `${condition.type.padEnd(16)} ${condition.status.padEnd(7)} ${condition.reason}: ${condition.message}`,
      ),
    ),
    ...section('Budget', budgetLines(status)),
    ...section('Demand', demandLines(status)),
    ...section(
      'Sizes',
      (status.databases ?? []).map(
        (database) => `${database.name}: ${database.size ?? 0} server connections. ${database.reason ?? ''}`,
      ),
    ),
    ...section('Pods', podLines(status)),
    ...(status.refused === undefined
      ? []
      : section('Refused', [
          `${status.refused.setting ?? ''}: ${status.refused.message ?? ''} (configuration ${status.refused.configHash ?? ''}, ${status.refused.at ?? ''})`,
        ])),
  ].join('\n')}\n`;
}

type Status = NonNullable<PoolConfig['status']>;

const SOURCE = {
  declared: 'as declared',
  percent: 'a percentage of what the server has',
  server: 'less than declared, because the server allows no more',
} as const;

function budgetLines({ budget }: Status): readonly string[] {
  if (budget === undefined) return ['not worked out yet'];
  const source = budget.source === undefined ? '' : `, ${SOURCE[budget.source]}`;
  const lines = [
    `${budget.declared ?? 0} declared − ${budget.reserve ?? 0} reserve = ${budget.budget ?? 0} connections for the fleet${source}`,
  ];
  if (budget.maxConnections !== undefined)
    lines.push(`max_connections ${budget.maxConnections}, of which ${budget.usable ?? 0} for ordinary roles`);
  if (budget.setAside !== undefined)
    lines.push(`${budget.setAside} of them kept free: what replacement and surge pods take when they boot`);
  const { others } = budget;
  if (others !== undefined) {
    const detail = (others.by ?? []).map(({ user, connections }) => ({ user, connections }));
    lines.push(`others have held up to ${describeOthers({ high: others.high, detail })} of the server's connections`);
  }
  return lines;
}

function demandLines({ demand }: Status): readonly string[] {
  if (demand === undefined || demand.length === 0) return ['no workloads declared'];
  return demand.flatMap((workload) => [
    `${workload.name}: (${workload.replicas ?? 0} replicas + ${workload.surge ?? 0} surge) × ${workload.workers ?? 0} workers × ${workload.threads ?? 0} threads = ${workload.clients ?? 0} clients of ${(workload.databases ?? []).join(', ')}`,
    ...(workload.notes ?? []).map((note) => `  note: ${note}`),
  ]);
}

function podLines({ pods }: Status): readonly string[] {
  return (pods ?? []).map((pod) => {
    const sizes = (pod.sizes ?? []).map((cell) => `${cell.database}=${cell.size}`).join(' ');
    const proof = pod.configHash === undefined ? 'not proved' : `proved to run configuration ${pod.configHash}`;
    const orphans = pod.orphans === undefined ? '' : `, ${pod.orphans} backends that its pooler no longer has`;
    return `${pod.name} ${pod.state ?? ''} ${sizes === '' ? 'no grant yet' : sizes}, ${proof}${orphans}`;
  });
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${line}`)];
}
