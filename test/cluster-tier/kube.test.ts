// src/kube against a real API server: what only the real one decides. Needs KUBECONFIG; each test has a namespace of its own.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { KubeClient } from '../../src/kube/client.ts';
import { isApiError } from '../../src/kube/errors.ts';
import type { ApiErrorKind } from '../../src/kube/errors.ts';
import { EventRecorder } from '../../src/kube/events.ts';
import { LeaderElector } from '../../src/kube/lease.ts';
import { Reflector } from '../../src/kube/reflector.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { ConfigMap, Secret } from '../../src/kube/resources.ts';
import { SecretWatches } from '../../src/kube/secret-watches.ts';
import { Store } from '../../src/kube/store.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { until as untilSoon } from '../support/until.ts';

const run = promisify(execFile);
/** The machine may be busy with a whole cluster: patience costs nothing when a condition holds early. */
const until: typeof untilSoon = (what, condition, options) =>
  untilSoon(what, condition, { timeoutMs: 30_000, ...options });
const common = { clock: systemClock, log: silentLog, random: Math.random };
const CLUSTER = ['test/cluster/main.ts'] as const;

/** The restart of a component is possible only where the cluster is this repository's own. */
async function isOwnCluster(): Promise<boolean> {
  try {
    const { stdout } = await run('node', [...CLUSTER, 'kubeconfig']);
    return resolve(stdout.trim()) === resolve(process.env['KUBECONFIG'] ?? '');
  } catch {
    return false;
  }
}

describe('src/kube on a real API server', function () {
  this.timeout(120_000);
  let client: KubeClient;
  let namespace: string;
  const stopping: (() => Promise<unknown>)[] = [];

  before(function () {
    if ((process.env['KUBECONFIG'] ?? '') === '') {
      this.skip();
    }
  });

  beforeEach(async () => {
    client = KubeClient.fromKubeConfig({ qps: 500, burst: 1000 });
    namespace = `kube-test-${randomUUID().slice(0, 8)}`;
    await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  });

  afterEach(async () => {
    await Promise.all(stopping.splice(0).map((stop) => stop()));
    await client.delete(RESOURCES.Namespace, undefined, namespace, { propagationPolicy: 'Background' });
    await client.close();
  });

  const configMap = (name: string, data: Readonly<Record<string, string>> = {}) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace },
    data,
  });
  const fails = (kind: ApiErrorKind, call: Promise<unknown>) =>
    assert.rejects(call, (error: unknown) => isApiError(error, kind), `it should have been ${kind}`);

  function follow(): Store<ConfigMap> & { readonly reflector: Reflector<ConfigMap> } {
    const store = new Store<ConfigMap>({ log: silentLog });
    const reflector = new Reflector({ ...common, client, resource: RESOURCES.ConfigMap, namespace, store });
    reflector.start();
    stopping.push(() => reflector.stop());
    return Object.assign(store, { reflector });
  }

  it('knows the version of the server', async () => {
    const { gitVersion, minor } = await client.serverVersion();
    assert.match(gitVersion, /^v1\.\d+/);
    assert.ok(minor >= 30);
  });

  it('creates, reads, patches, replaces and deletes; timestamps stay text', async () => {
    const created = await client.create(configMap('a', { x: '1' }));
    await fails('alreadyExists', client.create(configMap('a')));
    const read = await client.get(RESOURCES.ConfigMap, namespace, 'a');
    assert.match(read.metadata.creationTimestamp ?? '', /^\d{4}-.*Z$/);
    const patched = await client.mergePatch(RESOURCES.ConfigMap, namespace, 'a', { data: { y: '2' } });
    assert.deepEqual(patched.data, { x: '1', y: '2' });
    const replaced = await client.update({ ...patched, data: { z: '3' } });
    assert.deepEqual(replaced.data, { z: '3' });
    await client.delete(RESOURCES.ConfigMap, namespace, 'a', { uid: created.metadata.uid });
    assert.equal(await client.find(RESOURCES.ConfigMap, namespace, 'a'), undefined);
    await fails('notFound', client.delete(RESOURCES.ConfigMap, namespace, 'a'));
  });

  it('applies fields of its own, meets those of another manager as a conflict, and takes them only by force', async () => {
    await client.apply(configMap('a', { x: '1' }), { fieldManager: 'one' });
    await fails('conflict', client.apply(configMap('a', { x: '2' }), { fieldManager: 'two' }));
    const shared = await client.apply(configMap('a', { y: '2' }), { fieldManager: 'two' });
    assert.deepEqual(shared.data, { x: '1', y: '2' });
    const forced = await client.apply(configMap('a', { x: '3', y: '2' }), { fieldManager: 'two', force: true });
    assert.deepEqual(forced.data, { x: '3', y: '2' });
  });

  it('writes nothing in a second apply of the same, nor in a dry run', async () => {
    const first = await client.apply(configMap('a', { x: '1' }));
    const second = await client.apply(configMap('a', { x: '1' }));
    assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion);
    const dry = await client.apply(configMap('a', { x: '2' }), { dryRun: true });
    assert.deepEqual(dry.data, { x: '2' });
    await client.create(configMap('b'), { dryRun: true });
    assert.equal(await client.find(RESOURCES.ConfigMap, namespace, 'b'), undefined);
    assert.deepEqual((await client.get(RESOURCES.ConfigMap, namespace, 'a')).data, { x: '1' });
  });

  it('refuses a write that was decided on an older state', async () => {
    const old = await client.create(configMap('a', { x: '1' }));
    const { uid, resourceVersion } = old.metadata;
    await client.mergePatch(RESOURCES.ConfigMap, namespace, 'a', { data: { x: '2' } }, { resourceVersion });
    await fails('conflict', client.update({ ...old, data: { x: '3' } }));
    await fails(
      'conflict',
      client.mergePatch(RESOURCES.ConfigMap, namespace, 'a', { data: { x: '3' } }, { resourceVersion }),
    );
    await fails('conflict', client.delete(RESOURCES.ConfigMap, namespace, 'a', { resourceVersion }));
    await client.delete(RESOURCES.ConfigMap, namespace, 'a');
    await client.create(configMap('a'));
    await fails('conflict', client.delete(RESOURCES.ConfigMap, namespace, 'a', { uid }));
    await fails(
      'conflict',
      client.mergePatch(RESOURCES.ConfigMap, namespace, 'a', { data: { x: '3' } }, { resourceVersion }),
    );
  });

  it('tells a mistake in an object from everything that may pass', async () => {
    await fails('invalid', client.create(configMap('Not_A_Name')));
    await fails('notFound', client.get(RESOURCES.ConfigMap, namespace, 'absent'));
  });

  it('follows 500 objects through creation, change, deletion and a list in pages', async () => {
    const store = follow();
    await store.reflector.waitForSync(AbortSignal.timeout(30_000));
    const before = store.size;
    const names = Array.from({ length: 500 }, (_, index) => `item-${index}`);
    const inBatches = async (act: (name: string) => Promise<unknown>): Promise<void> => {
      for (let start = 0; start < names.length; start += 25) {
        await Promise.all(names.slice(start, start + 25).map(act));
      }
    };
    await inBatches((name) => client.create(configMap(name)));
    await until('all are in the store', () => store.size === before + 500);
    await inBatches((name) => client.mergePatch(RESOURCES.ConfigMap, namespace, name, { data: { x: name } }));
    await until('all changes are in the store', () =>
      names.every((name) => store.get(namespace, name)?.data?.['x'] === name),
    );
    const { metadata } = store.get(namespace, 'item-7') ?? {};
    assert.ok(metadata !== undefined && !('managedFields' in metadata));
    const page = await client.list(RESOURCES.ConfigMap, { namespace, limit: 100 });
    assert.equal(page.items.length, 100);
    assert.ok(page.continue !== undefined);
    const second = follow();
    await second.reflector.waitForSync(AbortSignal.timeout(30_000));
    assert.equal(second.size, store.size);
    await inBatches((name) => client.delete(RESOURCES.ConfigMap, namespace, name));
    await until('both stores are as before', () => store.size === before && second.size === before);
    assert.deepEqual([store.reflector.metrics().errors, store.reflector.metrics().lists], [0, 1]);
  });

  it('follows one Secret by name, and is told of its appearance, change and end', async () => {
    const watches = new SecretWatches({ ...common, client });
    stopping.push(() => watches.stop());
    let told = 0;
    watches.onChange((owners) => {
      assert.deepEqual(owners, ['pool']);
      told += 1;
    });
    const key = `${namespace}/app`;
    const other = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'other', namespace }, stringData: { a: 'b' } };
    watches.want('pool', new Set([key]));
    await until('it is known to be missing', () => watches.get(key) === 'missing');
    await client.create(other);
    await client.create({ ...other, metadata: { name: 'app', namespace }, stringData: { password: 'one' } });
    const password = (): string | undefined => {
      const secret = watches.get(key);
      return typeof secret === 'string' ? secret : atob((secret satisfies Secret).data?.['password'] ?? '');
    };
    await until('it has appeared', () => password() === 'one');
    await client.mergePatch(RESOURCES.Secret, namespace, 'app', { stringData: { password: 'two' } });
    await until('it has changed', () => password() === 'two');
    await client.delete(RESOURCES.Secret, namespace, 'app');
    await until('it is gone', () => watches.get(key) === 'missing');
    assert.equal(told, 4);
  });

  function elector(identity: string): LeaderElector {
    const made = new LeaderElector({
      ...common,
      client,
      namespace,
      name: 'operator',
      identity,
      leaseDurationMs: 3_000,
      renewDeadlineMs: 2_000,
      retryPeriodMs: 250,
      onStartedLeading: () => undefined,
      onStoppedLeading: () => undefined,
    });
    made.start();
    stopping.push(() => made.stop());
    return made;
  }

  it('hands the Lease over when the leader stops, and to the restarted leader itself at once', async () => {
    const a = elector('a');
    await until('a leads', () => a.isLeader());
    const former = a.epoch ?? 0;
    const b = elector('b');
    await until('b knows of a', () => b.holder === 'a');
    const startedMs = performance.now();
    await a.stop();
    await until('b leads', () => b.isLeader());
    assert.ok(performance.now() - startedMs < 2_500);
    const next = b.epoch ?? 0;
    assert.ok(next > former);
    const restarted = elector('b');
    await until('the new b leads', () => restarted.isLeader());
    assert.ok((restarted.epoch ?? 0) > next);
    await until('the old b has noticed', () => !b.isLeader());
  });

  it('gives the Lease to another when its holder is gone, after the lease and not before', async () => {
    const { apiVersion, kind } = RESOURCES.Lease;
    const spec = { holderIdentity: 'gone', leaseDurationSeconds: 3, leaseTransitions: 41 };
    await client.create({ apiVersion, kind, metadata: { namespace, name: 'operator' }, spec });
    const startedMs = performance.now();
    const b = elector('b');
    await until('b leads', () => b.isLeader());
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs >= 3_000 && tookMs < 8_000, `${tookMs} ms`);
    assert.ok((b.epoch ?? 0) > 41);
  });

  it('keeps one leader at a time among three, also when the Lease is deleted under them', async () => {
    const electors = ['a', 'b', 'c'].map(elector);
    const leaders = (): number => electors.filter((candidate) => candidate.isLeader()).length;
    await until('all know the leader', () => leaders() === 1 && electors.every(({ holder }) => holder !== undefined));
    await client.delete(RESOURCES.Lease, namespace, 'operator');
    const endMs = performance.now() + 4_000;
    let most = 0;
    await until('four seconds have passed', () => {
      most = Math.max(most, leaders());
      return performance.now() > endMs;
    });
    assert.equal(most, 1);
    await until('there is a leader again', () => leaders() === 1);
  });

  it('writes an event that the server takes, and its repetitions into a series', async () => {
    const recorder = new EventRecorder({ ...common, client, controller: 'poolsmith.dev/operator', instance: 'test' });
    const owner = await client.create(configMap('a'));
    const { name, uid } = owner.metadata;
    const regarding = { apiVersion: 'v1', kind: 'ConfigMap', name, namespace, uid };
    const facts = { regarding, type: 'Normal', reason: 'Tested', action: 'Test', note: 'ä'.repeat(2_000) } as const;
    recorder.record(facts);
    await until('it is written', () => recorder.metrics().created === 1);
    recorder.record(facts);
    recorder.record(facts);
    await recorder.stop();
    assert.deepEqual(recorder.metrics(), { recorded: 3, created: 1, seriesWrites: 1, dropped: 0 });
    const { items } = await client.list(RESOURCES.Event, { namespace, fieldSelector: 'reason=Tested' });
    assert.equal(items.length, 1);
    assert.equal(items[0]?.series?.count, 3);
  });

  it('goes on by itself when the API server restarts: reflector, Secret watch and leader', async function () {
    if (!(await isOwnCluster())) {
      this.skip();
    }
    this.timeout(180_000);
    const store = follow();
    const watches = new SecretWatches({ ...common, client });
    stopping.push(() => watches.stop());
    const key = `${namespace}/app`;
    watches.want('pool', new Set([key]));
    const leader = elector('a');
    await until(
      'all is running',
      () => store.reflector.hasSynced && watches.get(key) === 'missing' && leader.isLeader(),
    );
    const { signal, epoch = 0 } = leader;
    await run('node', [...CLUSTER, 'restart', 'kube-apiserver'], { timeout: 120_000 });
    await until(
      'the server answers',
      () =>
        client.serverVersion().then(
          () => true,
          () => false,
        ),
      { timeoutMs: 60_000, everyMs: 200 },
    );
    await client.create(configMap('after'));
    await client.create({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'app', namespace },
      stringData: { a: 'b' },
    });
    await until('the store follows', () => store.get(namespace, 'after') !== undefined, { timeoutMs: 30_000 });
    await until('the Secret is known', () => typeof watches.get(key) !== 'string', { timeoutMs: 30_000 });
    await until('it leads', () => leader.isLeader(), { timeoutMs: 30_000 });
    assert.ok(signal.aborted ? (leader.epoch ?? 0) > epoch : leader.epoch === epoch);
    assert.ok(store.reflector.metrics().watches <= 12, `${store.reflector.metrics().watches} watches were opened`);
  });
});
