// Pods that can't come up or don't stay up: the rollout stops where it is, the former pods serve on, and the correction is enough.
import assert from 'node:assert/strict';
import { isApiError } from '../../../src/kube/errors.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { CONTAINER } from '../../../src/model/names.ts';
import { until } from '../../cluster/processes.ts';
import { PAUSE_IMAGE } from '../../cluster/programs.ts';
import { killContainer, signalContainer } from '../../support/kill.ts';
import { applyObjects, cluster, kubectl } from '../../support/kubectl.ts';
import { applyPool, conditionOf, describeStatus, readPool } from '../../support/pool.ts';
import { poolPods, untilReplaceable } from '../../support/pool-children.ts';
import { APP, measured, MONITOR, seconds, Stage } from '../../support/stage.ts';
import { assertNaming, Fleet, tells, type Told } from './fleet.ts';

const NO_IMAGE = 'localhost/poolsmith/no-such-image:1';
const notReady = (reason: Told['reason']): Told => ({ type: 'Ready', status: 'False', reason });

describe('a running fleet whose new pods can not come up', function () {
  this.timeout(150_000);
  const held = new AsyncDisposableStack();
  let stage: Stage;
  let namespace: string;
  let fleet: Fleet;

  before(async () => {
    stage = held.use(await Stage.set({ prefix: 'bad-pods' }));
    namespace = stage.namespace;
    fleet = held.use(await Fleet.prove(stage, stage.pool()));
  });

  after(() => held.disposeAsync());

  const restorePool = (): Promise<unknown> => applyPool(fleet.pool);
  const eventsOf = async (reason: string): Promise<readonly string[]> => {
    const { items } = await (
      await cluster()
    ).list(RESOURCES.Event, {
      namespace,
      fieldSelector: `regarding.name=${fleet.name},reason=${reason}`,
    });
    return items.map((event) => event.note ?? '');
  };

  it('serves with its former pods while an image can not be pulled', async () => {
    await fleet.meets({
      bad: () => applyPool(fleet.pool.with({ pooler: { image: NO_IMAGE } })),
      tells: notReady('ImagePullFailed'),
      naming: ["can't be pulled", NO_IMAGE, 'spec.pooler.image', 'imagePullSecrets'],
      fleet: 'halted',
      sizesMove: true,
      meanwhile: async () => {
        assert.equal((await poolPods(namespace, fleet.name)).length, 3, 'more than one pod of the rollout was made');
        assert.ok((await eventsOf('ImagePullFailed')).length > 0);
      },
      correct: restorePool,
    });
  });

  it('serves with its former pods while no node takes the new one', async () => {
    await fleet.meets({
      bad: () =>
        applyPool(
          fleet.pool.with({
            fleet: { ...fleet.pool.build().spec.fleet, template: { nodeSelector: { disk: 'imaginary' } } },
          }),
        ),
      tells: notReady('PodUnschedulable'),
      naming: ['finds no node', /affinity\/selector/, 'nodeSelector', 'spec.fleet.template'],
      fleet: 'halted',
      sizesMove: true,
      correct: restorePool,
    });
  });

  it('serves with its former pods while the new one ends at once, again and again', async () => {
    await fleet.meets({
      bad: () => applyPool(fleet.pool.with({ pooler: { image: PAUSE_IMAGE } })),
      tells: notReady('CrashLooping'),
      naming: [/container of orders-pooler-\S+ died twice/, 'previous log'],
      fleet: 'halted',
      sizesMove: true,
      correct: restorePool,
    });
  });

  it('serves with the pods that it has while a quota forbids more, and grows by itself when it does not', async () => {
    const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { namespace, name: 'few-pods' } };
    await applyObjects([{ ...quota, spec: { hard: { pods: '3' } } }]);
    const used = async (): Promise<true | undefined> => {
      const stored = await kubectl([
        'get',
        'resourcequota',
        '-n',
        namespace,
        'few-pods',
        '-o',
        'jsonpath={.status.used.pods}',
      ]);
      return stored === '3' || undefined;
    };
    await until('the quota to be counted', used, 20_000, 100);
    const release = (): Promise<unknown> =>
      kubectl(['delete', 'resourcequota', '-n', namespace, 'few-pods', '--ignore-not-found']);
    await fleet.meets({
      bad: () => applyPool(fleet.pool.withReplicas(3)),
      tells: notReady('PodCreationFailed'),
      naming: ['ReplicaSet orders-pooler-', 'exceeded quota: few-pods', /quota or policy/],
      fleet: 'halted',
      sizesMove: true,
      correct: async () => {
        await release();
        // The ReplicaSet controller tries again at growing intervals.
        const live = await fleet.whole(90_000);
        assert.equal(live.status?.readyReplicas, 3, describeStatus(live));
        await restorePool();
      },
    });
  });

  it('replaces a pod whose container dies twice, says so, and the other pod is left alone', async () => {
    const before = await fleet.state(true);
    const [victim, other] = await poolPods(namespace, fleet.name);
    assert.ok(victim !== undefined && other !== undefined);
    await untilReplaceable(victim);
    const mark = fleet.load.mark();
    await killContainer(namespace, victim.metadata.name, CONTAINER);
    const runsAgain = async (): Promise<true | undefined> => {
      const pod = await (await cluster()).get(RESOURCES.Pod, namespace, victim.metadata.name);
      const state = pod.status?.containerStatuses?.[0];
      return (state?.restartCount === 1 && state.state?.running !== undefined) || undefined;
    };
    await until('the container to run again', runsAgain, 30_000, 100);
    const startedMs = performance.now();
    await killContainer(namespace, victim.metadata.name, CONTAINER);
    const isGone = async (): Promise<true | undefined> => {
      const pod = await (await cluster()).find(RESOURCES.Pod, namespace, victim.metadata.name);
      return pod === undefined || pod.metadata.deletionTimestamp !== undefined || undefined;
    };
    await until('the pod to be replaced', isGone, 60_000, 100);
    measured(`second death → replaced ${seconds(performance.now() - startedMs)}`);
    await fleet.whole(90_000);
    measured(`second death → whole again ${seconds(performance.now() - startedMs)}`);
    const after = await fleet.state(true);
    assert.equal(after.identities[other.metadata.name], before.identities[other.metadata.name]);
    assert.equal(after.live[other.metadata.name], before.live[other.metadata.name]);
    assert.ok(!(victim.metadata.name in after.identities));
    assert.equal(Object.keys(after.identities).length, 2);
    const told = async (): Promise<true | undefined> =>
      ((await eventsOf('CrashLooping')).some((note) => note.includes(victim.metadata.name)) &&
        (await eventsOf('PodReplaced')).some((note) => note.includes(victim.metadata.name))) ||
      undefined;
    await until('the events CrashLooping and PodReplaced', told, 15_000, 200);
    await fleet.load.done(40);
    const { done } = fleet.load.since(mark);
    assert.ok(done > 40);
  });

  it('names a pod that no longer answers, and has it back without a restart when it does', async () => {
    await fleet.whole();
    const before = await fleet.state(true);
    const [pod] = await poolPods(namespace, fleet.name);
    assert.ok(pod !== undefined);
    await signalContainer(namespace, pod.metadata.name, CONTAINER, 'SIGSTOP');
    try {
      const live = await tells(namespace, fleet.name, notReady('PodNotReady'));
      const naming = [`admin console of ${pod.metadata.name} does not answer`, 'events and log'];
      assertNaming(live, { tells: notReady('PodNotReady'), naming });
    } finally {
      await signalContainer(namespace, pod.metadata.name, CONTAINER, 'SIGCONT');
    }
    await fleet.whole();
    assert.deepEqual(await fleet.state(true), before);
    await fleet.load.done(40);
  });

  it('has let no password out', async () => {
    await fleet.keptSecret([APP.password, MONITOR.password]);
  });

  it('says of a new PoolConfig that its image can not be pulled, and builds it by itself with a good one', async () => {
    const pool = stage.pool('imageless').withBudget(8);
    await applyPool(pool.with({ pooler: { image: NO_IMAGE } }));
    const live = await tells(namespace, 'imageless', notReady('ImagePullFailed'));
    assertNaming(live, { tells: notReady('ImagePullFailed'), naming: [NO_IMAGE, 'spec.pooler.image'] });
    assert.equal(live.status?.readyReplicas, 0);
    assert.notEqual(conditionOf(live, 'ConfigApplied')?.status, 'True');
    await applyPool(pool.with({ pooler: {} }));
    await tells(namespace, 'imageless', { type: 'Ready', status: 'True', reason: 'Proved' }, 90_000);
    const { status } = await readPool(namespace, 'imageless');
    assert.equal(status?.readyReplicas, 2);
    await (await cluster()).delete(RESOURCES.PoolConfig, namespace, 'imageless').catch((error: unknown) => {
      if (!isApiError(error, 'notFound')) throw error;
    });
  });
});
