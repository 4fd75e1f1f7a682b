import assert from 'node:assert/strict';
import fc from 'fast-check';
import { backoffMs } from '../../src/runtime/backoff.ts';
import type { BackoffPolicy } from '../../src/runtime/backoff.ts';

const POLICY: BackoffPolicy = { baseMs: 100, maxMs: 10_000, factor: 2, jitter: 0.25 };

describe('back-off', () => {
  it('doubles from the base when jitter is in the middle', () => {
    assert.deepEqual(
      [1, 2, 3, 4].map((failures) => backoffMs(POLICY, failures, 0.5)),
      [100, 200, 400, 800],
    );
  });

  it('still spreads at the cap, so that clients of a dead server do not come back in step', () => {
    assert.equal(backoffMs(POLICY, 50, 0), 6000);
    assert.equal(backoffMs(POLICY, 50, 1), 10_000);
  });

  it('stays within the jitter of the base and under the cap, for any number of failures', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (failures, random) => {
          const delayMs = backoffMs(POLICY, failures, random);
          assert.ok(delayMs >= 75 && delayMs <= 10_000, `${delayMs}`);
        },
      ),
    );
  });

  it('never shrinks with another failure, at the same random number', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (failures, random) => {
          assert.ok(backoffMs(POLICY, failures + 1, random) >= backoffMs(POLICY, failures, random));
        },
      ),
    );
  });
});
