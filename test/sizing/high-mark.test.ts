// The high mark of others: rises at once, in steps, is remembered for 12 to 24 hours, and is seldom written.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { raiseOrDecay, WINDOW_MS, type HighMark } from '../../src/sizing/high-mark.ts';
import { propertyRuns } from './property-runs.ts';

type Mark = HighMark<string> | undefined;
const HOUR_MS = 3_600_000;
const STEP = 2;
const look = (mark: Mark, count: number, hours: number): Mark =>
  raiseOrDecay(mark, { count, detail: `${count} at ${hours}` }, STEP, hours * HOUR_MS);

describe('a high mark', () => {
  it('rises at once, rounded up to a whole step', () => {
    assert.deepEqual(look(undefined, 5, 0), { high: 6, atMs: 0, detail: '5 at 0' });
    assert.equal(look(look(undefined, 5, 0), 7, 1)?.high, 8);
  });

  it('is not there while there is nothing to mark', () => {
    assert.equal(look(undefined, 0, 0), undefined);
  });

  it('writes nothing while the number stays, or moves within a step', () => {
    const mark = look(undefined, 5, 0);
    for (const [count, hours] of [
      [5, 1],
      [6, 2],
      [5, 30],
      [6, 90],
    ] as const)
      assert.equal(look(mark, count, hours), mark);
  });

  it('stays for two windows at most when what made it is gone, and then is forgotten', () => {
    let mark = look(undefined, 40, 0);
    mark = look(mark, 0, 1);
    assert.equal(mark?.high, 40);
    assert.equal(look(mark, 0, 12)?.high, 40);
    assert.equal(look(mark, 0, 13), undefined);
  });

  it('falls to the most of the last window, not to what happens to be there at its end', () => {
    let mark = look(undefined, 40, 0);
    for (const [count, hours] of [
      [0, 1],
      [20, 6],
      [2, 7],
    ] as const)
      mark = look(mark, count, hours);
    mark = look(mark, 2, 13);
    assert.deepEqual([mark?.high, mark?.window?.most], [20, 2]);
  });

  it('does not fall while a peak comes back in each window, however low it is between', () => {
    let mark = look(undefined, 40, 0);
    for (let hours = 1; hours < 200; hours += 1) {
      mark = look(mark, hours % 6 === 0 ? 39 : 1, hours);
      assert.equal(mark?.high, 40, `after ${hours} hours`);
    }
  });

  it('is at least what is seen and was seen in the last window, at most what was seen in the last two, and rests in between', () => {
    const history = fc.array(
      fc.record({ count: fc.nat({ max: 60 }), afterMs: fc.integer({ min: 1, max: WINDOW_MS }) }),
      {
        maxLength: 60,
      },
    );
    fc.assert(
      fc.property(history, fc.integer({ min: 1, max: 10 }), (looks, step) => {
        let mark: Mark;
        let nowMs = 0;
        const seen: { atMs: number; height: number }[] = [];
        const most = (sinceMs: number): number =>
          Math.max(0, ...seen.filter(({ atMs }) => atMs > sinceMs).map(({ height }) => height));
        for (const { count, afterMs } of looks) {
          nowMs += afterMs;
          seen.push({ atMs: nowMs, height: Math.ceil(count / step) * step });
          mark = raiseOrDecay(mark, { count, detail: '' }, step, nowMs);
          const high = mark?.high ?? 0;
          assert.ok(high >= most(nowMs - WINDOW_MS), `${high} forgets too soon`);
          // A window ends at a look, which may be as late as the longest time between two.
          assert.ok(high <= most(nowMs - 4 * WINDOW_MS), `${high} remembers too long`);
          assert.equal(raiseOrDecay(mark, { count, detail: '' }, step, nowMs), mark);
        }
      }),
      { numRuns: propertyRuns() },
    );
  });
});
