import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compareResourceVersions } from '../../src/kube/resource-version.ts';
import type { LiveObject } from '../../src/kube/resources.ts';
import { Store } from '../../src/kube/store.ts';
import { silentLog } from '../../src/runtime/log.ts';

type Item = LiveObject & { readonly node?: string };

function item(name: string, version: number, more: { uid?: string; node?: string; namespace?: string } = {}): Item {
  const { uid = `uid-${name}`, namespace = 'test', ...fields } = more;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, uid, resourceVersion: String(version) },
    ...fields,
  };
}

function setUp() {
  const store = new Store<Item>({
    log: silentLog,
    indexes: { byNode: ({ node }) => (node === undefined ? [] : [node]) },
  });
  const told: string[] = [];
  store.subscribe(({ type, object, old, source }) => {
    const versions = `${old?.metadata.resourceVersion ?? '-'}>${object.metadata.resourceVersion}`;
    told.push(`${type} ${object.metadata.name} ${versions} ${source}`);
  });
  return { store, told };
}

describe('the store', () => {
  it('finds an object by name, by UID and by index, in its latest state only', () => {
    const { store } = setUp();
    store.upsert(item('a', 1, { node: 'n1' }));
    store.upsert(item('b', 2, { node: 'n1' }));
    store.upsert(item('a', 3, { node: 'n2' }));
    assert.equal(store.get('test', 'a')?.node, 'n2');
    assert.equal(store.byUid('uid-a')?.node, 'n2');
    const namesOn = (node: string) => store.byIndex('byNode', node).map(({ metadata }) => metadata.name);
    assert.deepEqual([namesOn('n1'), namesOn('n2'), namesOn('n3')], [['b'], ['a'], []]);
    store.delete(item('a', 4));
    assert.deepEqual([store.get('test', 'a'), store.byUid('uid-a'), namesOn('n2')], [undefined, undefined, []]);
  });

  it('refuses to look into an index that does not exist', () => {
    assert.throws(() => setUp().store.byIndex('byName', 'a'), /there is no index byName/);
  });

  it('keeps objects of one name in different namespaces apart', () => {
    const { store } = setUp();
    store.upsert(item('a', 1, { uid: '1' }));
    store.upsert(item('a', 2, { uid: '2', namespace: 'other' }));
    assert.equal(store.size, 2);
    assert.equal(store.get('other', 'a')?.metadata.uid, '2');
  });

  it('does not take an object back from a late answer once a watch told its end, but from a list', () => {
    const { store, told } = setUp();
    store.upsert(item('a', 1));
    store.delete(item('a', 3));
    assert.equal(store.upsert(item('a', 2)), false);
    assert.equal(store.get('test', 'a'), undefined);
    assert.equal(store.upsert(item('a', 4, { uid: 'another' })), true);
    store.delete(item('a', 5, { uid: 'another' }));
    store.replace([item('a', 2)]);
    assert.equal(store.get('test', 'a')?.metadata.uid, 'uid-a');
    assert.deepEqual(
      told.map((line) => line.split(' ')[0]),
      ['added', 'deleted', 'added', 'deleted', 'added'],
    );
  });

  it('never lets an older state replace a newer one, nor tells the same state twice', () => {
    const { store, told } = setUp();
    assert.ok(store.upsert(item('a', 10)));
    assert.ok(!store.upsert(item('a', 9)));
    assert.ok(!store.upsert(item('a', 10)));
    assert.ok(!store.delete(item('a', 9)));
    assert.deepEqual(told, ['added a ->10 watch']);
  });

  it('tells a new UID under an old name as deleted, then added', () => {
    const { store, told } = setUp();
    store.upsert(item('a', 1));
    store.upsert(item('a', 5, { uid: 'other' }));
    assert.deepEqual(told.slice(1), ['deleted a 1>1 watch', 'added a ->5 watch']);
    assert.equal(store.byUid('uid-a'), undefined);
  });

  it('ignores the late deletion of the former holder of a name', () => {
    const { store } = setUp();
    store.upsert(item('a', 5, { uid: 'other' }));
    assert.ok(!store.delete(item('a', 3)));
    assert.equal(store.size, 1);
  });

  it('tells only the difference when a list replaces its contents', () => {
    const { store, told } = setUp();
    for (const [index, name] of ['same', 'changed', 'gone'].entries()) {
      store.upsert(item(name, index + 1));
    }
    told.length = 0;
    store.replace([item('same', 1), item('changed', 7), item('new', 8)]);
    assert.deepEqual(told, ['deleted gone 3>3 list', 'modified changed 2>7 list', 'added new ->8 list']);
  });

  it('leaves alone what is not in the scope of a list', () => {
    const { store } = setUp();
    store.upsert(item('a', 1, { namespace: 'other', uid: 'x' }));
    store.upsert(item('b', 2));
    store.replace([], ({ metadata }) => metadata.namespace === 'test');
    assert.deepEqual(
      store.list().map(({ metadata }) => metadata.name),
      ['a'],
    );
  });

  it('goes on telling the others when a subscriber throws', () => {
    const { store } = setUp();
    const heard: string[] = [];
    store.subscribe(() => {
      throw new Error('bad subscriber');
    });
    const unsubscribe = store.subscribe(({ type }) => heard.push(type));
    store.upsert(item('a', 1));
    unsubscribe();
    store.upsert(item('a', 2));
    assert.deepEqual(heard, ['added']);
    assert.equal(store.failedDeliveries, 2);
  });

  it('freezes objects to their depth', () => {
    const { store } = setUp();
    store.upsert(item('a', 1));
    assert.throws(() => {
      (store.get('test', 'a') as { metadata: { name: string } }).metadata.name = 'b';
    }, TypeError);
  });

  it('keeps every index equal to what a search of all objects finds, after any changes', () => {
    const change = fc.record({
      remove: fc.boolean(),
      name: fc.constantFrom('a', 'b', 'c'),
      node: fc.option(fc.constantFrom('n1', 'n2'), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const { store } = setUp();
        changes.forEach(({ remove, name, node }, index) => {
          if (remove) {
            store.delete(item(name, index + 1));
          } else {
            store.upsert(item(name, index + 1, node === undefined ? {} : { node }));
          }
        });
        for (const node of ['n1', 'n2']) {
          assert.deepEqual(
            new Set(store.byIndex('byNode', node)),
            new Set(store.list().filter((object) => object.node === node)),
          );
        }
        assert.ok(store.list().every((object) => store.byUid(object.metadata.uid) === object));
      }),
    );
  });
});

describe('the order of resource versions', () => {
  it('is that of the numbers, of any length', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n }), fc.bigInt({ min: 0n, max: 2n ** 64n }), (a, b) => {
        const order = compareResourceVersions(String(a), String(b)) ?? NaN;
        assert.equal(Math.sign(order), a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  it('does not exist between versions that are no numbers', () => {
    assert.equal(compareResourceVersions('abc', '12'), undefined);
    assert.equal(compareResourceVersions('012', '12'), undefined);
    assert.equal(compareResourceVersions('abc', 'abc'), 0);
  });
});
