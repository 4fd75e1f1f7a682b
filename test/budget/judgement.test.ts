// The rules by which a run passes: each one broken alone.
import assert from 'node:assert/strict';
import { exampleRecording } from './example-recording.ts';
import { figuresOf, type Figures } from './figures.ts';
import { judge } from './judgement.ts';

const calm = { ...figuresOf(exampleRecording()), busyShareBefore: 0.9 };
const nothing = { error: undefined, convergeLimitMs: undefined };

describe('the judgement of a run', () => {
  it('passes one in which nothing happened that must not', () => {
    assert.deepEqual(judge(calm, nothing), { verdict: 'passed', reasons: [] });
  });

  const failing: readonly (readonly [what: string, change: Partial<Figures>, reason: RegExp])[] = [
    ['a single sample above the budget', { samplesAboveUnexplained: 1 }, /1 samples above the budget/],
    ['one lost transaction', { lost: 1 }, /lost/],
    ['one transaction that is there twice', { double: 1 }, /twice/],
    ['one failed transaction in a planned operation', { failed: 1, planned: true }, /failed transactions/],
  ];
  for (const [what, change, reason] of failing) {
    it(`fails for ${what}`, () => {
      const { verdict, reasons } = judge({ ...calm, ...change }, nothing);
      assert.equal(verdict, 'failed');
      assert.match(reasons.join(), reason);
    });
  }

  it('lets transactions fail where nothing was planned', () => {
    assert.equal(judge({ ...calm, failed: 12, planned: false }, nothing).verdict, 'passed');
  });

  it('lets samples be above the budget as far as backends of a killed PgBouncer explain it', () => {
    assert.equal(judge({ ...calm, samplesAbove: 9, samplesAboveUnexplained: 0 }, nothing).verdict, 'passed');
  });

  it('fails one that did not come to its end, with the first line of why', () => {
    const { verdict, reasons } = judge(calm, { ...nothing, error: 'not within 90 s\nconditions …' });
    assert.equal(verdict, 'failed');
    assert.deepEqual(reasons, ['it did not come to its end: not within 90 s']);
  });

  it('fails one that converges later than promised, and only then', () => {
    const late = { ...calm, convergeMs: 10_001 };
    assert.equal(judge(late, { ...nothing, convergeLimitMs: 10_000 }).verdict, 'failed');
    assert.equal(judge({ ...calm, convergeMs: 10_000 }, { ...nothing, convergeLimitMs: 10_000 }).verdict, 'passed');
    assert.equal(judge(late, nothing).verdict, 'passed');
  });

  it('does not count one whose peak stayed below nine tenths of the budget', () => {
    assert.equal(judge({ ...calm, peakShare: 0.9 }, nothing).verdict, 'passed');
    assert.equal(judge({ ...calm, peakShare: 0.899 }, nothing).verdict, 'does not count');
  });

  it('does not count one whose clients did not saturate it', () => {
    assert.equal(judge({ ...calm, busyShareBefore: 0.5 }, nothing).verdict, 'does not count');
  });

  it('does not count one with more than 250 ms between two samples', () => {
    assert.equal(judge({ ...calm, maxGapMs: 250 }, nothing).verdict, 'passed');
    const { verdict, reasons } = judge({ ...calm, maxGapMs: 251 }, nothing);
    assert.equal(verdict, 'does not count');
    assert.match(reasons.join(), /251 ms without a sample/);
  });

  it('fails one that served less than is promised, or nothing for a second, and only where that is promised', () => {
    const slow = { ...calm, servedRatio: 0.94 };
    const silent = { ...calm, silentSeconds: 1 };
    for (const figures of [slow, silent]) {
      assert.equal(judge(figures, { ...nothing, leastServed: 0.95 }).verdict, 'failed');
      assert.equal(judge(figures, nothing).verdict, 'passed');
    }
  });

  it('does not count one at half of saturation that was not there, and asks it for no peak', () => {
    const half = { ...nothing, offered: 'half' } as const;
    assert.equal(judge({ ...calm, peakShare: 0.7, busyShareBefore: 0.5 }, half).verdict, 'passed');
    for (const busyShareBefore of [0.1, 0.95])
      assert.equal(judge({ ...calm, busyShareBefore }, half).verdict, 'does not count');
  });

  it('calls one failed that failed, however little of it was seen', () => {
    const { verdict, reasons } = judge({ ...calm, lost: 1, maxGapMs: 900 }, nothing);
    assert.equal(verdict, 'failed');
    assert.equal(reasons.length, 2);
  });
});
