// The load's times: from 1 ms to 2 s, mostly short, and the same again for the same seed.
import assert from 'node:assert/strict';
import { randomOf } from '../support/random.ts';
import { busyMs, LONGEST_MS, SHORTEST_MS } from './busy-time.ts';

describe('the time that a transaction is busy', () => {
  it('goes from 1 ms to 2 s', () => {
    assert.equal(busyMs(0), SHORTEST_MS);
    assert.ok(Math.abs(busyMs(1) - LONGEST_MS) < 1e-6);
  });

  it('is short mostly and long often enough to be in the way', () => {
    const random = randomOf(7);
    const times = Array.from({ length: 20_000 }, () => busyMs(random()));
    const mean = times.reduce((sum, ms) => sum + ms, 0) / times.length;
    assert.ok(mean > 240 && mean < 290, String(mean));
    assert.ok(times.filter((ms) => ms < 50).length > times.length / 2);
    assert.ok(times.filter((ms) => ms > 1_000).length > times.length / 20);
  });

  it('comes again for the same seed, and only then', () => {
    const first = (seed: number): readonly number[] => Array.from({ length: 5 }, randomOf(seed));
    assert.deepEqual(first(1), first(1));
    assert.notDeepEqual(first(1), first(2));
  });
});
