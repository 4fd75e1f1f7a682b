// The simulated API server: what its clients may rely on, and what faults do to them.
import assert from 'node:assert/strict';
import { isApiError, type ApiErrorKind } from '../../../src/kube/errors.ts';
import { Reflector } from '../../../src/kube/reflector.ts';
import { RESOURCES, type ConfigMap } from '../../../src/kube/resources.ts';
import { Store } from '../../../src/kube/store.ts';
import type { WatchFrame } from '../../../src/kube/watch-frames.ts';
import { silentLog } from '../../../src/runtime/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { GOOD_FATE, type Fate } from '../contracts.ts';
import { randomOf } from '../../support/random.ts';
import { SimApi } from './sim-api.ts';

const NAMESPACE = 'shop';
const configMap = (name: string, data: Record<string, string> = {}, labels: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: NAMESPACE, labels },
  data,
});

describe('the simulated API server', () => {
  let clock: FakeClock;
  let api: SimApi;
  let fate: Fate;
  const connect = (watchLagMs = 0) => api.connect(() => fate, { watchLagMs: () => watchLagMs });

  beforeEach(() => {
    clock = new FakeClock();
    api = new SimApi({ clock, random: randomOf(7) });
    fate = { ...GOOD_FATE, delayMs: 0 };
  });

  const fails = (kind: ApiErrorKind, call: Promise<unknown>): Promise<void> =>
    assert.rejects(call, (error: unknown) => isApiError(error, kind), `it should have been ${kind}`);
  const live = () => api.find('ConfigMap', NAMESPACE, 'a');

  describe('a call with a fate', () => {
    it('takes effect after its way there, and is answered after as much again', async () => {
      fate = { ...GOOD_FATE, delayMs: 40 };
      let answered = false;
      void connect()
        .create(configMap('a'))
        .then(() => (answered = true));
      await clock.advance(39);
      assert.equal(live(), undefined);
      await clock.advance(1);
      assert.ok(live() !== undefined && !answered);
      await clock.advance(40);
      assert.ok(answered);
    });

    it('that is lost on its way there has no effect', async () => {
      fate = { delayMs: 0, arrives: false, answer: 'lost' };
      await fails('unavailable', connect().create(configMap('a')));
      assert.equal(live(), undefined);
    });

    it('whose answer is lost has taken effect all the same', async () => {
      fate = { delayMs: 0, arrives: true, answer: 'lost' };
      await fails('unavailable', connect().create(configMap('a')));
      assert.ok(live() !== undefined);
    });

    it('of a dead caller is never answered, and may arrive', async () => {
      fate = { delayMs: 1, arrives: true, answer: 'never' };
      let settled = false;
      const note = (): void => {
        settled = true;
      };
      connect().create(configMap('a')).then(note, note);
      await clock.advance(60_000);
      assert.deepEqual([settled, live() !== undefined], [false, true]);
    });

    it('that takes too long ends in a time-out, and takes effect all the same', async () => {
      fate = { ...GOOD_FATE, delayMs: 8_000 };
      const call = fails('timeout', connect().create(configMap('a')));
      await clock.advance(10_000);
      await call;
      assert.ok(live() !== undefined);
    });

    it('that is cancelled fails at once', async () => {
      fate = { ...GOOD_FATE, delayMs: 50 };
      const stop = new AbortController();
      const call = fails('cancelled', connect().create(configMap('a'), { signal: stop.signal }));
      stop.abort(new Error('enough'));
      await call;
    });

    it('of a process that is killed stays open for ever, and its watches fall silent', async () => {
      const client = connect();
      const frames = await client.openWatch(RESOURCES.ConfigMap, { namespace: NAMESPACE });
      let told = 0;
      const note = (): void => {
        told += 1;
      };
      frames.next().then(note, note);
      client.find(RESOURCES.ConfigMap, NAMESPACE, 'a').then(note, note);
      client.kill();
      api.put(configMap('a'));
      await clock.advance(60_000);
      assert.deepEqual([told, api.openWatches], [0, 0]);
    });
  });

  describe('a watch', () => {
    async function take(frames: AsyncGenerator<WatchFrame, void, undefined>): Promise<string> {
      const result = await frames.next();
      if (result.done === true) return 'end';
      const { type, object } = result.value;
      return type === 'BOOKMARK' ? type : `${type} ${object.metadata.name}`;
    }

    it('tells of each change after its lag, in order, from the version asked for', async () => {
      api.put(configMap('a'));
      const { resourceVersion } = api;
      api.put(configMap('b'));
      const frames = await connect(100).openWatch(RESOURCES.ConfigMap, { resourceVersion });
      api.remove('ConfigMap', NAMESPACE, 'a');
      const first = take(frames);
      await clock.advance(99);
      assert.equal(await Promise.race([first, Promise.resolve('nothing yet')]), 'nothing yet');
      await clock.advance(1);
      assert.deepEqual([await first, await take(frames)], ['ADDED b', 'DELETED a']);
    });

    it('with a selector tells of an object that begins or ceases to match as added or deleted', async () => {
      const frames = await connect().openWatch(RESOURCES.ConfigMap, { labelSelector: 'serves=yes,mine' });
      api.put(configMap('a', {}, { serves: 'no', mine: '' }));
      api.edit('ConfigMap', NAMESPACE, 'a', { metadata: { labels: { serves: 'yes' } } });
      api.edit('ConfigMap', NAMESPACE, 'a', { data: { x: '1' } });
      api.edit('ConfigMap', NAMESPACE, 'a', { metadata: { labels: { mine: null } } });
      const told = [await take(frames), await take(frames)];
      const left = await frames.next();
      assert.deepEqual(told, ['ADDED a', 'MODIFIED a']);
      assert.ok(left.done !== true && left.value.type === 'DELETED');
      const { labels, resourceVersion } = left.value.object.metadata;
      assert.deepEqual([labels, resourceVersion], [{ serves: 'yes', mine: '' }, api.resourceVersion]);
    });

    it('that breaks loses what was on its way, and the next one reads it again', async () => {
      const client = connect(500);
      const { resourceVersion } = api;
      const frames = await client.openWatch(RESOURCES.ConfigMap, { resourceVersion });
      api.put(configMap('a'));
      api.breakWatches();
      await fails('unavailable', frames.next());
      const again = await client.openWatch(RESOURCES.ConfigMap, { resourceVersion });
      const first = take(again);
      await clock.advance(500);
      assert.equal(await first, 'ADDED a');
    });

    it('that drops events breaks after so many', async () => {
      const frames = await connect().openWatch(RESOURCES.ConfigMap);
      api.dropEvents('ConfigMap', 2);
      const next = fails('unavailable', frames.next());
      api.put(configMap('a'));
      await clock.advance(1_000);
      api.put(configMap('b'));
      await next;
    });

    it('from a version whose history has expired is gone', async () => {
      const { resourceVersion } = api;
      api.put(configMap('a'));
      api.expireHistory();
      await fails('gone', connect().openWatch(RESOURCES.ConfigMap, { resourceVersion }));
      await connect().openWatch(RESOURCES.ConfigMap, { resourceVersion: api.resourceVersion });
    });

    it('ends at the time asked for, and sends a bookmark about once a minute until then', async () => {
      const frames = await connect().openWatch(RESOURCES.ConfigMap, { timeoutSeconds: 90, allowWatchBookmarks: true });
      const taken = [take(frames)];
      await clock.advance(60_000);
      taken.push(take(frames));
      await clock.advance(30_000);
      assert.deepEqual(await Promise.all(taken), ['BOOKMARK', 'end']);
    });

    it('keeps a reflector equal to the collection through broken watches and lost history', async () => {
      const store = new Store<ConfigMap>({ log: silentLog });
      const options = { client: connect(30), resource: RESOURCES.ConfigMap, store, clock, log: silentLog };
      const random = randomOf(1);
      const reflector = new Reflector({ ...options, random });
      reflector.start();
      for (let step = 0; step < 200; step += 1) {
        const name = `item-${Math.floor(random() * 20)}`;
        if (random() < 0.3) api.remove('ConfigMap', NAMESPACE, name);
        else api.put(configMap(name, { step: String(step) }));
        if (random() < 0.1) api.breakWatches();
        if (random() < 0.05) api.dropEvents('ConfigMap', 3);
        if (random() < 0.05) api.expireHistory();
        await clock.advance(random() * 200);
      }
      await clock.advance(60_000);
      const contents = (objects: readonly ConfigMap[]): unknown =>
        objects.map(({ metadata, data }) => [metadata.name, metadata.resourceVersion, data]).sort();
      assert.deepEqual(contents(store.list()), contents(api.list('ConfigMap') as unknown as ConfigMap[]));
      assert.ok(reflector.metrics().gone > 0 && reflector.metrics().watches > 5);
      const stopped = reflector.stop();
      await clock.advance(1_000);
      await stopped;
    });
  });

  it('hands out objects that nobody can change, and takes none that somebody still can', async () => {
    const data = { x: '1' };
    const created = await connect().create(configMap('a', data));
    data.x = '2';
    assert.deepEqual(live()?.['data'], { x: '1' });
    assert.throws(() => {
      created.data['x'] = '3';
    }, TypeError);
  });

  it('lists a state that is so many milliseconds old, with the version of that moment', async () => {
    api.put(configMap('a', { x: '1' }));
    const before = api.resourceVersion;
    await clock.advance(1_000);
    api.put(configMap('a', { x: '2' }));
    api.put(configMap('b'));
    await clock.advance(500);
    api.staleReads = () => 800;
    const page = await connect().list(RESOURCES.ConfigMap, { namespace: NAMESPACE });
    const [only, ...others] = page.items;
    assert.deepEqual([only?.data, others.length, page.resourceVersion], [{ x: '1' }, 0, before]);
  });

  it('tells the world of every change at once, with its writer and its former state', async () => {
    const told: unknown[] = [];
    api.subscribe(({ type, object, former, writer }) =>
      told.push([type, object.metadata.name, former === undefined, writer]),
    );
    await api.connect(() => fate, { watchLagMs: () => 0, name: 'operator-1' }).create(configMap('a'));
    api.edit('ConfigMap', NAMESPACE, 'a', { data: { x: '1' } });
    api.edit('ConfigMap', NAMESPACE, 'a', { data: { x: '1' } });
    api.remove('ConfigMap', NAMESPACE, 'a', { writer: 'somebody' });
    assert.deepEqual(told, [
      ['added', 'a', true, 'operator-1'],
      ['modified', 'a', false, 'world'],
      ['deleted', 'a', false, 'somebody'],
    ]);
  });
});
