// A split that follows uneven clients: it sums up, keeps floors, rests, and is even again when they are.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { splitByLoad, type Follow, type LoadedHolder, type LoadSplit } from '../../src/sizing/split-by-load.ts';
import { splitEqual } from '../../src/sizing/split-equal.ts';
import { propertyRuns } from './property-runs.ts';

const numRuns = propertyRuns();
const FLOOR = 2;
const clients = fc.integer({ min: 0, max: 60 });
const pods = fc
  .array(fc.record({ now: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }), clients }), {
    minLength: 1,
    maxLength: 6,
  })
  .map((list) => list.map(({ now, clients }, index): LoadedHolder => ({ name: `pod-${index}`, now, clients })));
const total = fc.integer({ min: 12, max: 90 });
const rotation = fc.nat(9);

const pod = (name: string, clients: number | undefined, now?: number): LoadedHolder => ({ name, clients, now });
const parts = ({ sizes }: LoadSplit, list: readonly LoadedHolder[]): readonly number[] =>
  list.map(({ name }) => sizes.get(name) ?? -1);
const holding = (list: readonly LoadedHolder[], { sizes }: LoadSplit): readonly LoadedHolder[] =>
  list.map((one) => ({ ...one, now: sizes.get(one.name) }));

describe('splitByLoad', () => {
  it('leaves most of the connections where the clients are after a scale-out, and moves them as these come over', () => {
    const fleet = (counts: readonly number[], sizes: readonly (number | undefined)[]): readonly LoadedHolder[] =>
      counts.map((count, index) => pod(`p${index}`, count, sizes[index]));
    const first = fleet([50, 50, 0, 0], [20, 20, undefined, undefined]);
    const [begun, half, even] = [first, [40, 40, 10, 10], [26, 26, 24, 24]].reduce<readonly (readonly number[])[]>(
      (all, step) => {
        const list = all.length === 0 ? first : fleet(step as readonly number[], all.at(-1) ?? []);
        return [...all, parts(splitByLoad(40, list, { floor: FLOOR, follow: 'begin' }), list)];
      },
      [],
    );
    assert.deepEqual(begun, [18, 18, 2, 2]);
    assert.deepEqual(half, [16, 16, 4, 4]);
    assert.deepEqual(even, [10, 10, 10, 10]);
  });

  it('splits equally when clients are as good as even', () => {
    fc.assert(
      fc.property(total, pods, clients, rotation, (size, list, count, index) => {
        const even = list.map((one) => ({ ...one, clients: count }));
        const split = splitByLoad(size, even, { floor: FLOOR, follow: 'begin', rotation: index });
        assert.equal(split.uneven, false);
        assert.deepEqual(split.sizes, splitEqual(size, even, index));
      }),
      { numRuns },
    );
  });

  it('sums up, and gives each pod the floor at least', () => {
    fc.assert(
      fc.property(total, pods, rotation, (size, list, index) => {
        const sizes = parts(splitByLoad(size, list, { floor: FLOOR, follow: 'begin', rotation: index }), list);
        assert.equal(
          sizes.reduce((sum, part) => sum + part, 0),
          size,
        );
        assert.ok(Math.min(...sizes) >= FLOOR, sizes.join());
      }),
      { numRuns },
    );
  });

  it('changes nothing when it is applied to its own result', () => {
    fc.assert(
      fc.property(total, pods, rotation, (size, list, index) => {
        const once = splitByLoad(size, list, { floor: FLOOR, follow: 'begin', rotation: index });
        const twice = splitByLoad(size, holding(list, once), { floor: FLOOR, follow: 'begin', rotation: index });
        assert.deepEqual(twice, once);
      }),
      { numRuns },
    );
  });

  it('gives a pod with more clients no fewer connections, but for one that ties go by', () => {
    fc.assert(
      fc.property(total, pods, rotation, (size, list, index) => {
        const fresh = list.map(({ name, clients: count }) => pod(name, count));
        const { sizes, uneven } = splitByLoad(size, fresh, { floor: FLOOR, follow: 'begin', rotation: index });
        if (!uneven) return;
        for (const a of fresh)
          for (const b of fresh)
            if ((a.clients ?? 0) > (b.clients ?? 0))
              assert.ok((sizes.get(a.name) ?? 0) >= (sizes.get(b.name) ?? 0) - 1);
      }),
      { numRuns },
    );
  });

  it('moves nothing for a few clients', () => {
    const sizesFor = (...counts: readonly number[]): readonly number[] => {
      const list = [20, 7, 3].map((now, index) => pod(`p${index}`, counts[index], now));
      return parts(splitByLoad(30, list, { floor: FLOOR, follow: 'begin' }), list);
    };
    assert.deepEqual(sizesFor(30, 10, 5), [20, 7, 3]);
    assert.deepEqual(sizesFor(31, 9, 6), [20, 7, 3]);
    assert.deepEqual(sizesFor(10, 31, 6), [6, 20, 4]);
  });

  it('does not come and go at one number of clients', () => {
    const equal = [pod('p0', 15, 10), pod('p1', 5, 10)];
    assert.equal(splitByLoad(20, equal, { floor: FLOOR, follow: 'begin' }).uneven, false);
    const followed = [pod('p0', 15, 13), pod('p1', 5, 7)];
    assert.equal(splitByLoad(20, followed, { floor: FLOOR, follow: 'begin' }).uneven, true);
  });

  it('begins only when a pod joins, goes on after, and moves no more in the end', () => {
    const split = (follow: Follow, ...list: readonly LoadedHolder[]): readonly number[] =>
      parts(splitByLoad(20, list, { floor: FLOOR, follow }), list);
    const equal = [pod('p0', 30, 10), pod('p1', 2, 10)];
    assert.deepEqual(split('begin', ...equal), [18, 2]);
    assert.deepEqual(split('goOn', ...equal), [10, 10]);
    const followed = [pod('p0', 23, 17), pod('p1', 9, 3)];
    assert.deepEqual(split('goOn', ...followed), [15, 5]);
    assert.deepEqual(split('goOn', pod('p0', 22, 14), pod('p1', 10, 6)), [10, 10]);
    assert.deepEqual(split('end', ...followed), [10, 10]);
    // An equal split would starve the one that has nearly all.
    assert.deepEqual(split('end', pod('p0', 34, 15), pod('p1', 0, 5)), [15, 5]);
  });

  it('stays as it is while a pod can’t be asked, and is equal where that does not sum up', () => {
    const held = [pod('p0', undefined, 13), pod('p1', 8, 7)];
    assert.deepEqual(parts(splitByLoad(20, held, { floor: FLOOR, follow: 'begin' }), held), [13, 7]);
    assert.deepEqual(parts(splitByLoad(22, held, { floor: FLOOR, follow: 'begin' }), held), [11, 11]);
  });
});
