import assert from 'node:assert/strict';
import type { ListWatchApi } from '../../src/kube/list-watch.ts';
import { ApiError } from '../../src/kube/errors.ts';
import type { Secret } from '../../src/kube/resources.ts';
import { SecretWatches } from '../../src/kube/secret-watches.ts';
import type { WatchFrame } from '../../src/kube/watch-frames.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { FakeClock } from '../support/fake-clock.ts';

type Selected = {
  readonly namespace?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly signal?: AbortSignal | undefined;
};

/** The list-watch interface over a few Secrets; counts what is open. */
class Secrets {
  readonly open = new Map<string, (frame: WatchFrame) => void>();
  readonly existing = new Map<string, Secret>();
  refuse: ApiError | undefined;
  #version = 1;

  readonly api = {
    list: (_resource: unknown, options: Selected) => {
      if (this.refuse !== undefined) {
        return Promise.reject(this.refuse);
      }
      const secret = this.existing.get(keyOf(options));
      return Promise.resolve({ items: secret === undefined ? [] : [secret], resourceVersion: String(this.#version) });
    },
    openWatch: (_resource: unknown, options: Selected) => Promise.resolve(this.#frames(keyOf(options), options.signal)),
  } as unknown as ListWatchApi;

  set(namespace: string, name: string, data: Record<string, string>): void {
    const resourceVersion = String((this.#version += 1));
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': 'everything' };
    const metadata = { namespace, name, uid: `uid-${name}`, resourceVersion, annotations };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata, data };
    const type = this.existing.has(`${namespace}/${name}`) ? 'MODIFIED' : 'ADDED';
    this.existing.set(`${namespace}/${name}`, secret);
    this.open.get(`${namespace}/${name}`)?.({ type, object: secret });
  }

  remove(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    const secret = this.existing.get(key);
    assert.ok(secret);
    this.existing.delete(key);
    const metadata = { ...secret.metadata, resourceVersion: String((this.#version += 1)) };
    this.open.get(key)?.({ type: 'DELETED', object: { ...secret, metadata } });
  }

  async *#frames(key: string, signal: AbortSignal | undefined): AsyncGenerator<WatchFrame> {
    assert.ok(!this.open.has(key), `two watches on ${key}`);
    const queue: WatchFrame[] = [];
    let wake = (): void => undefined;
    this.open.set(key, (frame) => {
      queue.push(frame);
      wake();
    });
    signal?.addEventListener('abort', () => {
      this.open.delete(key);
      wake();
    });
    while (signal?.aborted === false) {
      yield* queue.splice(0);
      await new Promise<void>((resolve) => (wake = resolve));
    }
    throw new ApiError({ kind: 'cancelled', message: 'cancelled' });
  }
}

function keyOf({ namespace, fieldSelector }: Selected): string {
  assert.ok(namespace !== undefined, 'a Secret watch is never for all namespaces');
  assert.match(fieldSelector ?? '', /^metadata\.name=/, 'a Secret watch is never for a whole namespace');
  return `${namespace}/${(fieldSelector ?? '').slice('metadata.name='.length)}`;
}

function setUp() {
  const clock = new FakeClock();
  const secrets = new Secrets();
  const watches = new SecretWatches({ client: secrets.api, clock, log: silentLog, random: () => 0.5 });
  const told: string[] = [];
  watches.onChange((owners) => told.push([...owners].sort().join(' ')));
  return { clock, secrets, watches, told };
}

describe('the watches of Secrets', () => {
  it('know a Secret, or that there is none, once the server has answered', async () => {
    const { clock, secrets, watches, told } = setUp();
    secrets.set('shop', 'app', { password: 'x' });
    watches.want('shop/orders', new Set(['shop/app', 'shop/absent']));
    assert.equal(watches.get('shop/app'), 'unsynced');
    await clock.settle();
    assert.deepEqual((watches.get('shop/app') as Secret).data, { password: 'x' });
    assert.equal(watches.get('shop/absent'), 'missing');
    assert.equal(watches.get('shop/unwanted'), 'unsynced');
    assert.deepEqual(told, ['shop/orders', 'shop/orders']);
    await watches.stop();
  });

  it('tell every owner of a Secret of its changes, and nobody else', async () => {
    const { clock, secrets, watches, told } = setUp();
    watches.want('a', new Set(['shop/one', 'shop/both']));
    watches.want('b', new Set(['shop/two', 'shop/both']));
    await clock.settle();
    told.length = 0;
    secrets.set('shop', 'both', { x: '1' });
    await clock.settle();
    secrets.set('shop', 'two', { x: '1' });
    await clock.settle();
    secrets.remove('shop', 'two');
    await clock.settle();
    assert.deepEqual(told, ['a b', 'b', 'b']);
    assert.equal(watches.get('shop/two'), 'missing');
    await watches.stop();
  });

  it('open one watch for each Secret, and close it with the last owner', async () => {
    const { clock, secrets, watches } = setUp();
    watches.want('a', new Set(['shop/one', 'shop/both']));
    watches.want('b', new Set(['shop/both']));
    await clock.settle();
    assert.deepEqual([...secrets.open.keys()].sort(), ['shop/both', 'shop/one']);
    watches.want('a', new Set());
    await clock.settle();
    assert.deepEqual([...secrets.open.keys()], ['shop/both']);
    watches.want('b', new Set(['shop/one']));
    await clock.settle();
    assert.deepEqual([...secrets.open.keys()], ['shop/one']);
    assert.equal(watches.get('shop/both'), 'unsynced');
    await watches.stop();
    assert.equal(secrets.open.size, 0);
  });

  it('keep a Secret in memory without the copies that annotations may hold', async () => {
    const { clock, secrets, watches } = setUp();
    secrets.set('shop', 'app', { password: 'x' });
    watches.want('a', new Set(['shop/app']));
    await clock.settle();
    assert.equal((watches.get('shop/app') as Secret).metadata.annotations, undefined);
    await watches.stop();
  });

  it('say why a Secret is not known when the server refuses', async () => {
    const { clock, secrets, watches } = setUp();
    secrets.refuse = new ApiError({ kind: 'forbidden', message: 'no' });
    watches.want('a', new Set(['shop/app']));
    await clock.settle();
    assert.equal(watches.get('shop/app'), 'unsynced');
    assert.equal(watches.lastError('shop/app')?.kind, 'forbidden');
    secrets.refuse = undefined;
    await clock.advance(1000);
    assert.equal(watches.get('shop/app'), 'missing');
    await watches.stop();
  });

  it('refuse a key that is not namespace/name', () => {
    const { watches } = setUp();
    assert.throws(() => {
      watches.want('a', new Set(['app']));
    }, /"app" is not namespace\/name/);
  });
});
