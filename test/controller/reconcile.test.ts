// One turn for one PoolConfig: status is written only when it says something new, and only on the version that was looked at.
import assert from 'node:assert/strict';
import type { PoolConfigStatus } from '../../src/api/poolconfig.gen.ts';
import { LostServers } from '../../src/controller/lost-servers.ts';
import { Prover } from '../../src/controller/prover.ts';
import { Reconciler } from '../../src/controller/reconcile.ts';
import { World, type LivePool } from '../../src/controller/world.ts';
import { EventRecorder } from '../../src/kube/events.ts';
import { ApiError } from '../../src/kube/errors.ts';
import type { LiveObject } from '../../src/kube/resources.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { KubeRecorder, type Written } from '../support/kube-recorder.ts';
import { poolConfig } from '../support/observation.ts';

const KEY = 'shop/orders';
const POOL: LivePool = { ...poolConfig(), metadata: { ...poolConfig().metadata, resourceVersion: '50' } };

/** A world in which the user's Secret does not exist: credentials are made, the rest waits, and status says so. */
function setUp({ leads = true } = {}) {
  const kube = new KubeRecorder();
  kube.stores = (object) => {
    const { stringData, status, ...rest } = object as LiveObject & {
      stringData?: Readonly<Record<string, string>>;
      status?: PoolConfigStatus;
    };
    if (status !== undefined)
      return {
        ...POOL,
        metadata: { ...POOL.metadata, resourceVersion: rest.metadata.resourceVersion },
        status,
      } as LivePool;
    const data = Object.entries(stringData ?? {}).map(([name, text]) => [name, Buffer.from(text).toString('base64')]);
    return { ...rest, data: Object.fromEntries(data) as unknown } as LiveObject;
  };
  const clock = new FakeClock();
  const shared = { client: kube.api, clock, log: silentLog, random: () => 0.5 };
  const world = new World({ ...shared, namespaces: [], onChange: () => undefined });
  world.pools.upsert(POOL);
  const reconciler = new Reconciler({
    ...shared,
    world,
    consoles: {
      get: () => assert.fail('there is no pod to talk to'),
      retain: () => Promise.resolve(),
      closeAll: () => Promise.resolve(),
    },
    servers: {
      observe: () => Promise.resolve(undefined),
      tryLogins: () => Promise.resolve([]),
      forget: () => Promise.resolve(),
      closeAll: () => Promise.resolve(),
    },
    prover: new Prover(),
    lost: new LostServers(),
    events: new EventRecorder({ ...shared, controller: 'test', instance: 'test' }),
    newSecret: (bytes) => 'x'.repeat(bytes),
    refusals: new Map(),
    foreign: new Map<string, ReadonlyMap<string, LiveObject>>(),
    defaultImage: 'pgbouncer:test',
    epoch: () => (leads ? 7 : undefined),
  });
  const turn = async (): Promise<readonly Written[]> => {
    const before = kube.writes.length;
    await reconciler.reconcile(KEY, new AbortController().signal);
    await clock.settle();
    return kube.writes.slice(before).filter(({ target }) => !target.startsWith('Event/'));
  };
  return { kube, world, turn };
}

describe('a turn', () => {
  async function looked(setting: ReturnType<typeof setUp>) {
    // The first look asks for the Secret; the answer is there for the second.
    assert.deepEqual(await setting.turn(), []);
    return setting.turn();
  }

  it('writes what it found into status, on the very version that it looked at', async () => {
    const setting = setUp();
    const [credentials, status, ...more] = await looked(setting);
    assert.deepEqual([credentials?.verb, credentials?.target], ['create', 'Secret/orders-pooler-operator']);
    assert.deepEqual([status?.target, status?.options['subresource'], more], ['PoolConfig/orders', 'status', []]);
    assert.equal((status?.body as LivePool).metadata.resourceVersion, '50');
    assert.ok((status?.body as LivePool).status?.conditions?.some(({ reason }) => reason === 'SecretMissing'));
    await setting.world.stop();
  });

  it('writes nothing when nothing has changed', async () => {
    const setting = setUp();
    await looked(setting);
    // Credentials are there now, which status has to say as well.
    await setting.turn();
    assert.deepEqual(await setting.turn(), []);
    assert.deepEqual(await setting.turn(), []);
    await setting.world.stop();
  });

  it('reads again what it wrote without getting an answer, before it plans on that', async () => {
    const setting = setUp();
    const { kube, world } = setting;
    kube.onWrite = (write) => {
      if (write.target !== 'Secret/orders-pooler-operator' || kube.stored.has(write.target)) return;
      // It happened all the same.
      const object = write.body as LiveObject & { stringData: Readonly<Record<string, string>> };
      const data = Object.fromEntries(
        Object.entries(object.stringData).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
      );
      kube.stored.set(write.target, {
        ...object,
        metadata: { ...object.metadata, uid: 'secret-uid', resourceVersion: '60' },
        data,
      } as LiveObject);
      throw new ApiError({ kind: 'timeout', message: 'no answer in time' });
    };
    await assert.rejects(looked(setting), { kind: 'timeout' });
    assert.deepEqual(
      (await setting.turn()).map(({ verb, target }) => `${verb} ${target}`),
      ['apply PoolConfig/orders'],
    );
    await world.stop();
  });

  it('does nothing while this process does not lead', async () => {
    const setting = setUp({ leads: false });
    assert.deepEqual(await looked(setting), []);
    await setting.world.stop();
  });
});
