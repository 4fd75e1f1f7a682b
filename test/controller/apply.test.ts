// What carrying out a plan sends: preconditions on everything that could be stale, nothing after the lead is lost, nothing to strangers.
import assert from 'node:assert/strict';
import { apply, type ApplierOptions } from '../../src/controller/apply.ts';
import { Prover } from '../../src/controller/prover.ts';
import { UnsureWrites } from '../../src/controller/unsure-writes.ts';
import { World } from '../../src/controller/world.ts';
import { ApiError } from '../../src/kube/errors.ts';
import type { LiveObject } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/model/kube-object.ts';
import { PLACE } from '../../src/model/names.ts';
import type { Observation, PodFacts } from '../../src/model/observation.ts';
import type { Action } from '../../src/model/plan.ts';
import type { PoolerConsole } from '../../src/pgbouncer/console.ts';
import { AdminError } from '../../src/pgbouncer/errors.ts';
import { renderService } from '../../src/render/children.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { KubeRecorder } from '../support/kube-recorder.ts';
import { newPod, NOW_MS, observation, poolConfig } from '../support/observation.ts';

const KEY = 'shop/orders';
const why = 'a test';
const POD: PodFacts = { ...newPod('p1', 't1', NOW_MS), uid: 'uid-p1', resourceVersion: '41', ip: '10.0.0.1' };
const GROW: Action = { kind: 'patchPod', name: 'p1', resourceVersion: '41', annotations: { grant: 'more' }, why };
const SCALE: Action = { kind: 'scaleReplicaSet', name: 'set', resourceVersion: '7', from: 2, to: 3, why };

function setUp(console: Partial<PoolerConsole> = {}) {
  const kube = new KubeRecorder();
  const clock = new FakeClock();
  const world = new World({
    client: kube.api,
    clock,
    log: silentLog,
    random: () => 0.5,
    namespaces: [],
    onChange: () => undefined,
  });
  const options: ApplierOptions = {
    client: kube.api,
    world,
    consoles: {
      get: () => console as PoolerConsole,
      retain: () => Promise.resolve(),
      closeAll: () => Promise.resolve(),
    },
    clock,
    newSecret: (bytes) => 'x'.repeat(bytes),
    prover: new Prover(),
    refusals: new Map(),
    unsure: new UnsureWrites(),
    foreign: new Map<string, ReadonlyMap<string, LiveObject>>(),
  };
  const carryOut = (actions: readonly Action[], signal = new AbortController().signal, seen?: Partial<Observation>) =>
    apply(options, KEY, observation(poolConfig(), { pods: [POD], ...seen }), actions, signal);
  return { kube, options, world, carryOut };
}

describe('carrying out a plan', () => {
  it('patches a pod only in the version that the plan was made from', async () => {
    const { kube, carryOut } = setUp();
    await carryOut([GROW]);
    assert.deepEqual(
      kube.writes.map(({ verb, target, options }) => [verb, target, options['resourceVersion']]),
      [['mergePatch', 'Pod/p1', '41']],
    );
  });

  it('scales a ReplicaSet only in the version that the plan was made from', async () => {
    const { kube, carryOut } = setUp();
    await carryOut([SCALE]);
    const [write] = kube.writes;
    assert.deepEqual([write?.body, write?.options['resourceVersion']], [{ spec: { replicas: 3 } }, '7']);
  });

  it('deletes the very pod that was meant, and the very ReplicaSet', async () => {
    const { kube, carryOut } = setUp();
    await carryOut([
      { kind: 'deletePod', name: 'p1', uid: 'uid-p1', resourceVersion: '41', why },
      { kind: 'deleteReplicaSet', name: 'set', uid: 'uid-set', resourceVersion: '7', why },
    ]);
    assert.deepEqual(
      kube.writes.map(({ target, options }) => [target, options['uid'], options['resourceVersion']]),
      [
        ['Pod/p1', 'uid-p1', '41'],
        ['ReplicaSet/set', 'uid-set', '7'],
      ],
    );
  });

  it('ends at the first write that fails: what follows was decided on what is no longer so', async () => {
    const { kube, carryOut } = setUp();
    kube.onWrite = ({ target }) => {
      if (target === 'Pod/p1') throw new ApiError({ kind: 'conflict', status: 409, message: 'the pod has changed' });
    };
    await assert.rejects(carryOut([GROW, SCALE]), { name: 'ApiError', kind: 'conflict' });
    assert.deepEqual(
      kube.writes.map(({ target }) => target),
      ['Pod/p1'],
    );
  });

  for (const kind of ['timeout', 'unavailable', 'cancelled', 'conflict'] as const) {
    const open = kind !== 'conflict';
    it(`${open ? 'leaves open whether a pod was written' : 'knows that a pod was not written'} when the answer is ${kind}`, async () => {
      const { kube, world, options, carryOut } = setUp();
      kube.onWrite = () => {
        throw new ApiError({ kind, message: 'no answer that says so' });
      };
      await assert.rejects(carryOut([GROW]), { kind });
      const metadata = { name: 'p1', namespace: 'shop', uid: 'uid-p1', resourceVersion: '42', creationTimestamp: '' };
      kube.stored.set('Pod/p1', { apiVersion: 'v1', kind: 'Pod', metadata });
      const settle = (): Promise<void> =>
        options.unsure.settle(KEY, 'shop', kube.api, world, new AbortController().signal);
      await settle();
      assert.equal(world.pods.get('shop', 'p1')?.metadata.resourceVersion, open ? '42' : undefined);
      // Once is enough.
      kube.stored.clear();
      await settle();
    });
  }

  it('writes nothing more once its leadership has ended, not even the next action of a plan', async () => {
    const { kube, carryOut } = setUp();
    const term = new AbortController();
    kube.onWrite = () => {
      term.abort(new Error('no longer leading'));
    };
    await assert.rejects(carryOut([SCALE, GROW], term.signal), /no longer leading/);
    assert.deepEqual(
      kube.writes.map(({ target }) => target),
      ['ReplicaSet/set'],
    );
  });

  it('creates credentials and never writes over any', async () => {
    const { kube, carryOut } = setUp();
    await carryOut([{ kind: 'createCredentials', why }]);
    assert.deepEqual(
      kube.writes.map(({ verb, target }) => [verb, target]),
      [['create', 'Secret/orders-pooler-operator']],
    );
  });

  describe('that wants a child', () => {
    const service: KubeObject = renderService(poolConfig());
    const live = (ownerUid: string): LiveObject => ({
      ...service,
      metadata: {
        ...service.metadata,
        uid: 'service-uid',
        resourceVersion: '3',
        ownerReferences: (service.metadata.ownerReferences ?? []).map((owner) => ({ ...owner, uid: ownerUid })),
      },
    });

    it('applies it', async () => {
      const { kube, carryOut } = setUp();
      await carryOut([{ kind: 'applyChild', object: service, why }]);
      assert.deepEqual(
        kube.writes.map(({ verb, target }) => [verb, target]),
        [['apply', 'Service/orders-pooler']],
      );
    });

    it('leaves an object alone that bears a child’s name and is somebody else’s, and remembers it', async () => {
      const { kube, options, carryOut } = setUp();
      kube.stored.set('Service/orders-pooler', live('somebody else'));
      await carryOut([{ kind: 'applyChild', object: service, why }]);
      assert.deepEqual(kube.writes, []);
      assert.deepEqual([...(options.foreign.get(KEY)?.keys() ?? [])], ['Service/orders-pooler']);
    });

    it('applies one of its own that its stores have not heard of yet', async () => {
      const { kube, carryOut } = setUp();
      kube.stored.set('Service/orders-pooler', live('pool-uid'));
      await carryOut([{ kind: 'applyChild', object: service, why }]);
      assert.equal(kube.writes.length, 1);
    });
  });

  describe('that loads live.ini', () => {
    const load: Action = { kind: 'loadLive', pod: 'p1', uid: 'uid-p1', ini: 'hash', why };

    it('puts boot.ini back in force when PgBouncer refuses live.ini, and remembers what was refused', async () => {
      const loaded: string[] = [];
      const { options, carryOut } = setUp({
        loadFile: (file: string) => {
          loaded.push(file);
          return file === PLACE.liveFile
            ? Promise.reject(new AdminError('refused', 'RELOAD failed: query_wait_timeout'))
            : Promise.resolve();
        },
      });
      await carryOut([load]);
      assert.deepEqual(loaded, [PLACE.liveFile, PLACE.bootFile]);
      const { ini, message } = options.refusals.get('uid-p1') ?? {};
      assert.deepEqual([ini, message], ['hash', 'RELOAD failed: query_wait_timeout']);
    });

    it('loads nothing else when the console is away, and forgets no refusal', async () => {
      const loaded: string[] = [];
      const { options, carryOut } = setUp({
        loadFile: (file: string) => {
          loaded.push(file);
          return Promise.reject(new AdminError('timeout', 'no answer'));
        },
      });
      options.refusals.set('uid-p1', { ini: 'former', message: 'no', atMs: 1 });
      await assert.rejects(carryOut([load]), { kind: 'timeout' });
      assert.deepEqual(loaded, [PLACE.liveFile]);
      assert.equal(options.refusals.get('uid-p1')?.ini, 'former');
    });
  });
});
