// The real clock, running faster: for tests where a real network meets back-offs of seconds.
import { sleepOn, systemClock } from '../../src/runtime/clock.ts';
import type { Clock } from '../../src/runtime/clock.ts';

export function fastClock(factor: number): Clock {
  const setTimer: Clock['setTimer'] = (ms, fn) => systemClock.setTimer(ms / factor, fn);
  return {
    now: () => systemClock.now(),
    monotonicMs: () => systemClock.monotonicMs() * factor,
    sleep: (ms, signal) => sleepOn(setTimer, ms, signal),
    setTimer,
  };
}
