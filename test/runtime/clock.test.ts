import assert from 'node:assert/strict';
import { systemClock } from '../../src/runtime/clock.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { FakeClock } from '../support/fake-clock.ts';

const reason = new Error('no longer wanted');

for (const [name, makeClock] of [
  ['the system clock', (): Clock => systemClock],
  ['the fake clock', (): Clock => new FakeClock()],
] as const) {
  describe(name, () => {
    it('rejects a sleep with the reason of a signal that had aborted before', async () => {
      await assert.rejects(makeClock().sleep(60_000, AbortSignal.abort(reason)), reason);
    });

    it('rejects a sleep with the reason of a signal that aborts meanwhile', async () => {
      const controller = new AbortController();
      const sleep = makeClock().sleep(60_000, controller.signal);
      controller.abort(reason);
      await assert.rejects(sleep, reason);
    });

    it('does not fire a cancelled timer', async () => {
      const clock = makeClock();
      let fired = false;
      clock
        .setTimer(1, () => {
          fired = true;
        })
        .cancel();
      await (clock instanceof FakeClock ? clock.advance(10) : clock.sleep(10));
      assert.equal(fired, false);
    });
  });
}

describe('the system clock', () => {
  it('waits as long as asked, on its own monotonic scale', async () => {
    const startedMs = systemClock.monotonicMs();
    await systemClock.sleep(20);
    assert.ok(systemClock.monotonicMs() - startedMs >= 19);
  });

  it('does not fire a timer beyond the range of Node at once', async () => {
    let fired = false;
    const timer = systemClock.setTimer(2 ** 40, () => {
      fired = true;
    });
    await systemClock.sleep(10);
    timer.cancel();
    assert.equal(fired, false);
  });
});

describe('the fake clock', () => {
  it('runs timers in order of their time, and those that they set', async () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    clock.setTimer(20, () => seen.push(`b at ${clock.monotonicMs()}`));
    clock.setTimer(10, () => {
      seen.push(`a at ${clock.monotonicMs()}`);
      clock.setTimer(5, () => seen.push(`c at ${clock.monotonicMs()}`));
    });
    await clock.advance(30);
    assert.deepEqual(seen, ['a at 10', 'c at 15', 'b at 20']);
    assert.equal(clock.monotonicMs(), 30);
  });

  it('lets promises run between two timers', async () => {
    const clock = new FakeClock();
    const seen: number[] = [];
    const loop = async (): Promise<void> => {
      for (let turn = 0; turn < 3; turn += 1) {
        await clock.sleep(10);
        seen.push(clock.monotonicMs());
      }
    };
    const running = loop();
    await clock.advance(30);
    await running;
    assert.deepEqual(seen, [10, 20, 30]);
  });
});
