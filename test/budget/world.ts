// What a scenario acts on: a fleet under load on a PostgreSQL of its own, as a scenario sees it.
import { RESOURCES } from '../../src/kube/resources.ts';
import { CONTAINER } from '../../src/model/names.ts';
import { until } from '../cluster/processes.ts';
import { cluster, kubectl } from '../support/kubectl.ts';
import { killContainer } from '../support/kill.ts';
import { applyPool, readPool, type LivePool, type PoolConfigBuilder } from '../support/pool.ts';
import { POOL, type Stage } from '../support/stage.ts';
import type { PodView } from './pod-watch.ts';
import type { ClusterPostgres } from '../support/cluster-postgres.ts';
import type { Recorder } from './recorder.ts';

/** How long a moment that a fault waits for may take to come. */
const MOMENT_LIMIT_MS = 20_000;

export class World {
  readonly stage: Stage;
  readonly recorder: Recorder;
  readonly second: ClusterPostgres | undefined;
  pool: PoolConfigBuilder;

  constructor(stage: Stage, pool: PoolConfigBuilder, recorder: Recorder, second?: ClusterPostgres) {
    this.second = second;
    this.stage = stage;
    this.pool = pool;
    this.recorder = recorder;
  }

  get namespace(): string {
    return this.stage.namespace;
  }

  get pods(): readonly PodView[] {
    return this.recorder.pods;
  }

  get former(): ReadonlySet<string> {
    return this.recorder.former;
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

  /**
   * SIGKILL for PgBouncer, and the pod taken away before its container can start again. Deletion without grace alone leaves the process
   * running for some seconds, which nobody can see in the API.
   */
  async killPod(pod: PodView): Promise<void> {
    await this.killPooler(pod);
    await (await cluster()).delete(RESOURCES.Pod, this.namespace, pod.name, { gracePeriodSeconds: 0 });
  }

  #lost(address: string | undefined): void {
    if (address !== undefined) this.recorder.sampler.lost(address);
  }
}
