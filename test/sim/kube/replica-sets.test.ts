// The simulated ReplicaSet controller: how many pods, which of them go first, and what becomes of them without an owner.
import assert from 'node:assert/strict';
import { ANNOTATION, LABEL } from '../../../src/model/names.ts';
import { isReady } from './pods.ts';
import { LABELS, NAMESPACE, replicaSet, SmallCluster } from './small-cluster.ts';

describe('a simulated ReplicaSet', () => {
  let world: SmallCluster;

  beforeEach(() => {
    world = new SmallCluster();
  });

  it('makes pods of its template, named after it, owned by it, and counts them in its status', async () => {
    const [first, second] = await world.fleet(2);
    const set = world.api.find('ReplicaSet', NAMESPACE, 'orders-pooler-abc');
    assert.match(first?.metadata.name ?? '', /^orders-pooler-abc-[a-z0-9]{5}$/);
    assert.notEqual(first?.metadata.name, second?.metadata.name);
    assert.deepEqual(first?.metadata.labels, { ...LABELS, [LABEL.serving]: 'true' });
    assert.equal(first.metadata.ownerReferences?.[0]?.uid, set?.metadata.uid);
    await world.clock.advance(1_000);
    const { status } = world.api.find('ReplicaSet', NAMESPACE, 'orders-pooler-abc') as unknown as { status: unknown };
    assert.deepEqual(status, {
      replicas: 2,
      fullyLabeledReplicas: 2,
      readyReplicas: 2,
      availableReplicas: 2,
      observedGeneration: 1,
    });
  });

  it('replaces a pod that is on its way out while that one is still there', async () => {
    const [victim] = await world.fleet(2);
    world.kubelet.deletePodBy(victim?.metadata.name ?? '');
    await world.until(() => world.active().length === 2, 1_000);
    assert.equal(world.pods().length, 3);
    await world.until(() => world.pods().length === 2);
  });

  it('deletes the pod of the lowest cost first, and one that is not Ready before all others', async () => {
    const [first, second, third] = await world.fleet(3);
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    for (const [pod, cost] of [
      [first, '5'],
      [second, '-3'],
      [third, '5'],
    ] as const)
      world.annotate(pod, { [ANNOTATION.deletionCost]: cost });
    world.scale(2);
    await world.until(() => world.active().length === 2);
    assert.ok(!world.active().some(({ metadata }) => metadata.uid === second.metadata.uid));
    world.scale(3);
    await world.until(() => world.active().length === 3);
    const newest = world.active().find((pod) => !isReady(pod));
    world.scale(2);
    await world.until(() => world.active().length === 2);
    assert.ok(!world.active().some(({ metadata }) => metadata.uid === newest?.metadata.uid));
  });

  it('says so when a quota refuses its pods, and goes on when there is room', async () => {
    world.sets.quota = 1;
    world.api.put(replicaSet(2));
    await world.until(() => world.readyPods().length === 1);
    const condition = (): unknown => {
      const set = world.api.find('ReplicaSet', NAMESPACE, 'orders-pooler-abc') as unknown as {
        status?: { conditions?: { type: string; message: string }[] };
      };
      return set.status?.conditions?.find(({ type }) => type === 'ReplicaFailure')?.message;
    };
    assert.match(String(condition()), /exceeded quota/);
    world.sets.quota = 2;
    await world.until(() => world.readyPods().length === 2, 120_000);
    assert.equal(condition(), undefined);
  });

  it('is taken away with its pods when its owner is deleted', async () => {
    const owner = world.api.put({
      apiVersion: 'poolsmith.dev/v1alpha1',
      kind: 'PoolConfig',
      metadata: { name: 'orders', namespace: NAMESPACE },
    });
    const { uid } = owner.metadata;
    const ownerReferences = [
      { apiVersion: owner.apiVersion, kind: 'PoolConfig', name: 'orders', uid, controller: true },
    ];
    const set = replicaSet(2);
    world.api.put({ ...set, metadata: { ...set.metadata, ownerReferences } } as never);
    await world.until(() => world.readyPods().length === 2);
    world.api.remove('PoolConfig', NAMESPACE, 'orders');
    await world.until(() => world.api.list('ReplicaSet').length === 0 && world.pods().length === 0);
    assert.ok(world.processes.every(({ over }) => over));
  });
});
