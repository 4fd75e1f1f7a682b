// Workloads change: the sizes follow their replicas × workers × threads, and are proved in every pod.
import assert from 'node:assert/strict';
import { RESOURCES } from '../../src/kube/resources.ts';
import { cluster } from '../support/kubectl.ts';
import { conditionOf, readPool, waitForPool, type LivePool } from '../support/pool.ts';
import { podIdentities } from '../support/pool-children.ts';
import { sizesInForce, sizesInStatus } from '../support/pooler-console.ts';
import { measured, POOL, seconds, Stage } from '../support/stage.ts';
import { applyIdleDeployment, applyIdleStatefulSet, scaleDeployment } from '../support/workload.ts';

const ROOMY = 60;

describe('a workload that changes', function () {
  this.timeout(90_000);
  let stage: Stage;
  let namespace: string;
  let pods: Readonly<Record<string, string>>;

  before(async () => {
    stage = await Stage.set({ prefix: 'workload' });
    namespace = stage.namespace;
    await applyIdleDeployment(namespace, 'web', 2, { WEB_CONCURRENCY: '2', RAILS_MAX_THREADS: '5' });
    const workers = { env: 'WEB_CONCURRENCY', default: 1 };
    const threads = { env: 'RAILS_MAX_THREADS', default: 1 };
    const workloads = [
      { ref: { kind: 'Deployment' as const, name: 'web' }, workers, threads },
      { ref: { kind: 'StatefulSet' as const, name: 'queue' }, workers: 1, threads: 10 },
      { name: 'reports', clients: 4 },
    ];
    await stage.prove(stage.pool().withBudget(ROOMY).with({ workloads }));
    pods = await podIdentities(namespace, POOL);
  });

  after(() => stage[Symbol.asyncDispose]());

  const clientsOf = (pool: LivePool, name: string): number | undefined =>
    pool.status?.demand?.find((demand) => demand.name.endsWith(name))?.clients;

  const sizeOf = (pool: LivePool): number => pool.status?.databases?.[0]?.size ?? 0;

  /** Until status counts the workload so, nothing is under way, and every PgBouncer runs with the sizes that follow. */
  async function counted(name: string, clients: (count: number) => boolean, what: string): Promise<LivePool> {
    const startedMs = performance.now();
    const holds = (pool: LivePool): boolean =>
      clients(clientsOf(pool, name) ?? 0) &&
      conditionOf(pool, 'Ready')?.status === 'True' &&
      conditionOf(pool, 'Reconciling') === undefined &&
      Object.values(sizesInStatus(pool.status?.pods ?? [])).reduce((sum, size) => sum + size, 0) === sizeOf(pool);
    const pool = await waitForPool(namespace, POOL, `${what} to be counted`, holds, 20_000);
    measured(
      `${what}: sizes proved in every pod after ${seconds(performance.now() - startedMs)} (size ${sizeOf(pool)})`,
    );
    assert.deepEqual(await sizesInForce(namespace, POOL), sizesInStatus(pool.status?.pods ?? []));
    return pool;
  }

  it('is counted as it is at first, and says so of one that is missing', async () => {
    const pool = await readPool(namespace, POOL);
    const web = pool.status?.demand?.find(({ name }) => name.endsWith('web'));
    assert.equal(web?.clients, ((web?.replicas ?? 0) + (web?.surge ?? 0)) * 2 * 5);
    assert.equal(web.replicas, 2);
    assert.equal(clientsOf(pool, 'reports'), 4);
    assert.equal(conditionOf(pool, 'BudgetSatisfied')?.reason, 'WorkloadMissing');
    assert.match(conditionOf(pool, 'BudgetSatisfied')?.message ?? '', /queue/);
    assert.equal(conditionOf(pool, 'Ready')?.status, 'True');
  });

  it('raises the sizes when a Deployment goes from 2 to 6 replicas, and lowers them again', async () => {
    const before = await readPool(namespace, POOL);
    await scaleDeployment(namespace, 'web', 6);
    const grown = await counted('web', (clients) => clients >= 6 * 2 * 5, 'web 2 → 6 replicas');
    assert.ok(sizeOf(grown) > sizeOf(before));
    await scaleDeployment(namespace, 'web', 2);
    const shrunk = await counted('web', (clients) => clients < 6 * 2 * 5, 'web 6 → 2 replicas');
    assert.ok(sizeOf(shrunk) < sizeOf(grown));
  });

  it('follows WEB_CONCURRENCY of the pod template', async () => {
    const before = await readPool(namespace, POOL);
    await applyIdleDeployment(namespace, 'web', 2, { WEB_CONCURRENCY: '6', RAILS_MAX_THREADS: '5' });
    const after = await counted('web', (clients) => clients >= 2 * 6 * 5, 'WEB_CONCURRENCY 2 → 6');
    assert.ok(sizeOf(after) > sizeOf(before));
    assert.equal(after.status?.demand?.find(({ name }) => name.endsWith('web'))?.workers, 6);
  });

  it('counts a StatefulSet that appears later', async () => {
    const before = await readPool(namespace, POOL);
    await applyIdleStatefulSet(namespace, 'queue', 3);
    const after = await counted('queue', (clients) => clients >= 3 * 10, 'a StatefulSet that appears');
    assert.ok(sizeOf(after) > sizeOf(before));
    assert.equal(conditionOf(after, 'BudgetSatisfied')?.reason, 'WithinBudget');
  });

  it('is sized without when it goes', async () => {
    const before = await readPool(namespace, POOL);
    await (await cluster()).delete(RESOURCES.StatefulSet, namespace, 'queue');
    const after = await counted('queue', (clients) => clients === 0, 'a StatefulSet that goes');
    assert.ok(sizeOf(after) < sizeOf(before));
    assert.equal(conditionOf(after, 'BudgetSatisfied')?.reason, 'WorkloadMissing');
  });

  it('has never restarted or replaced a pooler', async () => {
    assert.deepEqual(await podIdentities(namespace, POOL), pods);
  });
});
