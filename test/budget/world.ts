// What a scenario acts on: a fleet under load on a PostgreSQL of its own, and the recorder of what happens to it.
import { CONTAINER } from '../../src/model/names.ts';
import { until } from '../cluster/processes.ts';
import { kubectl } from '../support/kubectl.ts';
import { killContainer } from '../support/kill.ts';
import { applyPool, readPool, type LivePool, type PoolConfigBuilder } from '../support/pool.ts';
import { POOL, type Stage } from '../support/stage.ts';
import type { PodView, PodWatch } from './pod-watch.ts';
import { nowMs, type BudgetStep, type Mark } from './recording.ts';
import type { Sampler } from './sampler.ts';

/** How long a moment that a fault waits for may take to come. */
const MOMENT_LIMIT_MS = 20_000;

export class World {
  readonly stage: Stage;
  readonly sampler: Sampler;
  readonly podWatch: PodWatch;
  readonly marks: Mark[] = [];
  readonly budget: BudgetStep[];
  /** Pods as they were when the operation began. */
  readonly former: ReadonlySet<string>;
  pool: PoolConfigBuilder;

  constructor(stage: Stage, pool: PoolConfigBuilder, sampler: Sampler, podWatch: PodWatch) {
    this.stage = stage;
    this.pool = pool;
    this.sampler = sampler;
    this.podWatch = podWatch;
    this.former = new Set(podWatch.pods.map(({ uid }) => uid));
    this.budget = [{ fromMs: 0, connections: pool.build().spec.budget.connections ?? 0 }];
  }

  get namespace(): string {
    return this.stage.namespace;
  }

  get pods(): readonly PodView[] {
    return this.podWatch.pods;
  }

  mark(kind: Mark['kind'], text: string): void {
    this.marks.push({ atMs: nowMs(), kind, text });
  }

  /** From now on samples are held against this budget. */
  budgetIs(connections: number): void {
    this.budget.push({ fromMs: nowMs(), connections });
  }

  /** Changes the PoolConfig. */
  async apply(change: (pool: PoolConfigBuilder) => PoolConfigBuilder): Promise<void> {
    this.pool = change(this.pool);
    await applyPool(this.pool);
  }

  async scale(replicas: number): Promise<void> {
    await kubectl(['scale', '-n', this.namespace, `poolconfig/${POOL}`, `--replicas=${replicas}`]);
    this.pool = this.pool.withReplicas(replicas);
  }

  live(): Promise<LivePool> {
    return readPool(this.namespace, POOL);
  }

  /** Waits for the middle of something. @throws when it does not come. */
  async moment(what: string, holds: () => boolean): Promise<void> {
    await until(what, () => holds() || undefined, MOMENT_LIMIT_MS, 20);
  }

  /** Some pod that was there from the beginning. */
  victim(): PodView {
    const found = this.pods.find(({ uid, isTerminating }) => this.former.has(uid) && !isTerminating);
    if (found === undefined) throw new Error('no pod is left to be struck');
    return found;
  }

  /** SIGKILL of a pod's PgBouncer, which its container's restart follows. */
  async killPooler({ name, address }: PodView): Promise<void> {
    await killContainer(this.namespace, name, CONTAINER);
    this.#lost(address);
  }

  /** The pod is taken away without any grace: SIGKILL for all that runs in it. */
  async killPod({ name, address }: PodView): Promise<void> {
    await kubectl(['delete', 'pod', '-n', this.namespace, name, '--grace-period=0', '--force', '--wait=false']);
    this.#lost(address);
  }

  #lost(address: string | undefined): void {
    if (address !== undefined) this.sampler.lost(address);
  }
}
