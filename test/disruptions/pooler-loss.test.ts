// Pooler pods go without having been asked: deleted, evicted, killed. The budget holds, they come back proved, nothing acknowledged is lost.
import assert from 'node:assert/strict';
import { RESOURCES } from '../../src/kube/resources.ts';
import { CONTAINER } from '../../src/model/names.ts';
import { until } from '../cluster/processes.ts';
import type { BackendSampler } from '../support/backends.ts';
import { killContainer } from '../support/kill.ts';
import { cluster, kubectl, tryKubectl } from '../support/kubectl.ts';
import type { Load } from '../support/load.ts';
import { conditionOf, readPool, waitForPool, type LivePool } from '../support/pool.ts';
import { poolPods, untilReplaceable } from '../support/pool-children.ts';
import { sizesInForce, sizesInStatus } from '../support/pooler-console.ts';
import { closing, measured, POOL, seconds, Stage } from '../support/stage.ts';

const BUDGET = 16;

describe('a pooler pod that is lost', function () {
  this.timeout(150_000);
  let stage: Stage;
  let namespace: string;

  before(async () => {
    stage = await Stage.set({ prefix: 'loss' });
    namespace = stage.namespace;
    await stage.prove(stage.pool());
  });

  after(() => stage[Symbol.asyncDispose]());

  /** Two pods, none of them on its way out, with all of the size, and nothing under way. */
  async function whole(isNew: (pool: LivePool) => boolean = () => true): Promise<LivePool> {
    const holds = (pool: LivePool): boolean =>
      pool.status?.pods?.length === 2 &&
      pool.status.readyReplicas === 2 &&
      conditionOf(pool, 'Ready')?.status === 'True' &&
      conditionOf(pool, 'Reconciling') === undefined &&
      isNew(pool);
    return await waitForPool(namespace, POOL, 'a whole fleet', holds, 90_000);
  }

  async function underLoad(change: (load: Load, sampler: BackendSampler) => Promise<void>): Promise<Load> {
    await using sampler = await stage.sampler();
    await using load = await stage.load({ clients: 20, holdMs: 10, pauseMs: 5 });
    await using direct = closing(await stage.postgres.connect('orders'));
    sampler.lap();
    await change(load, sampler);
    await load.done(200);
    const { done, failed, errors } = await load.stop();
    const { peak, samples } = sampler.lap();
    measured(
      `${done} transactions, ${failed} failed ${JSON.stringify(errors)}; at most ${peak} of ${BUDGET} backends in ${samples} samples`,
    );
    assert.ok(peak <= BUDGET, `${peak} backends`);
    const { lost, double, torn } = await load.audit(direct.client);
    assert.deepEqual({ lost, double, torn }, { lost: 0, double: 0, torn: 0 });
    const { status } = await whole();
    assert.deepEqual(await sizesInForce(namespace, POOL), sizesInStatus(status?.pods ?? []));
    return load;
  }

  it('is replaced and proved after kubectl delete, without a failed transaction of clients that recycle', async () => {
    const [victim] = await poolPods(namespace, POOL);
    const load = await underLoad(async () => {
      const startedMs = performance.now();
      await kubectl(['delete', 'pod', '-n', namespace, victim?.metadata.name ?? '', '--wait=false']);
      await whole((pool) => pool.status?.pods?.every(({ uid }) => uid !== victim?.metadata.uid) === true);
      measured(
        `deleted pod gone, its successor proved with all of its share after ${seconds(performance.now() - startedMs)}`,
      );
    });
    assert.equal(load.tally.failed, 0, JSON.stringify(load.tally.errors));
  });

  it('is evicted one at a time as its disruption budget allows, without a failed transaction of clients that recycle', async () => {
    const victims = await poolPods(namespace, POOL);
    const evict = async (name: string): Promise<string> => {
      const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } };
      const path = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`;
      const { code, stderr } = await tryKubectl(['create', '--raw', path, '-f', '-'], JSON.stringify(body));
      return code === 0 ? 'evicted' : stderr;
    };
    const load = await underLoad(async () => {
      const [first, second] = victims.map(({ metadata }) => metadata.name);
      assert.equal(await evict(first ?? ''), 'evicted');
      assert.match(await evict(second ?? ''), /disruption budget/);
      const startedMs = performance.now();
      const evicted = async (): Promise<true | undefined> => (await evict(second ?? '')) === 'evicted' || undefined;
      await until('the second pod to be evicted', evicted, 60_000, 500);
      measured(`the second pod could be evicted ${seconds(performance.now() - startedMs)} after the first`);
      const uids = victims.map(({ metadata }) => metadata.uid);
      await whole((pool) => pool.status?.pods?.every(({ uid }) => !uids.includes(uid ?? '')) === true);
    });
    assert.equal(load.tally.failed, 0, JSON.stringify(load.tally.errors));
  });

  it('is proved again in its new container when its process is killed, with its share, within the budget', async () => {
    const [victim] = await poolPods(namespace, POOL);
    const name = victim?.metadata.name ?? '';
    await underLoad(async () => {
      const startedMs = performance.now();
      const id = await killContainer(namespace, name, CONTAINER);
      const again = async (): Promise<true | undefined> => {
        const pod = await (await cluster()).get(RESOURCES.Pod, namespace, name);
        const [state] = pod.status?.containerStatuses ?? [];
        return (state?.ready === true && state.containerID !== `containerd://${id}`) || undefined;
      };
      await until('a new container', again, 30_000);
      const restartedMs = performance.now();
      // boot.ini gives the floor; only the operator can have given more.
      const hasShare = async (): Promise<true | undefined> => {
        const said = sizesInStatus((await readPool(namespace, POOL)).status?.pods ?? []);
        return JSON.stringify(await sizesInForce(namespace, POOL)) === JSON.stringify(said) || undefined;
      };
      await until('the share to be in force again', hasShare, 30_000);
      await whole();
      measured(
        `new container ready after ${seconds(restartedMs - startedMs)}, fleet whole after ${seconds(performance.now() - startedMs)}`,
      );
    });
    assert.equal(
      (await poolPods(namespace, POOL)).some(({ metadata }) => metadata.uid === victim?.metadata.uid),
      true,
    );
  });

  it('is replaced by a new pod when its process is killed again and the kubelet backs off', async () => {
    const victim = (await poolPods(namespace, POOL)).find(
      ({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) > 0,
    );
    assert.ok(victim !== undefined, 'no pod has restarted');
    const { name } = victim.metadata;
    await untilReplaceable(victim);
    await underLoad(async () => {
      const startedMs = performance.now();
      await killContainer(namespace, name, CONTAINER);
      await whole((pool) => pool.status?.pods?.every(({ uid }) => uid !== victim.metadata.uid) === true);
      measured(`a pod in CrashLoopBackOff is replaced and proved after ${seconds(performance.now() - startedMs)}`);
    });
  });
});
