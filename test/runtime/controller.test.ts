import assert from 'node:assert/strict';
import { Controller, TERMINAL_RETRY_MS } from '../../src/runtime/controller.ts';
import type { ControllerOptions, ReconcileFacts } from '../../src/runtime/controller.ts';
import { TerminalError } from '../../src/runtime/errors.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { WorkQueue } from '../../src/runtime/work-queue.ts';
import { FakeClock } from '../support/fake-clock.ts';

function setUp(reconcile: ControllerOptions['reconcile'], workers = 1) {
  const clock = new FakeClock();
  const backoff = { baseMs: 100, maxMs: 10_000, factor: 2, jitter: 0 };
  const queue = new WorkQueue({ clock, random: () => 0.5, backoff });
  const ended: ReconcileFacts[] = [];
  const controller = new Controller({
    queue,
    clock,
    workers,
    reconcile,
    log: silentLog,
    onReconciled: (facts) => ended.push(facts),
  });
  return { clock, queue, controller, ended };
}

/** A reconcile that waits until the test lets it go on. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  return {
    wait: () => promise,
    open: () => {
      resolve(undefined);
    },
  };
}

describe('the controller', () => {
  it('does nothing more after a success, and forgets the failures', async () => {
    let failing = true;
    const { clock, queue, controller, ended } = setUp(() => {
      if (failing) {
        failing = false;
        throw new Error('once');
      }
      return Promise.resolve({});
    });
    controller.start();
    queue.add('a');
    await clock.advance(1000);
    assert.deepEqual(
      ended.map(({ outcome }) => outcome),
      ['error', 'success'],
    );
    assert.equal(queue.failures('a'), 0);
    assert.equal(clock.pendingTimers, 0);
    await controller.stop();
  });

  it('comes back after the time that the outcome names', async () => {
    const { clock, queue, controller, ended } = setUp(() => Promise.resolve({ requeueAfterMs: 400 }));
    controller.start();
    queue.add('a');
    await clock.advance(1000);
    assert.equal(ended.length, 3);
    assert.ok(ended.every(({ outcome }) => outcome === 'requeueAfter'));
    await controller.stop();
  });

  it('backs off further with each error', async () => {
    const { clock, queue, controller, ended } = setUp(() => Promise.reject(new Error('down')));
    controller.start();
    queue.add('a');
    await clock.advance(99);
    assert.equal(ended.length, 1);
    await clock.advance(1 + 199);
    assert.equal(ended.length, 2);
    await clock.advance(1 + 399);
    assert.equal(ended.length, 3);
    await controller.stop();
  });

  it('waits as long as an error asks for', async () => {
    const throttled = Object.assign(new Error('429'), { retryAfterMs: 5000 });
    const { clock, queue, controller, ended } = setUp(() => Promise.reject(throttled));
    controller.start();
    queue.add('a');
    await clock.advance(4999);
    assert.equal(ended.length, 1);
    await clock.advance(1);
    assert.equal(ended.length, 2);
    await controller.stop();
  });

  it('tries a terminal error again slowly, but at once when something changes', async () => {
    const { clock, queue, controller, ended } = setUp(() => Promise.reject(new TerminalError('no such port')));
    controller.start();
    queue.add('a');
    await clock.advance(TERMINAL_RETRY_MS - 1);
    assert.equal(ended.length, 1);
    queue.add('a');
    await clock.settle();
    assert.equal(ended.length, 2);
    await clock.advance(1);
    assert.equal(ended.length, 3);
    assert.equal(controller.metrics().outcomes.terminal, 3);
    await controller.stop();
  });

  it('counts a conflict apart from an error', async () => {
    const conflict = Object.assign(new Error('409'), { expected: true });
    const { clock, queue, controller } = setUp(() => Promise.reject(conflict));
    controller.start();
    queue.add('a');
    await clock.settle();
    assert.deepEqual(controller.metrics().outcomes.conflict, 1);
    assert.deepEqual(controller.metrics().outcomes.error, 0);
    await controller.stop();
  });

  it('survives a reconcile that throws something that is no error', async () => {
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
    const { clock, queue, controller, ended } = setUp((key) => (key === 'a' ? Promise.reject(7) : Promise.resolve({})));
    controller.start();
    queue.add('a');
    queue.add('b');
    await clock.settle();
    assert.deepEqual(
      ended.map(({ outcome }) => outcome),
      ['error', 'success'],
    );
    await controller.stop();
  });

  it('works on as many keys at once as it has workers', async () => {
    const opening = gate();
    const { clock, queue, controller } = setUp(async () => {
      await opening.wait();
      return {};
    }, 2);
    controller.start();
    for (const key of ['a', 'b', 'c']) {
      queue.add(key);
    }
    await clock.settle();
    assert.equal(controller.metrics().running, 2);
    opening.open();
    await clock.settle();
    assert.equal(controller.metrics().outcomes.success, 3);
    await controller.stop();
  });

  it('stops only when the running reconcile has ended, without disturbing it', async () => {
    const opening = gate();
    let disturbed: boolean | undefined;
    const { clock, queue, controller } = setUp(async (_key, signal) => {
      await opening.wait();
      disturbed = signal.aborted;
      return {};
    });
    controller.start();
    queue.add('a');
    await clock.settle();
    let stopped = false;
    const stopping = controller.stop().then(() => {
      stopped = true;
    });
    await clock.advance(5000);
    assert.equal(stopped, false);
    opening.open();
    await stopping;
    assert.equal(disturbed, false);
  });

  it('tells a reconcile that takes too long to stop, and returns after ten seconds even if it does not', async () => {
    let toldAtMs: number | undefined;
    const { clock, queue, controller } = setUp((_key, signal) => {
      signal.addEventListener('abort', () => {
        toldAtMs = clock.monotonicMs();
      });
      return new Promise(() => undefined);
    });
    controller.start();
    queue.add('a');
    await clock.settle();
    const stopping = controller.stop();
    await clock.advance(10_000);
    await stopping;
    assert.equal(toldAtMs, 8000);
  });

  it('tells running reconciles at once when leadership is lost, and takes no further key', async () => {
    const leadership = new AbortController();
    const seen: string[] = [];
    const { clock, queue, controller } = setUp(async (key, signal) => {
      seen.push(key);
      await clock.sleep(60_000, signal);
      return {};
    });
    controller.start(leadership.signal);
    queue.add('a');
    queue.add('b');
    await clock.settle();
    leadership.abort(new Error('lease lost'));
    await clock.settle();
    assert.deepEqual(seen, ['a']);
    assert.equal(controller.metrics().outcomes.cancelled, 1);
    await controller.stop();
  });
});
