// The counters of the demo's application: what is shown at the end must be the sum of what happened.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { errorClassOf } from '../../demo/client/order.ts';
import { countDone, countFailed, emptyTally, sumTallies, type Tally } from '../../demo/client/tally.ts';

type Happening = { readonly process: number; readonly tookMs: number; readonly error: string | undefined };

const happenings = fc.array(
  fc.record({
    process: fc.nat(3),
    tookMs: fc.integer({ min: 0, max: 10_000 }),
    error: fc.option(fc.constantFrom('ECONNREFUSED', '08P01 server gone'), { nil: undefined }),
  }),
);

function happen(all: readonly Happening[]): Tally[] {
  const tallies = Array.from({ length: 4 }, emptyTally);
  for (const { process, tookMs, error } of all) {
    const tally = tallies[process] ?? assert.fail('no such process');
    if (error === undefined) countDone(tally, tookMs);
    else countFailed(tally, error);
  }
  return tallies;
}

describe('tally of the demo', () => {
  it('adds up over processes, in total, by class of error and second by second', () => {
    fc.assert(
      fc.property(happenings, (all) => {
        const sum = sumTallies(happen(all));
        const done = all.filter((one) => one.error === undefined);
        assert.equal(sum.done, done.length);
        assert.equal(sum.failed, all.length - done.length);
        assert.equal(sum.longestMs, Math.max(0, ...done.map((one) => one.tookMs)));
        const bySecond = (key: 'done' | 'failed'): number => sum.seconds.reduce((count, one) => count + one[key], 0);
        assert.equal(bySecond('done'), sum.done);
        assert.equal(bySecond('failed'), sum.failed);
        assert.equal(Math.max(0, ...sum.seconds.map((one) => one.longestMs)), sum.longestMs);
        for (const [name, count] of Object.entries(sum.errors)) {
          assert.equal(count, all.filter((one) => one.error === name).length);
        }
      }),
    );
  });

  it('leaves the tallies that it adds up as they were', () => {
    const tallies = happen([
      { process: 0, tookMs: 5, error: undefined },
      { process: 1, tookMs: 7, error: 'ECONNREFUSED' },
    ]);
    const before = structuredClone(tallies);
    sumTallies(tallies);
    sumTallies(tallies);
    assert.deepEqual(tallies, before);
  });

  it('gives errors that differ only in an address the same class', () => {
    const refused = (address: string): Error =>
      Object.assign(new Error(`connect ECONNREFUSED ${address}`), { code: 'ECONNREFUSED' });
    assert.equal(errorClassOf(refused('10.96.0.7:5432')), errorClassOf(refused('10.96.1.20:5432')));
    assert.equal(
      errorClassOf(Object.assign(new Error('query_wait_timeout'), { code: '08P01' })),
      '08P01 query_wait_timeout',
    );
  });
});
