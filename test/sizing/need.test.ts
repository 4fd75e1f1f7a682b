// How many connections so many clients need, against the worked values of the square-root staffing rule.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { needOf } from '../../src/sizing/need.ts';
import { propertyRuns } from './property-runs.ts';

const worked: readonly (readonly [number, number, number, number, number])[] = [
  [1, 0.25, 0.25, 2, 1],
  [8, 0.25, 2, 5, 5],
  [84, 0.1, 8.4, 15, 15],
  [84, 0.25, 21, 31, 31],
  [84, 0.5, 42, 55, 55],
  [84, 1, 84, 103, 84],
  [240, 0.25, 60, 76, 76],
  [600, 0.25, 150, 175, 175],
];

describe('the need of so many clients', () => {
  for (const [clients, duty, offered, staffed, need] of worked) {
    it(`is ${need} for ${clients} clients at duty ${duty}`, () => {
      const result = needOf(clients, duty, 'transaction');
      assert.ok(Math.abs(result.offered - offered) < 1e-9);
      assert.deepEqual([result.staffed, result.need], [staffed, need]);
    });
  }

  it('is one connection a client in session mode', () => {
    assert.equal(needOf(240, 0.25, 'session').need, 240);
  });

  it('does not round a whole number up because of a rounding error', () => {
    // 0.1 × 3 is a little more than 0.3, and 0.3 × 30 a little less or more than 9 + 6.
    assert.equal(needOf(30, 0.3, 'transaction').staffed, 15);
    assert.equal(needOf(90, 0.1, 'transaction').staffed, 15);
  });

  it('is nothing for no client, at most one each, never below the load, and rises with clients and duty', () => {
    assert.equal(needOf(0, 0.25, 'transaction').need, 0);
    const duty = fc.double({ min: 0.01, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100_000 }), duty, duty, (clients, one, other) => {
        const low = Math.min(one, other);
        const { need, offered } = needOf(clients, low, 'transaction');
        assert.ok(need >= 1 && need <= clients && need >= offered - 1e-6);
        assert.ok(needOf(clients + 1, low, 'transaction').need >= need);
        assert.ok(needOf(clients, Math.max(one, other), 'transaction').need >= need);
      }),
      { numRuns: propertyRuns() },
    );
  });
});
