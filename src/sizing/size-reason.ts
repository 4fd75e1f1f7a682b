// One sentence for each size, with every number it comes from, so that a reader can do the sum again.
import type { PoolMode } from '../model/pooler-model.ts';
import type { WorkloadDemand } from './demand.ts';

/** What kept a size from being larger: what was needed or fixed, the budget, or one connection per pod that must be. */
export type LimitedBy = 'demand' | 'budget' | 'fixed' | 'floor';

export type SizeFacts = {
  readonly poolMode: PoolMode;
  readonly clients: number;
  readonly duty: number;
  readonly offered: number;
  readonly staffed: number;
  readonly need: number;
  readonly fixed?: number | undefined;
  readonly users?: number | undefined;
  readonly weight: number;
  readonly totalWeight: number;
  readonly want: number;
  readonly size: number;
  readonly limitedBy: LimitedBy;
  /** The pods' parts follow their clients, which are uneven. */
  readonly uneven: boolean;
  /** Budget less what is set aside. */
  readonly shareable: number;
  readonly pods: number;
  /** The PoolConfig declares no workload at all. */
  readonly undeclared: boolean;
  readonly missing: readonly WorkloadDemand[];
};

/** The sentence for one database. */
export function explainSize(facts: SizeFacts): string {
  if (facts.pods === 0) return 'no pod is wanted';
  const parts = facts.undeclared
    ? [
        `no workloads declared: the whole budget of ${facts.shareable} by weight ${facts.weight} of ${facts.totalWeight}`,
      ]
    : [...demandOf(facts), ...raised(facts), fit(facts)];
  if (facts.uneven) parts.push('split over the pods by their clients, which are uneven');
  for (const workload of facts.missing) parts.push(`${workload.name} was not found and counts as 0 clients`);
  const perPod = Math.floor(facts.size / facts.pods);
  if (facts.users !== undefined && perPod < facts.users) {
    parts.push(`${facts.users} users share ${count(perPod, 'connection')} per pod and take them from each other`);
  }
  return parts.join('; ');
}

function demandOf(facts: SizeFacts): readonly string[] {
  if (facts.fixed !== undefined) return [`poolSize ${facts.fixed}`];
  if (facts.clients === 0) return ['no client uses it'];
  const clients = count(facts.clients, 'client');
  if (facts.poolMode === 'session') return [`${clients} in session mode hold a connection each → ${facts.need}`];
  const busy = decimal(facts.offered);
  const most = facts.need < facts.staffed ? `, no more than its ${clients}` : '';
  return [`${clients} × duty ${decimal(facts.duty)} = ${busy} busy`, `${busy} + 2√${busy} → ${facts.staffed}${most}`];
}

function raised(facts: SizeFacts): readonly string[] {
  return (facts.fixed ?? facts.need) < facts.pods ? [`raised to ${facts.pods}, one for each pod`] : [];
}

function fit(facts: SizeFacts): string {
  return facts.size < facts.want
    ? `the budget of ${facts.shareable} gives it ${facts.size} at weight ${facts.weight} of ${facts.totalWeight}`
    : `fits the budget of ${facts.shareable}`;
}

function decimal(value: number): string {
  return String(Number(value.toFixed(2)));
}

function count(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? '' : 's'}`;
}
