// Records one run: the load, the samples and the pods around whatever happens to a fleet, whosever fleet it is.
import { setTimeout as sleep } from 'node:timers/promises';
import { SUPERUSER, type ClusterPostgres } from '../support/cluster-postgres.ts';
import type { Address } from '../support/service.ts';
import { APP, DATABASE, MONITOR, type Stage } from '../support/stage.ts';
import { HALF_LEAST_MS } from './figures.ts';
import { operatorActions } from './operator-actions.ts';
import { PodWatch, type PodView } from './pod-watch.ts';
import { nowMs, type BudgetStep, type Mark, type Offered, type Recording } from './recording.ts';
import { Sampler } from './sampler.ts';
import { clientsOf, TokenLoad } from './token-load.ts';

const WARM_UP_MS = 3_000;
const BEFORE_MS = 8_000;
/** Shorter operations are looked at for this long, else their throughput would be chance. */
const DURING_LEAST_MS = 5_000;
const AFTER_MS = 2_000;

export type Run = Readonly<{
  name: string;
  what: string;
  planned: boolean;
  convergeLimitMs?: number;
  offered?: Offered;
  leastServed?: number;
  budget: number;
  seed: number;
  /** Where clients connect, and which pods are the fleet's. */
  address: Address;
  podSelector: string;
  /** Another server that the fleet may be brought to. */
  second?: ClusterPostgres | undefined;
}>;

/** What may be told and asked while it records. */
export class Recorder {
  readonly sampler: Sampler;
  readonly marks: Mark[] = [];
  readonly budget: BudgetStep[];
  /** Pods as they were before anything happened. */
  readonly former: ReadonlySet<string>;
  readonly #podWatch: PodWatch;

  constructor(sampler: Sampler, podWatch: PodWatch, budget: number) {
    this.sampler = sampler;
    this.#podWatch = podWatch;
    this.former = new Set(podWatch.pods.map(({ uid }) => uid));
    this.budget = [{ fromMs: 0, connections: budget }];
  }

  /** As last seen; Terminating ones too. */
  get pods(): readonly PodView[] {
    return this.#podWatch.pods;
  }

  mark(kind: Mark['kind'], text: string): void {
    this.marks.push({ atMs: nowMs(), kind, text });
  }

  /** From now on samples are held against this budget. */
  budgetIs(connections: number): void {
    this.budget.push({ fromMs: nowMs(), connections });
  }
}

/** Saturates the fleet, lets `happen` happen, checks every token. What `happen` throws is in the recording. */
export async function record(
  stage: Stage,
  run: Run,
  happen: (recorder: Recorder) => Promise<void>,
): Promise<Recording> {
  const { name: user, password } = APP;
  const { offered = 'all', budget, seed } = run;
  const servers = [stage.postgres, ...(run.second === undefined ? [] : [run.second])];
  const address = { ...run.address, database: DATABASE, user, password };
  await using sampler = await Sampler.start(await Promise.all(servers.map((server) => server.address())), [
    SUPERUSER.name,
    MONITOR.name,
  ]);
  await using podWatch = await PodWatch.start(stage.namespace, run.podSelector);
  await using load = await TokenLoad.start(address, { offered, budget, seed });
  await sleep(WARM_UP_MS);
  const since = new Date();
  const beforeMs = nowMs();
  await sleep(BEFORE_MS);
  const recorder = new Recorder(sampler, podWatch, run.budget);
  const operationMs = nowMs();
  const error = await happen(recorder).then(
    () => undefined,
    (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)),
  );
  const doneMs = nowMs();
  recorder.mark('note', error === undefined ? 'at rest' : 'given up');
  await sleep(Math.max(0, operationMs + (offered === 'half' ? HALF_LEAST_MS : DURING_LEAST_MS) - doneMs));
  await sleep(AFTER_MS);
  const endMs = nowMs();
  await load.stop();
  const { name, what, planned, convergeLimitMs, leastServed } = run;
  return {
    ...{ name, what, planned, convergeLimitMs, offered, leastServed, clients: clientsOf(budget), error },
    audit: await auditOn(servers, load),
    window: { beforeMs, operationMs, doneMs, endMs },
    budget: recorder.budget,
    pods: podWatch.lives,
    samples: sampler.samples,
    attempts: load.attempts,
    errors: load.errors,
    marks: recorder.marks,
    operatorActions: await operatorActions(since, stage.namespace),
  };
}

async function auditOn(servers: readonly ClusterPostgres[], load: TokenLoad): Promise<Recording['audit']> {
  const direct = await Promise.all(servers.map((server) => server.connect(DATABASE)));
  try {
    return await load.audit(direct);
  } finally {
    await Promise.all(direct.map((client) => client.end()));
  }
}
