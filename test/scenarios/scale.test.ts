// The fleet is scaled by the scale subresource, out and in, under load: the budget holds and no transaction fails.
import assert from 'node:assert/strict';
import { until } from '../cluster/processes.ts';
import { kubectl, kubectlJson } from '../support/kubectl.ts';
import { readPool, waitForPool } from '../support/pool.ts';
import { poolPods } from '../support/pool-children.ts';
import { sizesInForce, sizesInStatus } from '../support/pooler-console.ts';
import { closing, measured, POOL, seconds, Stage } from '../support/stage.ts';

const BUDGET = 16;

describe('a fleet that is scaled', function () {
  this.timeout(120_000);
  let stage: Stage;
  let namespace: string;

  before(async () => {
    stage = await Stage.set({ prefix: 'scale' });
    namespace = stage.namespace;
    await stage.prove(stage.pool());
  });

  after(() => stage[Symbol.asyncDispose]());

  /** Until it is Ready with as many pods, none on its way out, and sizes in force as status says. */
  async function scaledTo(replicas: number): Promise<number> {
    const startedMs = performance.now();
    await kubectl(['scale', '-n', namespace, `poolconfig/${POOL}`, `--replicas=${replicas}`]);
    const { metadata } = await readPool(namespace, POOL);
    const arrived = ({ status }: Awaited<ReturnType<typeof readPool>>): boolean =>
      status?.observedGeneration === metadata.generation &&
      status.readyReplicas === replicas &&
      status.pods?.length === replicas &&
      status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true &&
      !status.conditions.some(({ type }) => type === 'Reconciling');
    await waitForPool(namespace, POOL, `${replicas} pods and nothing under way`, arrived, 60_000);
    return performance.now() - startedMs;
  }

  it('shows the number of pods and a label selector in the scale subresource, for an autoscaler', async () => {
    type Scale = { spec: { replicas: number }; status: { replicas: number; selector: string } };
    const path = `/apis/poolsmith.dev/v1alpha1/namespaces/${namespace}/poolconfigs/${POOL}/scale`;
    const scale = JSON.parse(await kubectl(['get', '--raw', path])) as Scale;
    assert.equal(scale.spec.replicas, 2);
    assert.equal(scale.status.replicas, 2);
    const args = ['get', 'pods', '-n', namespace, '-l', scale.status.selector];
    const pods = await kubectlJson<{ items: { metadata: { name: string } }[] }>(args);
    const expected = (await poolPods(namespace, POOL)).map(({ metadata }) => metadata.name);
    assert.deepEqual(pods.items.map(({ metadata }) => metadata.name).sort(), [...expected].sort());
  });

  it('is not scaled to nothing: its clients would have nowhere to go, and is told how to stop it', async () => {
    await assert.rejects(
      kubectl(['scale', '-n', namespace, `poolconfig/${POOL}`, '--replicas=0']),
      /spec\.fleet\.replicas: Invalid value: 0: .*greater than or equal to 1/,
    );
    assert.equal((await poolPods(namespace, POOL)).length, 2);
  });

  it('goes from 2 to 4 pods and back under load, within the budget and without a failed transaction', async () => {
    await using sampler = await stage.sampler();
    await using load = await stage.load({ clients: 20, holdMs: 10, pauseMs: 5 });
    for (const replicas of [4, 2]) {
      const mark = load.mark();
      sampler.lap();
      const tookMs = await scaledTo(replicas);
      const { done, failed, longestMs } = load.since(mark);
      const { peak, samples } = sampler.lap();
      measured(
        `to ${replicas} pods in ${seconds(tookMs)}: at most ${peak} of ${BUDGET} backends in ${samples} samples, ${done} transactions, ${failed} failed, longest ${longestMs.toFixed(0)} ms`,
      );
      assert.ok(peak <= BUDGET, `${peak} backends`);
      assert.equal(failed, 0, JSON.stringify(load.tally.errors));
      const { status } = await readPool(namespace, POOL);
      assert.deepEqual(await sizesInForce(namespace, POOL), sizesInStatus(status?.pods ?? []));
    }
    await load.done(100);
    await using direct = closing(await stage.postgres.connect('orders'));
    const audit = await load.audit(direct.client);
    assert.deepEqual([audit.lost, audit.double, audit.torn], [0, 0, 0]);
  });

  it('has given the shares of the pods that went to those that stayed', async () => {
    const regained = async (): Promise<number | undefined> => {
      const sizes = Object.values(await sizesInForce(namespace, POOL));
      const sum = sizes.reduce((total, size) => total + size, 0);
      return sizes.length === 2 && sum >= BUDGET - 2 ? sum : undefined;
    };
    const size = await until('the two pods to have the whole size', regained, 15_000, 200);
    assert.ok(size <= BUDGET);
  });
});
