import assert from 'node:assert/strict';
import fc from 'fast-check';
import { WorkQueue } from '../../src/runtime/work-queue.ts';
import { FakeClock } from '../support/fake-clock.ts';

const never = new AbortController().signal;

function setUp() {
  const clock = new FakeClock();
  const backoff = { baseMs: 100, maxMs: 10_000, factor: 2, jitter: 0 };
  const queue = new WorkQueue({ clock, random: () => 0.5, backoff });
  return { clock, queue };
}

/** The keys that are ready now, in the order of handing out; each is done at once. */
async function drain(queue: WorkQueue): Promise<string[]> {
  const keys: string[] = [];
  while (queue.metrics().depth > 0) {
    const key = await queue.get(never);
    assert.ok(key !== undefined);
    keys.push(key);
    queue.done(key);
  }
  return keys;
}

describe('the work queue', () => {
  it('hands out a key once, however often it was added', async () => {
    const { queue } = setUp();
    for (const key of ['a', 'b', 'a', 'a']) {
      queue.add(key);
    }
    assert.deepEqual(await drain(queue), ['a', 'b']);
  });

  it('queues a key again that was added while a worker had it, and not before that worker is done', async () => {
    const { queue } = setUp();
    queue.add('a');
    assert.equal(await queue.get(never), 'a');
    queue.add('a');
    queue.add('a');
    assert.equal(queue.metrics().depth, 0);
    queue.done('a');
    assert.deepEqual(await drain(queue), ['a']);
    assert.equal(queue.metrics().processing, 0);
  });

  it('keeps the earlier of two delays, whichever came first', async () => {
    const { clock, queue } = setUp();
    queue.addAfter('a', 50);
    queue.addAfter('a', 500);
    queue.addAfter('b', 500);
    queue.addAfter('b', 50);
    await clock.advance(49);
    assert.equal(queue.metrics().depth, 0);
    await clock.advance(1);
    assert.deepEqual(await drain(queue), ['a', 'b']);
    await clock.advance(1000);
    assert.equal(queue.metrics().depth, 0);
    assert.equal(clock.pendingTimers, 0);
  });

  it('adds at once what is delayed by nothing', () => {
    const { queue } = setUp();
    queue.addAfter('a', 0);
    assert.equal(queue.metrics().depth, 1);
  });

  it('doubles the delay of a key with each failure, until it is forgotten', async () => {
    const { clock, queue } = setUp();
    const delays: number[] = [];
    for (let failure = 0; failure < 4; failure += 1) {
      queue.addRateLimited('a');
      delays.push(clock.nextTimerMs ?? -1);
      await clock.advanceUntil(() => queue.metrics().depth > 0, 10_000);
      await drain(queue);
    }
    queue.forget('a');
    queue.addRateLimited('a');
    assert.deepEqual([...delays, clock.nextTimerMs], [100, 200, 400, 800, 100]);
  });

  it('waits at least as long as the server asked for', () => {
    const { clock, queue } = setUp();
    queue.addRateLimited('a', 7000);
    assert.equal(clock.nextTimerMs, 7000);
  });

  it('counts the failures of each key apart', () => {
    const { queue } = setUp();
    queue.addRateLimited('a');
    queue.addRateLimited('a');
    queue.addRateLimited('b');
    assert.deepEqual([queue.failures('a'), queue.failures('b'), queue.failures('c')], [2, 1, 0]);
  });

  it('hands out low priority only when nothing else waits', async () => {
    const { queue } = setUp();
    queue.add('resynced', 'low');
    queue.add('changed');
    queue.add('changed too');
    assert.deepEqual(await drain(queue), ['changed', 'changed too', 'resynced']);
  });

  it('raises a key of low priority when it is added with normal priority, and never lowers one', async () => {
    const { queue } = setUp();
    queue.add('a', 'low');
    queue.add('b', 'low');
    queue.add('b');
    queue.add('b', 'low');
    assert.deepEqual(await drain(queue), ['b', 'a']);
  });

  it('keeps the priority of a key that became dirty', async () => {
    const { queue } = setUp();
    queue.add('a');
    await queue.get(never);
    queue.add('a', 'low');
    queue.add('a');
    queue.add('b', 'low');
    queue.done('a');
    assert.deepEqual(await drain(queue), ['a', 'b']);
  });

  it('hands out nothing after shutdown, and ends the waiting', async () => {
    const { clock, queue } = setUp();
    const waiting = queue.get(never);
    queue.shutdown();
    assert.equal(await waiting, undefined);
    queue.add('a');
    queue.addAfter('b', 1);
    await clock.advance(10);
    assert.equal(await queue.get(never), undefined);
    assert.equal(queue.metrics().depth, 0);
  });

  it('becomes idle after shutdown when the last running key is done, even if that key was added again', async () => {
    const { clock, queue } = setUp();
    queue.add('a');
    await queue.get(never);
    queue.add('a');
    queue.shutdown();
    let idle = false;
    const waiting = queue.idle().then(() => {
      idle = true;
    });
    await clock.settle();
    assert.equal(idle, false);
    queue.done('a');
    await waiting;
    assert.equal(queue.metrics().depth, 0);
  });

  it('ends a wait when its signal aborts, and passes the key on that had just woken it', async () => {
    const { queue } = setUp();
    const first = new AbortController();
    const one = queue.get(first.signal);
    const two = queue.get(never);
    queue.add('a');
    first.abort();
    assert.equal(await one, undefined);
    assert.equal(await two, 'a');
  });

  it('refuses to finish a key that nobody has', () => {
    const { queue } = setUp();
    assert.throws(() => {
      queue.done('a');
    }, /a was not being processed/);
  });

  it('measures waiting, working and the longest running key', async () => {
    const { clock, queue } = setUp();
    queue.add('a');
    await clock.advance(30);
    await queue.get(never);
    await clock.advance(70);
    assert.equal(queue.metrics().longestRunningMs, 70);
    queue.done('a');
    assert.deepEqual(queue.metrics(), {
      depth: 0,
      lowPriorityDepth: 0,
      delayed: 0,
      processing: 0,
      longestRunningMs: 0,
      adds: 1,
      retries: 0,
      processed: 1,
      latencyMsTotal: 30,
      workMsTotal: 70,
    });
  });
});

describe('the work queue, under any interleaving', () => {
  type Added = { readonly key: string; readonly how: 'normal' | 'low' | 'later' | 'failed' };
  const added = fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    how: fc.constantFrom('normal', 'low', 'later', 'failed'),
  }) satisfies fc.Arbitrary<Added>;

  it('never gives one key to two workers, works on every key after its last add, and becomes empty', async () => {
    const property = fc.asyncProperty(
      fc.scheduler(),
      fc.array(added, { maxLength: 30 }),
      fc.integer({ min: 1, max: 4 }),
      async (scheduler, adds, workers) => {
        const { clock, queue } = setUp();
        const running = new Set<string>();
        const addedAt = new Map<string, number>();
        const startedAt = new Map<string, number>();
        let turn = 0;
        const work = async (): Promise<void> => {
          for (let key = await queue.get(never); key !== undefined; key = await queue.get(never)) {
            assert.ok(!running.has(key), `two workers on ${key}`);
            running.add(key);
            startedAt.set(key, (turn += 1));
            await scheduler.schedule(Promise.resolve(), `working on ${key}`);
            running.delete(key);
            queue.done(key);
          }
        };
        const working = Array.from({ length: workers }, () => work());
        const adding = adds.map(async ({ key, how }) => {
          await scheduler.schedule(Promise.resolve(), `adding ${key} ${how}`);
          addedAt.set(key, (turn += 1));
          if (how === 'later') {
            queue.addAfter(key, 10);
          } else if (how === 'failed') {
            queue.addRateLimited(key);
          } else {
            queue.add(key, how);
          }
        });
        await scheduler.waitIdle();
        await Promise.all(adding);
        while (clock.pendingTimers > 0) {
          await clock.advance(clock.nextTimerMs ?? 0);
          await scheduler.waitIdle();
        }
        for (const [key, at] of addedAt) {
          assert.ok((startedAt.get(key) ?? 0) > at, `${key} was not worked on after its last add`);
        }
        assert.equal(queue.metrics().depth, 0);
        assert.equal(queue.metrics().processing, 0);
        queue.shutdown();
        await Promise.all(working);
      },
    );
    await fc.assert(property, { numRuns: 300 });
  });

  it('ends in the same state for any order, doubling or loss of events, after one resync', async () => {
    const property = fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), value: fc.nat(9), copies: fc.nat(2) }), {
        maxLength: 20,
      }),
      async (scheduler, changes) => {
        const { queue } = setUp();
        const world = new Map<string, number>();
        const handled = new Map<string, number | undefined>();
        const work = async (): Promise<void> => {
          for (let key = await queue.get(never); key !== undefined; key = await queue.get(never)) {
            const seen = world.get(key);
            await scheduler.schedule(Promise.resolve(), `handling ${key}`);
            handled.set(key, seen);
            queue.done(key);
          }
        };
        const working = [work(), work(), work()];
        for (const { key, value, copies } of changes) {
          world.set(key, value);
          for (let copy = 0; copy < copies; copy += 1) {
            // The scheduler may deliver this long after the change, and in any order.
            void scheduler.schedule(Promise.resolve(), `event ${key}`).then(() => {
              queue.add(key);
            });
          }
        }
        await scheduler.waitIdle();
        for (const key of world.keys()) {
          queue.add(key, 'low');
        }
        await scheduler.waitIdle();
        queue.shutdown();
        await Promise.all(working);
        assert.deepEqual(new Map([...handled].sort()), new Map([...world].sort()));
      },
    );
    await fc.assert(property, { numRuns: 200 });
  });
});
