import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { KubeClient } from '../../src/kube/client.ts';
import { Reflector } from '../../src/kube/reflector.ts';
import type { LiveObject } from '../../src/kube/resources.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { Store } from '../../src/kube/store.ts';
import type { StoreChange } from '../../src/kube/store.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { makeAuthority } from '../support/certificates.ts';
import { fastClock } from '../support/fast-clock.ts';
import { until } from '../support/until.ts';
import { ListWatchServer } from './list-watch-server.ts';
import type { ServerTls } from './list-watch-server.ts';

type Item = LiveObject & { readonly data?: unknown };

/** What a consumer that only listens knows; told twice, told in the wrong order or not told is a failure. */
class Listener {
  readonly known = new Map<string, string>();
  readonly told: string[] = [];

  hear({ type, object }: StoreChange<Item>): void {
    const { name, uid } = object.metadata;
    this.told.push(`${type} ${name}`);
    assert.equal(
      this.known.get(name),
      type === 'added' ? undefined : uid,
      `${type} ${name} after ${this.told.join(', ')}`,
    );
    if (type === 'deleted') {
      this.known.delete(name);
    } else {
      this.known.set(name, uid);
    }
  }
}

for (const protocol of ['HTTP/1.1', 'HTTP/2'] as const) {
  describe(`the reflector, over ${protocol} with a server that fails`, () => {
    let folder: string;
    let tls: ServerTls | undefined;

    let server: ListWatchServer;
    let client: KubeClient;
    let store: Store<Item>;
    let reflector: Reflector<Item>;
    let listener: Listener;
    const started: Reflector<Item>[] = [];

    function startReflector(project?: (raw: Item) => Item): void {
      client = new KubeClient({ credentials: server.credentials, qps: 10_000, burst: 10_000 });
      store = new Store<Item>({ log: silentLog });
      listener = new Listener();
      store.subscribe((change) => {
        listener.hear(change);
      });
      const clock = fastClock(200);
      const options = { client, resource: RESOURCES.ConfigMap, namespace: 'test', store, clock, log: silentLog };
      reflector = new Reflector<Item>({
        ...options,
        random: Math.random,
        ...(project === undefined ? {} : { project }),
      });
      started.push(reflector);
      reflector.start();
    }

    function equalToServer(): boolean {
      const there = server.contents();
      return (
        reflector.hasSynced &&
        store.size === there.size &&
        store.list().every(({ metadata }) => {
          const { uid, resourceVersion } = there.get(metadata.name)?.metadata ?? {};
          return uid === metadata.uid && resourceVersion === metadata.resourceVersion;
        })
      );
    }

    const converged = () => until('the store equals the server', equalToServer);
    const watching = () => until('a watch is open', () => server.openWatches === 1);

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'reflector-'));
      if (protocol === 'HTTP/2') {
        const authority = await makeAuthority(folder);
        const { key, certificate } = await authority.issue({ commonName: 'server', hosts: ['127.0.0.1'] });
        tls = { key, certificate, ca: authority.certificate };
      }
    });

    after(() => rm(folder, { recursive: true }));

    beforeEach(async () => {
      server = await ListWatchServer.listen(tls);
    });

    afterEach(async () => {
      await Promise.all(started.splice(0).map((running) => running.stop()));
      await client.close();
      await server.close();
      assert.equal(store.failedDeliveries, 0);
      assert.ok(server.seen.openAtOnce <= 1, `${server.seen.openAtOnce} watches were open at once`);
    });

    it('lists page by page, then follows the changes', async () => {
      for (let index = 0; index < 1201; index += 1) {
        server.put(`item-${index}`);
      }
      startReflector();
      await converged();
      assert.equal(server.seen.pages, 3);
      await watching();
      server.put('item-7', { data: { x: '1' } });
      server.remove('item-8');
      server.put('new');
      await converged();
      assert.deepEqual(listener.told.slice(-3), ['modified item-7', 'deleted item-8', 'added new']);
      assert.equal(server.seen.watchProtocol, protocol);
      assert.equal(server.seen.pages, 3);
    });

    it('gives list items the kind that the server leaves out, and freezes what it stores', async () => {
      server.put('a', { data: { x: '1' } });
      startReflector();
      await converged();
      const [item] = store.list();
      assert.equal(item?.kind, 'ConfigMap');
      assert.equal(item.apiVersion, 'v1');
      assert.throws(() => {
        (item.data as Record<string, string>)['x'] = '2';
      }, TypeError);
    });

    it('starts the list again when a continue token has expired between two pages', async () => {
      for (let index = 0; index < 700; index += 1) {
        server.put(`item-${index}`);
      }
      server.listRefusals.push({ status: 503 });
      startReflector(
        // The first page has arrived: forget the second.
        (raw) => {
          if (server.seen.pages === 1) {
            server.compact();
          }
          return raw;
        },
      );
      await converged();
      assert.equal(server.seen.pages, 4);
    });

    it('becomes synced only when the first list is complete, however often that fails', async () => {
      server.put('a');
      server.listRefusals.push('reset', { status: 500 }, { status: 403 }, { status: 429, retryAfter: '2' });
      startReflector();
      assert.equal(reflector.hasSynced, false);
      await converged();
      assert.equal(reflector.metrics().errors, 4);
    });

    it('tells nothing when a watch ends and opens again', async () => {
      server.put('a');
      startReflector();
      await watching();
      for (let turn = 1; turn <= 3; turn += 1) {
        server.put(`while ${turn}`);
        await converged();
        const told = listener.told.length;
        server.endWatches();
        await until('the watch is open again', () => server.seen.watches === turn + 1 && server.openWatches === 1);
        assert.equal(listener.told.length, told);
      }
      assert.equal(server.seen.pages, 1);
      assert.equal(reflector.metrics().errors, 0);
    });

    it('misses nothing that happens while its watch is broken', async () => {
      startReflector();
      await watching();
      server.watchRefusals.push({ status: 500 }, 'reset');
      server.resetWatches();
      server.put('a');
      server.put('b');
      server.remove('a');
      await converged();
      assert.deepEqual(listener.told, ['added a', 'added b', 'deleted a']);
      assert.equal(server.seen.pages, 1);
    });

    it('opens the watch again after half a line', async () => {
      startReflector();
      await watching();
      server.sendToWatches('{"type":"ADDED","object":{"kind":"Conf');
      server.endWatches();
      server.put('a');
      await converged();
      assert.equal(reflector.metrics().errors, 1);
    });

    it('opens the watch again after a line that is no JSON', async () => {
      startReflector();
      await watching();
      server.sendToWatches('<html>\n');
      await until('the watch was opened again', () => server.seen.watches === 2);
      server.put('a');
      await converged();
    });

    it('opens the watch again after an ERROR frame other than 410, without a list', async () => {
      startReflector();
      await watching();
      server.errorFrame(500, 'InternalError');
      server.put('a');
      await converged();
      assert.equal(server.seen.pages, 1);
      assert.equal(reflector.metrics().errors, 1);
    });

    it('lists again after 410, in the stream or when a watch opens', async () => {
      server.put('a');
      startReflector();
      await watching();
      server.compact();
      server.errorFrame(410, 'Expired');
      server.remove('a');
      await until('it has listed again', () => server.seen.pages === 2);
      await converged();
      await watching();
      server.watchRefusals.push({ status: 410 });
      server.resetWatches();
      await until('it has listed a third time', () => server.seen.pages === 3);
      assert.equal(reflector.metrics().gone, 2);
    });

    it('does not list again after a quiet time, because bookmarks carry its version on', async () => {
      startReflector();
      await watching();
      server.skipVersions(1000);
      server.bookmark();
      server.compact();
      server.endWatches();
      await until('the watch is open again', () => server.seen.watches === 2 && server.openWatches === 1);
      assert.equal(server.seen.pages, 1);
    });

    it('finds by a list what a watch has not told: a deletion, and a new object of an old name', async () => {
      server.put('stays');
      server.put('goes');
      server.put('changes hands');
      startReflector();
      await converged();
      await watching();
      server.dropEvents = true;
      server.remove('goes');
      server.remove('changes hands');
      server.put('changes hands');
      server.compact();
      server.errorFrame(410, 'Expired');
      await converged();
      server.dropEvents = false;
      assert.deepEqual(listener.told.slice(3), ['deleted goes', 'deleted changes hands', 'added changes hands']);
    });

    it('ignores events that it has had before', async () => {
      startReflector();
      await watching();
      server.put('a');
      server.put('a', { data: { x: '1' } });
      server.remove('a');
      server.repeatLastEvents(3);
      server.put('b');
      server.repeatLastEvents(1);
      await converged();
      assert.deepEqual(listener.told, ['added a', 'modified a', 'deleted a', 'added b']);
    });

    it('does not go back in time with a list from a server that lags behind', async () => {
      server.put('a');
      const past = { version: server.version, objects: [...server.contents().values()] };
      startReflector();
      await watching();
      server.put('a', { data: { x: '1' } });
      server.put('b');
      await converged();
      server.staleList = past;
      server.errorFrame(410, 'Expired');
      await until('stale lists were refused', () => reflector.metrics().staleLists >= 2);
      assert.ok(equalToServer());
      server.staleList = undefined;
      await until('a fresh list was taken', () => reflector.metrics().lists === 2);
      assert.ok(equalToServer());
      assert.deepEqual(listener.told, ['added a', 'modified a', 'added b']);
    });

    it('believes in the end that history went back, and starts anew', async () => {
      server.put('a');
      const past = { version: server.version, objects: [...server.contents().values()] };
      startReflector();
      await watching();
      server.put('b');
      await converged();
      server.staleList = past;
      server.errorFrame(410, 'Expired');
      await until('the old list was taken', () => reflector.metrics().lists === 2, { timeoutMs: 8000 });
      // What the server still knows of later times comes by the watch.
      await until('the watch has told the rest', () => store.size === 2);
      assert.deepEqual(listener.told.slice(2), ['deleted a', 'deleted b', 'added a', 'added b']);
    }).timeout(10_000);

    it('gives up a watch that has fallen silent', async () => {
      startReflector();
      await watching();
      server.bookmark();
      server.dropEvents = true;
      server.put('a');
      // 240 s of the fast clock.
      await until('the watch was opened again', () => server.seen.watches === 2);
      server.dropEvents = false;
      server.endWatches();
      await converged();
      assert.ok(reflector.metrics().errors >= 1);
    });

    it('leaves out an object that it cannot read, and goes on', async () => {
      server.put('good');
      server.put('bad');
      startReflector((raw) => {
        assert.notEqual(raw.metadata.name, 'bad');
        return raw;
      });
      await until('it is synced', () => reflector.hasSynced);
      await watching();
      server.put('bad', { data: {} });
      server.put('good too');
      await until('the rest has arrived', () => store.size === 2);
      assert.equal(reflector.metrics().unreadable, 2);
    });

    it('opens watches ever more slowly when a server ends each one at once', async () => {
      startReflector();
      await watching();
      const closer = setInterval(() => {
        server.endWatches();
      }, 1);
      const startedMs = performance.now();
      await until('half a minute of the fast clock has passed', () => performance.now() - startedMs > 150);
      clearInterval(closer);
      // 250 ms, 500 ms, 1 s … of jittered delay: seven or eight in 30 s, thousands without it.
      assert.ok(server.seen.watches <= 14, `${server.seen.watches} watches`);
    });

    it('does not list at full speed when lists succeed and every watch is told 410', async () => {
      server.watchRefusals.push(...Array.from({ length: 1000 }, () => ({ status: 410 })));
      startReflector();
      const startedMs = performance.now();
      await until('half a minute of the fast clock has passed', () => performance.now() - startedMs > 150);
      assert.ok(server.seen.pages <= 14, `${server.seen.pages} lists`);
    });

    it('stops at once in the middle of a watch, of a list and of a back-off', async () => {
      startReflector();
      await watching();
      await reflector.stop();
      await until('the watch is closed', () => server.openWatches === 0);
      server.listRefusals.push('silence');
      startReflector();
      await until('the list was asked for', () => server.listRefusals.length === 0);
      await reflector.stop();
      server.listRefusals.push({ status: 429, retryAfter: '3600' });
      startReflector();
      await until('it waits', () => reflector.lastError?.kind === 'throttled');
      await reflector.stop();
    });

    it('ends up equal to the server, and has told every change in order, after any history of faults', async function () {
      this.timeout(60_000);
      const name = fc.constantFrom('a', 'b', 'c');
      const action = fc.oneof(
        { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const), name }) },
        { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), name }) },
        fc.record({
          do: fc.constantFrom(
            'reset',
            'end',
            'compact',
            'half a line',
            'error frame',
            'gone frame',
            'repeat',
            'bookmark',
            'lose events',
            'refuse list',
            'refuse watch',
            'breathe',
          ),
        }),
      );
      const property = fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
        await server.close();
        server = await ListWatchServer.listen(tls);
        startReflector();
        const running = reflector;
        for (const step of actions) {
          switch (step.do) {
            case 'put':
              server.put(step.name);
              break;
            case 'remove':
              server.remove(step.name);
              break;
            case 'reset':
              server.resetWatches();
              break;
            case 'end':
              server.endWatches();
              break;
            case 'compact':
              server.compact();
              break;
            case 'half a line':
              server.sendToWatches('{"type":"MODI');
              server.endWatches();
              break;
            case 'error frame':
              server.errorFrame(500, 'InternalError');
              break;
            case 'gone frame':
              server.errorFrame(410, 'Expired');
              break;
            case 'repeat':
              server.repeatLastEvents(3);
              break;
            case 'bookmark':
              server.bookmark();
              break;
            case 'lose events':
              // Lost until the next list, which the end of the history forces.
              server.dropEvents = true;
              break;
            case 'refuse list':
              server.listRefusals.push({ status: 503 });
              break;
            case 'refuse watch':
              server.watchRefusals.push('reset');
              break;
            case 'breathe':
              await new Promise((resolve) => setTimeout(resolve, 3));
              break;
          }
        }
        if (server.dropEvents) {
          await until('it is synced', () => running.hasSynced);
          server.dropEvents = false;
          server.skipVersions(1);
          server.compact();
          server.resetWatches();
        }
        await converged();
        await running.stop();
        await client.close();
        assert.equal(store.failedDeliveries, 0);
        assert.deepEqual([...listener.known.keys()].sort(), [...server.contents().keys()].sort());
      });
      await fc.assert(property, { numRuns: 150 });
    });
  });
}
