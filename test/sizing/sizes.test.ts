// Sizes by database name, where a database may be called what every JavaScript object has.
import assert from 'node:assert/strict';
import { largerSizes, moreOf, sizeOf } from '../../src/sizing/sizes.ts';

describe('sizes', () => {
  it('know only the names that are written in them', () => {
    assert.equal(sizeOf({ orders: 3 }, 'constructor'), undefined);
    assert.deepEqual(largerSizes({ constructor: 2, orders: 1 }, { orders: 4 }), { constructor: 2, orders: 4 });
  });

  it('are compared as a whole where a pod has the one or the other', () => {
    assert.deepEqual(moreOf({ orders: 3 }, { orders: 1, reports: 1 }), { orders: 3 });
    assert.deepEqual(moreOf({ orders: 1 }, { orders: 1, reports: 1 }), { orders: 1, reports: 1 });
  });
});
