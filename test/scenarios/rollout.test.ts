// The pod template changes: the fleet is rolled one pod at a time under load; a template that can't run halts it with the former pods serving.
import assert from 'node:assert/strict';
import { ANNOTATION } from '../../src/model/names.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { until } from '../cluster/processes.ts';
import { cluster } from '../support/kubectl.ts';
import {
  applyPool,
  conditionOf,
  waitForCondition,
  waitForPool,
  type LivePool,
  type PoolConfigBuilder,
} from '../support/pool.ts';
import { poolPods } from '../support/pool-children.ts';
import { closing, measured, POOL, seconds, Stage } from '../support/stage.ts';

const BUDGET = 16;

describe('a rollout', function () {
  this.timeout(120_000);
  let stage: Stage;
  let namespace: string;
  let pool: PoolConfigBuilder;

  before(async () => {
    stage = await Stage.set({ prefix: 'rollout' });
    namespace = stage.namespace;
    pool = stage.pool();
    await stage.prove(pool);
  });

  after(() => stage[Symbol.asyncDispose]());

  async function uids(): Promise<readonly string[]> {
    return (await poolPods(namespace, POOL)).map(({ metadata }) => metadata.uid).sort();
  }

  async function replicaSets(): Promise<number> {
    const { items } = await (await cluster()).list(RESOURCES.ReplicaSet, { namespace });
    return items.length;
  }

  it('replaces one pod at a time under load, within the budget, drained first, without a failed transaction', async () => {
    const former = await uids();
    await using sampler = await stage.sampler();
    await using load = await stage.load({ clients: 20, holdMs: 10, pauseMs: 5 });
    await using direct = closing(await stage.postgres.connect('orders'));
    sampler.lap();
    let mostPods = 0;
    const drained = new Map<string, string>();
    const watching = new AbortController();
    const watch = (async () => {
      while (!watching.signal.aborted) {
        const pods = await poolPods(namespace, POOL);
        const alive = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
        mostPods = Math.max(mostPods, alive.length);
        for (const { metadata } of pods) {
          const mark = metadata.annotations?.[ANNOTATION.drain];
          if (mark !== undefined) drained.set(metadata.uid, mark);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    try {
      pool = pool.with({
        fleet: { ...pool.build().spec.fleet, template: { metadata: { annotations: { round: '2' } } } },
      });
      const { tookMs } = await stage.prove(pool, 90_000);
      await until('the former ReplicaSet to be removed', async () => (await replicaSets()) === 1 || undefined, 30_000);
      await load.done(100);
      const startedMs = performance.now();
      const gone = async (): Promise<true | undefined> =>
        (await uids()).every((uid) => !former.includes(uid)) || undefined;
      await until('the former pods to be gone', gone, 30_000);
      measured(
        `2 pods rolled: Ready after ${seconds(tookMs)}, the last former pod gone ${seconds(performance.now() - startedMs)} later`,
      );
    } finally {
      watching.abort();
      await watch;
    }
    const { done, failed, errors } = await load.stop();
    const { peak, samples, longestGapMs } = sampler.lap();
    measured(`${done} transactions, ${failed} failed; at most ${mostPods} pods at once`);
    measured(`at most ${peak} of ${BUDGET} backends in ${samples} samples, longest gap ${longestGapMs.toFixed(0)} ms`);
    assert.equal(failed, 0, JSON.stringify(errors));
    assert.ok(peak <= BUDGET);
    assert.equal(mostPods, 3);
    assert.deepEqual([...drained.keys()].sort(), former, 'a pod went without having been drained');
    for (const mark of drained.values()) assert.match(mark, /Rollout/);
    for (const { metadata } of await poolPods(namespace, POOL)) assert.equal(metadata.annotations?.['round'], '2');
    const { lost, double, torn } = await load.audit(direct.client);
    assert.deepEqual({ lost, double, torn }, { lost: 0, double: 0, torn: 0 });
  });

  it('halts at a template that finds no node, with the former pods serving, and goes back when it is reverted', async () => {
    await haltAndRevert(
      { template: { metadata: { annotations: { round: '2' } }, nodeSelector: { nowhere: 'at-all' } } },
      'PodUnschedulable',
    );
  });

  it('halts at an image that does not exist, with the former pods serving, and goes back when it is reverted', async () => {
    await haltAndRevert({ image: 'localhost/no-such-image:1' }, 'ImagePullFailed');
  });

  async function haltAndRevert(
    broken: { template?: object; image?: string },
    reason: 'PodUnschedulable' | 'ImagePullFailed',
  ): Promise<void> {
    const former = await uids();
    await using load = await stage.load({ clients: 6 });
    const { spec } = pool.build();
    const bad = pool.with({
      ...(broken.template === undefined ? {} : { fleet: { ...spec.fleet, template: broken.template } }),
      ...(broken.image === undefined ? {} : { pooler: { ...spec.pooler, image: broken.image } }),
    });
    const { metadata } = await applyPool(bad);
    const { generation } = metadata;
    const halted = await waitForCondition(namespace, POOL, 'Ready', 'False', { reason, generation, timeoutMs: 30_000 });
    measured(`halted: ${conditionOf(halted, 'Ready')?.message ?? ''}`);
    assert.ok(former.every((uid) => halted.status?.pods?.some((pod) => pod.uid === uid && pod.state === 'Serving')));
    await load.done(100);
    const { tookMs } = await stage.prove(pool, 40_000);
    const backAgain = async (): Promise<true | undefined> =>
      ((await replicaSets()) === 1 && JSON.stringify(await uids()) === JSON.stringify(former)) || undefined;
    await until('the broken pod and its ReplicaSet to be gone', backAgain, 40_000);
    measured(`reverted in ${seconds(tookMs)}`);
    const { failed, errors } = await load.stop();
    assert.equal(failed, 0, JSON.stringify(errors));
    const isWhole = (live: LivePool): boolean =>
      live.status?.readyReplicas === 2 && conditionOf(live, 'Reconciling') === undefined;
    await waitForPool(namespace, POOL, 'the fleet as it was', isWhole, 20_000);
  }
});
