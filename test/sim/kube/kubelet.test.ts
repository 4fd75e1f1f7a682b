// The simulated kubelet: the life of pods, their containers and files, and the ways in which they end.
import assert from 'node:assert/strict';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { ANNOTATION, LABEL, PLACE } from '../../../src/model/names.ts';
import { GOOD_FATE } from '../contracts.ts';
import { NAMESPACE, replicaSet, SERVING, SmallCluster } from './small-cluster.ts';

describe('on a simulated node', () => {
  let world: SmallCluster;

  beforeEach(() => {
    world = new SmallCluster();
  });

  describe('a container', () => {
    it('starts with what the API holds then, is told of in status, and becomes Ready', async () => {
      const [pod] = await world.fleet(1);
      assert.ok(pod !== undefined);
      const { disk, ip, containerId } = world.processOf(pod);
      assert.deepEqual(
        [PLACE.bootFile, PLACE.liveFile, `${PLACE.secretsFolder}/users-1`, '/etc/other'].map(disk.read),
        ['boot 1', '', 'one', undefined],
      );
      const { ready, container, ip: seenIp } = world.facts(pod);
      assert.deepEqual([ready, container.running, container.id, seenIp], [true, true, containerId, ip]);
    });

    it('waits for the objects that it mounts, and for its image', async () => {
      world.api.remove('Secret', NAMESPACE, 'orders-pooler-files');
      world.kubelet.pullFailure = () => 'manifest unknown';
      world.api.put(replicaSet(1));
      await world.until(() => world.pods().length === 1);
      const [pod] = world.pods();
      assert.ok(pod !== undefined);
      await world.until(() => world.facts(pod).container.waitingReason === 'ImagePullBackOff');
      world.kubelet.pullFailure = () => undefined;
      await world.clock.advance(60_000);
      assert.equal(world.processes.length, 0);
      const metadata = { name: 'orders-pooler-files', namespace: NAMESPACE };
      world.api.put({ apiVersion: 'v1', kind: 'Secret', metadata });
      await world.until(() => world.facts(pod).ready, 200_000);
    });

    it('that dies is started again as another in the same pod: at once, then later and later', async () => {
      const [pod] = await world.fleet(1);
      assert.ok(pod !== undefined);
      const before = world.facts(pod);
      world.kubelet.killContainer(before.name);
      await world.until(() => world.facts(pod).ready && world.facts(pod).container.id !== before.container.id, 5_000);
      assert.deepEqual([world.facts(pod).container.restartCount, world.facts(pod).ip], [1, before.ip]);
      assert.ok(world.facts(pod).container.lastTerminatedAtMs !== undefined);
      world.kubelet.killContainer(before.name);
      await world.until(() => world.facts(pod).container.waitingReason === 'CrashLoopBackOff', 5_000);
      assert.equal(world.facts(pod).ready, false);
      await world.clock.advance(8_000);
      assert.equal(world.processes.length, 2);
      await world.until(() => world.facts(pod).ready, 20_000);
      assert.equal(world.facts(pod).container.restartCount, 2);
    });
  });

  describe('the files of a pod', () => {
    it('follow a changed annotation soon, and everything else mounted with it', async () => {
      const [pod] = await world.fleet(1);
      assert.ok(pod !== undefined);
      const { disk } = world.processOf(pod);
      world.api.edit('ConfigMap', NAMESPACE, 'orders-pooler', { data: { 'boot.ini': 'boot 2' } });
      world.annotate(pod, { [ANNOTATION.live]: 'live 1' });
      await world.clock.advance(299);
      assert.equal(disk.read(PLACE.liveFile), '');
      await world.clock.advance(1);
      assert.deepEqual([disk.read(PLACE.liveFile), disk.read(PLACE.bootFile)], ['live 1', 'boot 2']);
    });

    it('follow a changed ConfigMap or Secret by themselves only when the kubelet next looks at the pod', async () => {
      const [pod] = await world.fleet(1);
      assert.ok(pod !== undefined);
      const { disk } = world.processOf(pod);
      world.api.edit('Secret', NAMESPACE, 'orders-pooler-files', { data: { 'users-1': null, 'users-2': btoa('two') } });
      await world.clock.advance(2_999);
      assert.equal(disk.read(`${PLACE.secretsFolder}/users-1`), 'one');
      await world.clock.advance(1);
      assert.equal(disk.read(`${PLACE.secretsFolder}/users-1`), undefined);
      assert.equal(disk.read(`${PLACE.secretsFolder}/users-2`), 'two');
    });

    it('change no more once the pod is on its way out', async () => {
      const [pod] = await world.fleet(1);
      assert.ok(pod !== undefined);
      const { disk } = world.processOf(pod);
      world.annotate(pod, { [ANNOTATION.live]: 'live 1' });
      world.kubelet.deletePodBy(pod.metadata.name);
      world.annotate(pod, { [ANNOTATION.live]: 'live 2' });
      world.api.edit('ConfigMap', NAMESPACE, 'orders-pooler', { data: { 'boot.ini': 'boot 2' } });
      await world.clock.advance(4_000);
      assert.equal(world.processOf(pod).over, false);
      assert.deepEqual([disk.read(PLACE.liveFile), disk.read(PLACE.bootFile)], ['', 'boot 1']);
    });
  });

  describe('the end of a pod', () => {
    it('is a sleep, then SIGTERM, then SIGKILL when the grace period is over, and then the object goes', async () => {
      const [pod] = await world.fleet(1, 5);
      assert.ok(pod !== undefined);
      world.obeysTerm = false;
      const process = world.processOf(pod);
      world.kubelet.deletePodBy(pod.metadata.name);
      world.scale(0);
      await world.clock.advance(4_900);
      assert.deepEqual(process.signals, []);
      await world.clock.advance(200);
      assert.deepEqual(process.signals, ['SIGTERM']);
      await world.clock.advance(14_500);
      assert.equal(world.pods().length, 1);
      await world.clock.advance(600);
      assert.deepEqual(process.signals, ['SIGTERM', 'SIGKILL']);
      await world.until(() => world.pods().length === 0, 3_000);
    });

    it('by force leaves no object, and a process for a moment', async () => {
      const [pod] = await world.fleet(1);
      assert.ok(pod !== undefined);
      world.scale(0);
      await world.clock.advance(50);
      world.kubelet.deletePodBy(pod.metadata.name, 0);
      assert.deepEqual([world.pods().length, world.kubelet.running().length], [0, 1]);
      await world.until(() => world.kubelet.running().length === 0, 2_000);
    });

    it('by eviction waits until the disruption budget allows it', async () => {
      const [first, second] = await world.fleet(2);
      world.api.put({
        apiVersion: 'policy/v1',
        kind: 'PodDisruptionBudget',
        metadata: { name: 'orders-pooler', namespace: NAMESPACE },
        spec: {
          maxUnavailable: 1,
          unhealthyPodEvictionPolicy: 'AlwaysAllow',
          selector: { matchLabels: { [LABEL.pool]: 'orders' } },
        },
      } as never);
      assert.equal(world.kubelet.evict(first?.metadata.name ?? ''), true);
      assert.equal(world.kubelet.evict(second?.metadata.name ?? ''), false);
      await world.until(() => world.readyPods().length === 2);
      assert.equal(world.kubelet.evict(second?.metadata.name ?? ''), true);
    });

    it('with its node: the objects go, the world.processes live on for a while', async () => {
      const [pod] = await world.fleet(1);
      assert.ok(pod !== undefined);
      world.kubelet.loseNode([pod.metadata.name], { processEndsAfterMs: 90_000 });
      await world.until(() => world.readyPods().length === 1);
      assert.equal(world.kubelet.running().length, 2);
      assert.notEqual(world.readyPods()[0]?.status?.podIP, pod.status?.podIP);
      await world.until(() => world.kubelet.running().length === 1, 90_000);
    });

    it('with a silent node: NotReady, then Terminating, and there until the node is back', async () => {
      const [pod] = await world.fleet(1);
      assert.ok(pod !== undefined);
      world.kubelet.loseNode([pod.metadata.name], { processEndsAfterMs: Infinity, objects: 'silent' });
      await world.clock.advance(30_000);
      assert.equal(world.readyPods().length, 1);
      await world.until(() => world.readyPods().length === 0);
      await world.until(() => world.active().length === 1 && world.readyPods().length === 1, 400_000);
      await world.clock.advance(600_000);
      assert.equal(world.pods().length, 2);
      world.kubelet.returnNode([pod.metadata.uid]);
      await world.until(() => world.pods().length === 1);
      assert.deepEqual(world.processOf(pod).signals, ['SIGTERM']);
    });

    it('by failure leaves a Failed object, which the ReplicaSet replaces', async () => {
      const [pod] = await world.fleet(1);
      assert.ok(pod !== undefined);
      world.kubelet.failPod(pod.metadata.name);
      await world.until(() => world.readyPods().length === 1 && world.pods().length === 2);
      const { finished, container } = world.facts(pod);
      assert.deepEqual([finished, container.running], [true, false]);
    });
  });

  it('shows callers of a Service its Ready pods, up to a second late', async () => {
    const ready = await world.fleet(2);
    await world.clock.advance(1_000);
    const seen = () => world.kubelet.endpoints(NAMESPACE, SERVING);
    assert.deepEqual(
      seen().map(({ pod, ip }) => [pod, ip]),
      ready.map(({ metadata, status }) => [metadata.name, status?.podIP]),
    );
    const [first] = ready;
    assert.ok(first !== undefined);
    await world.api
      .connect(() => ({ ...GOOD_FATE, delayMs: 0 }), { watchLagMs: () => 0 })
      .mergePatch(RESOURCES.Pod, NAMESPACE, first.metadata.name, { metadata: { labels: { [LABEL.serving]: null } } });
    assert.equal(seen().length, 2);
    await world.clock.advance(1_000);
    assert.equal(seen().length, 1);
  });
});
