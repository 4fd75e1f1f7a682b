// Figures of recordings that were made up, so that each figure is known beforehand.
import assert from 'node:assert/strict';
import { attempt, exampleRecording, samplesOf, START_MS } from './example-recording.ts';
import { figuresOf, percentile } from './figures.ts';

describe('the figures of a run', () => {
  it('tell peak, share, transactions and times of a calm one', () => {
    const figures = figuresOf(exampleRecording());
    assert.equal(figures.maxBackends, 9);
    assert.equal(figures.peakShare, 0.9);
    assert.equal(figures.samples, 201);
    assert.equal(figures.maxGapMs, 50);
    assert.equal(figures.transactions, 100);
    assert.equal(figures.servedRatio, 1);
    assert.equal(figures.tookMs, 3_000);
    assert.deepEqual([figures.failed, figures.lost, figures.double, figures.samplesAbove], [0, 0, 0, 0]);
  });

  it('count every sample above the budget', () => {
    const samples = samplesOf((at) => ({ '10.0.0.1': at === 6_000 || at === 6_050 ? 11 : 9 }));
    const figures = figuresOf(exampleRecording({ samples }));
    assert.equal(figures.maxBackends, 11);
    assert.equal(figures.samplesAbove, 2);
    assert.equal(figures.samplesAboveUnexplained, 2);
  });

  it('hold what was done against what was due, where clients keep to a schedule', () => {
    const attempts = [
      attempt(5_100),
      attempt(6_100),
      attempt(7_100),
      // Due in the ten seconds that are looked at, done after them; and due before them, done in them.
      attempt(15_200, { dueMs: START_MS + 14_500 }),
      attempt(5_200, { dueMs: START_MS + 4_900 }),
    ];
    assert.equal(figuresOf(exampleRecording({ attempts, offered: 'half' })).servedRatio, 1);
    const failing = [...attempts, attempt(7_300, { outcome: 'failed' })];
    assert.equal(figuresOf(exampleRecording({ attempts: failing, offered: 'half' })).servedRatio, 0.8);
  });

  it('tell which share of the open connections was kept busy before the operation', () => {
    const attempts = Array.from({ length: 25 }, (_, index) => attempt(index * 200, { insideMs: 1_000 }));
    // 25 s of work in five seconds on nine connections.
    assert.equal(figuresOf(exampleRecording({ attempts })).busyShareBefore, 0.56);
  });

  it('count the seconds of the operation in which nothing was done', () => {
    const done = (...at: readonly number[]) => ({ attempts: at.map((ms) => attempt(ms)) });
    assert.equal(figuresOf(exampleRecording(done(5_100, 6_100, 7_900))).silentSeconds, 0);
    assert.equal(figuresOf(exampleRecording(done(5_100, 7_900))).silentSeconds, 1);
    assert.equal(figuresOf(exampleRecording(done(4_900, 8_100))).silentSeconds, 3);
  });

  it('hold each sample against the budget of its moment', () => {
    const budget = [
      { fromMs: 0, connections: 10 },
      { fromMs: START_MS + 9_000, connections: 8 },
    ];
    const figures = figuresOf(exampleRecording({ budget }));
    assert.equal(figures.budget, 10);
    assert.equal(figures.samplesAbove, 21);
    assert.equal(figures.peakShare, 1.125);
  });

  it('explain an excess by the backends of a killed PgBouncer only as far as there are such backends', () => {
    const isAfterKill = (at: number): boolean => at >= 6_000 && at < 7_000;
    const samples = (orphans: number) =>
      samplesOf(
        (at) => ({ '10.0.0.1': isAfterKill(at) ? 8 : 5, '10.0.0.2': 4 }),
        (at) => (isAfterKill(at) ? orphans : 0),
      );
    const explained = figuresOf(exampleRecording({ samples: samples(2) }));
    assert.deepEqual([explained.samplesAbove, explained.samplesAboveUnexplained], [20, 0]);
    assert.deepEqual([explained.orphans, explained.orphansMs, explained.mostWithOrphans], [2, 950, 12]);
    assert.equal(figuresOf(exampleRecording({ samples: samples(1) })).samplesAboveUnexplained, 20);
  });

  it('take the time from the last sample to the end for a gap, too', () => {
    const samples = samplesOf(() => ({ '10.0.0.1': 9 })).filter(({ atMs }) => atMs <= START_MS + 9_500);
    assert.equal(figuresOf(exampleRecording({ samples })).maxGapMs, 500);
  });

  it('count a connection that was closed between two transactions apart from failures', () => {
    const attempts = [
      attempt(5_500, { outcome: 'closedBetween' }),
      attempt(5_600, { outcome: 'failed' }),
      attempt(6_000),
    ];
    const { transactions, failed, closedBetween } = figuresOf(exampleRecording({ attempts }));
    assert.deepEqual({ transactions, failed, closedBetween }, { transactions: 1, failed: 1, closedBetween: 1 });
  });

  it('tell latency and throughput before and during the operation apart', () => {
    const before = Array.from({ length: 100 }, (_, index) => attempt(index * 50, { addedMs: 20 }));
    const during = Array.from({ length: 30 }, (_, index) => attempt(5_000 + index * 100, { addedMs: 400 }));
    const { p99BeforeMs, p99DuringMs, servedRatio } = figuresOf(exampleRecording({ attempts: [...before, ...during] }));
    assert.deepEqual(
      { p99BeforeMs, p99DuringMs, servedRatio },
      { p99BeforeMs: 20, p99DuringMs: 400, servedRatio: 0.5 },
    );
  });

  it('measure convergence from the last pod that became Ready', () => {
    const [first, second] = exampleRecording().pods;
    assert.ok(first !== undefined && second !== undefined);
    const pods = [first, { ...second, readyMs: START_MS + 7_400 }];
    assert.equal(figuresOf(exampleRecording({ pods })).convergeMs, 600);
    assert.equal(figuresOf(exampleRecording()).convergeMs, 3_000);
  });
});

describe('a percentile', () => {
  it('is a value that was there, by rank', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
    assert.equal(percentile(hundred, 0.99), 99);
    assert.equal(percentile(hundred, 0.5), 50);
    assert.equal(percentile([7], 0.99), 7);
    assert.equal(percentile([], 0.99), 0);
  });
});
