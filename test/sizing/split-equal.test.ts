// Equal parts over pods that change as few pods as any equal split could.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { splitEqual } from '../../src/sizing/split-equal.ts';
import type { Holder } from '../../src/sizing/split-equal.ts';
import { propertyRuns } from './property-runs.ts';

const numRuns = propertyRuns();
const pods = fc
  .array(fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }), { minLength: 1, maxLength: 8 })
  .map((list) => list.map((now, index): Holder => ({ name: `pod-${index}`, now })));
const total = fc.integer({ min: 0, max: 90 });
const rotation = fc.nat(9);

const parts = (split: ReadonlyMap<string, number>, list: readonly Holder[]): readonly number[] =>
  list.map(({ name }) => split.get(name) ?? -1);
const holding = (list: readonly Holder[], split: ReadonlyMap<string, number>): readonly Holder[] =>
  list.map(({ name }) => ({ name, now: split.get(name) }));

describe('splitEqual', () => {
  const three: readonly Holder[] = ['p1', 'p2', 'p3'].map((name) => ({ name }));
  const worked: readonly (readonly [number, number, readonly number[]])[] = [
    [41, 0, [14, 14, 13]],
    [20, 1, [6, 7, 7]],
    [5, 2, [2, 1, 2]],
  ];
  for (const [size, index, expected] of worked) {
    it(`splits ${size} of database ${index} over three pods into ${expected.join(', ')}`, () => {
      assert.deepEqual(parts(splitEqual(size, three, index), three), expected);
    });
  }

  it('leaves the pods that already hold the larger part alone', () => {
    const list: readonly Holder[] = [6, 6, 6, 5].map((now, index) => ({ name: `p${index}`, now }));
    // 17 is 5, 4, 4, 4: the pod at 5 stays, though others hold more.
    assert.deepEqual(parts(splitEqual(17, list), list), [4, 4, 4, 5]);
  });

  it('gives nothing to nobody', () => {
    assert.equal(splitEqual(5, []).size, 0);
  });

  it('gives parts that sum up and differ by at most one, each at least one where there is enough (S1)', () => {
    fc.assert(
      fc.property(total, pods, rotation, (size, list, index) => {
        const split = parts(splitEqual(size, list, index), list);
        assert.equal(
          split.reduce((sum, part) => sum + part, 0),
          size,
        );
        assert.ok(Math.max(...split) - Math.min(...split) <= 1);
        if (size >= list.length) assert.ok(Math.min(...split) >= 1);
      }),
      { numRuns },
    );
  });

  it('changes no more pods than the best of all equal splits (S2)', () => {
    fc.assert(
      fc.property(total, pods, rotation, (size, list, index) => {
        const changed = (split: readonly number[]): number => split.filter((part, at) => part !== list[at]?.now).length;
        const small = Math.floor(size / list.length);
        let best = list.length;
        for (let mask = 0; mask < 2 ** list.length; mask += 1) {
          const split = list.map((_, at) => small + ((mask >> at) & 1));
          if (split.reduce((sum, part) => sum + part, 0) === size) best = Math.min(best, changed(split));
        }
        assert.equal(changed(parts(splitEqual(size, list, index), list)), best);
      }),
      { numRuns },
    );
  });

  it('changes nothing when applied to its own answer (S3)', () => {
    fc.assert(
      fc.property(total, pods, rotation, rotation, (size, list, index, later) => {
        const once = splitEqual(size, list, index);
        assert.deepEqual(parts(splitEqual(size, holding(list, once), later), list), parts(once, list));
      }),
      { numRuns },
    );
  });

  it('changes one pod by one when the total changes by one (S4)', () => {
    fc.assert(
      fc.property(total, pods, rotation, fc.constantFrom(-1, 1), (size, list, index, step) => {
        fc.pre(size + step >= 0);
        const once = splitEqual(size, list, index);
        const next = splitEqual(size + step, holding(list, once), index);
        const moves = list.map(({ name }) => (next.get(name) ?? 0) - (once.get(name) ?? 0)).filter((by) => by !== 0);
        assert.deepEqual(moves, [step]);
      }),
      { numRuns },
    );
  });
});
