// How many database clients a workload can have busy at once: (replicas + surge) × workers × threads.
import { resolveCount } from './concurrency.ts';
import type { Count, PodTemplateFacts } from './concurrency.ts';

/** What the PoolConfig says of one user of the databases: a workload of this cluster, or a client outside it. */
export type WorkloadWish =
  | {
      readonly ref: { readonly kind: 'Deployment' | 'StatefulSet'; readonly name: string };
      readonly databases?: readonly string[] | undefined;
      /** One process where left out. */
      readonly workers?: Count | undefined;
      readonly threads: Count;
    }
  | { readonly name: string; readonly clients: number; readonly databases?: readonly string[] | undefined };

/** What the cluster says of a workload. `maxSurge` is as written: pods, or a percentage such as "25%". */
export type WorkloadFacts = {
  readonly kind: 'Deployment' | 'StatefulSet';
  readonly specReplicas: number;
  readonly statusReplicas: number;
  readonly maxSurge: number | string;
  readonly recreate: boolean;
  readonly template: PodTemplateFacts;
};

/** `clients` = (replicas + surge) × workers × threads, always; a client outside the cluster counts as one replica with one worker. */
export type WorkloadDemand = {
  /** "Deployment/web", or the client's own name. */
  readonly name: string;
  readonly databases: readonly string[];
  readonly replicas: number;
  readonly surge: number;
  readonly workers: number;
  readonly threads: number;
  readonly clients: number;
  readonly notes: readonly string[];
  /** The workload does not exist (yet): it counts as no client. */
  readonly missing?: true;
};

/** Far beyond any real fleet, and small enough that sums of it stay exact. */
const CLIENTS_LIMIT = 1_000_000_000;

/** Clients of one workload. `facts` is undefined for a workload that does not exist; `declared` are all databases of the PoolConfig. */
export function workloadDemand(
  wish: WorkloadWish,
  facts: WorkloadFacts | undefined,
  declared: readonly string[],
): WorkloadDemand {
  const { databases, notes } = usedDatabases(wish.databases, declared);
  if ('clients' in wish) {
    const clients = Math.min(CLIENTS_LIMIT, Math.max(0, wish.clients));
    return { name: wish.name, databases, replicas: 1, surge: 0, workers: 1, threads: clients, clients, notes };
  }
  const name = `${wish.ref.kind}/${wish.ref.name}`;
  if (facts === undefined) {
    const note = `${name} was not found and counts as 0 clients`;
    const nothing = { replicas: 0, surge: 0, workers: 0, threads: 0, clients: 0 };
    return { name, databases, ...nothing, notes: [...notes, note], missing: true };
  }
  const workers = resolveCount(wish.workers ?? { integer: 1 }, facts.template, 'workers');
  const threads = resolveCount(wish.threads, facts.template, 'threads');
  const surge = surgePods(facts);
  // In a rollout status counts the surge pods too. Taking them off keeps a rollout of the application from moving any grant,
  // while a workload on its way down still counts every pod it has.
  const replicas = Math.max(0, facts.specReplicas, facts.statusReplicas - surge.pods);
  const product = (replicas + surge.pods) * workers.value * threads.value;
  const all = [...notes, surge.note, workers.note, threads.note].filter((note) => note !== undefined);
  if (product > CLIENTS_LIMIT) all.push(`clients bounded to ${CLIENTS_LIMIT}`);
  return {
    name,
    databases,
    replicas,
    surge: surge.pods,
    workers: workers.value,
    threads: threads.value,
    clients: Math.min(CLIENTS_LIMIT, product),
    notes: all,
  };
}

/** Clients that may use each database: the sum over the workloads that name it. */
export function clientsPerDatabase(demand: readonly WorkloadDemand[]): ReadonlyMap<string, number> {
  const clients = new Map<string, number>();
  for (const workload of demand) {
    for (const database of workload.databases) {
      clients.set(database, (clients.get(database) ?? 0) + workload.clients);
    }
  }
  return clients;
}

/** Pods that a rollout adds; Kubernetes rounds a percentage of the wanted replicas up. */
function surgePods(facts: WorkloadFacts): { readonly pods: number; readonly note?: string } {
  if (facts.kind === 'StatefulSet' || facts.recreate) return { pods: 0 };
  if (typeof facts.maxSurge === 'number') return { pods: Math.max(0, Math.trunc(facts.maxSurge)) };
  const percent = /^([0-9]{1,4})%$/.exec(facts.maxSurge)?.[1];
  const scaled = (part: number): number => Math.ceil((Math.max(0, facts.specReplicas) * part) / 100);
  if (percent === undefined) return { pods: scaled(25), note: `maxSurge is not readable: taken as 25%` };
  return { pods: scaled(Number(percent)) };
}

function usedDatabases(
  named: readonly string[] | undefined,
  declared: readonly string[],
): { readonly databases: readonly string[]; readonly notes: readonly string[] } {
  if (named === undefined) return { databases: [...declared], notes: [] };
  const unique = [...new Set(named)];
  const notes = unique.filter((name) => !declared.includes(name)).map((name) => `there is no database ${name}`);
  return { databases: unique.filter((name) => declared.includes(name)), notes };
}
