import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ApiError } from '../../src/kube/errors.ts';
import { LeaderElector } from '../../src/kube/lease.ts';
import type { LeaderElectorOptions } from '../../src/kube/lease.ts';
import type { Lease, LiveObject } from '../../src/kube/resources.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { FakeClock } from '../support/fake-clock.ts';

type LeaseClient = LeaderElectorOptions['client'];
type Fault = 'none' | 'unreachable' | 'lost reply' | 'hangs';

/** One Lease with the API server's optimistic concurrency; each client has its own network. */
class LeaseServer {
  lease: Lease | undefined;
  writes = 0;
  readonly #clock: FakeClock;
  #version = 0;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  client(network: { fault: Fault }): LeaseClient {
    const through = async <T>(act: () => T): Promise<T> => {
      await Promise.resolve();
      if (network.fault === 'unreachable') {
        throw new ApiError({ kind: 'unavailable', message: 'unreachable' });
      }
      if (network.fault === 'hangs') {
        await this.#clock.sleep(5000);
        throw new ApiError({ kind: 'timeout', message: 'no answer' });
      }
      const result = act();
      if (network.fault === 'lost reply') {
        throw new ApiError({ kind: 'unavailable', message: 'lost reply' });
      }
      return result;
    };
    return {
      find: <T extends LiveObject>() => through(() => this.lease as T | undefined),
      create: (object) =>
        through(() => this.#create(object as unknown as Lease) as unknown as typeof object & LiveObject),
      update: (object) =>
        through(() => this.#update(object as unknown as Lease) as unknown as typeof object & LiveObject),
    };
  }

  stored(): Lease | undefined {
    return this.lease;
  }

  edit(spec: Lease['spec']): void {
    assert.ok(this.lease);
    this.#store({ ...this.lease, ...(spec === undefined ? {} : { spec }) });
  }

  #create(object: Lease): Lease {
    if (this.lease !== undefined) {
      throw new ApiError({ kind: 'alreadyExists', message: 'exists' });
    }
    return this.#store(object);
  }

  #update(object: Lease): Lease {
    if (this.lease === undefined) {
      throw new ApiError({ kind: 'notFound', message: 'no such lease' });
    }
    if (object.metadata.resourceVersion !== this.lease.metadata.resourceVersion) {
      throw new ApiError({ kind: 'conflict', message: 'changed' });
    }
    return this.#store(object);
  }

  #store(object: Lease): Lease {
    this.writes += 1;
    const metadata = { ...object.metadata, uid: 'u', resourceVersion: String((this.#version += 1)) };
    this.lease = { ...object, metadata };
    return this.lease;
  }
}

type Candidate = {
  readonly elector: LeaderElector;
  readonly network: { fault: Fault };
  /** `+7` when epoch 7 began, `-7` when it ended. */
  readonly terms: string[];
};

function setUp() {
  const clock = new FakeClock();
  const server = new LeaseServer(clock);
  const candidate = (identity: string, at: Clock = clock): Candidate => {
    const network = { fault: 'none' as Fault };
    const terms: string[] = [];
    const elector = new LeaderElector({
      client: server.client(network),
      clock: at,
      log: silentLog,
      random: () => 0.5,
      namespace: 'ns',
      name: 'operator',
      identity,
      onStartedLeading: (epoch) => terms.push(`+${epoch}`),
      onStoppedLeading: (epoch) => terms.push(`-${epoch}`),
    });
    return { elector, network, terms };
  };
  return { clock, server, candidate };
}

const epochOf = ({ elector }: Candidate): number => {
  assert.ok(elector.epoch !== undefined, 'it does not lead');
  return elector.epoch;
};

describe('leader election', () => {
  it('makes one of two candidates the leader, who writes once in two seconds at most', async () => {
    const { clock, server, candidate } = setUp();
    const [a, b] = [candidate('a'), candidate('b')];
    a.elector.start();
    await clock.settle();
    b.elector.start();
    await clock.advance(60_000);
    assert.ok(a.elector.isLeader() && !b.elector.isLeader());
    assert.equal(b.elector.holder, 'a');
    assert.ok(server.writes <= 31, `${server.writes} writes in a minute`);
    await Promise.all([a.elector.stop(), b.elector.stop()]);
  });

  it('lets the other take over when the leader is gone, not before the lease is over, with a greater epoch', async () => {
    const { clock, candidate } = setUp();
    const [a, b] = [candidate('a'), candidate('b')];
    a.elector.start();
    await clock.advance(10_000);
    b.elector.start();
    const former = epochOf(a);
    a.network.fault = 'unreachable';
    await clock.advance(12_000);
    assert.ok(!a.elector.isLeader(), 'the old leader has stepped down');
    assert.ok(!b.elector.isLeader(), 'the lease is not over yet');
    await clock.advance(8_000);
    assert.ok(epochOf(b) > former);
    assert.deepEqual(a.terms, [`+${former}`, `-${former}`]);
    await b.elector.stop();
  });

  it('aborts the signal of a term at the renew deadline, while a call hangs', async () => {
    const { clock, candidate } = setUp();
    const a = candidate('a');
    a.elector.start();
    await clock.advance(10_000);
    const { signal } = a.elector;
    a.network.fault = 'hangs';
    await clock.advance(7_900);
    assert.equal(signal.aborted, false);
    await clock.advance(2_200);
    assert.equal(signal.aborted, true);
    assert.equal(a.elector.signal.aborted, true);
  });

  it('knows that its term is over before any timer has run, when the process was paused', async () => {
    const { clock, candidate } = setUp();
    // A process of its own, whose timers stand still while the world goes on.
    const paused = new FakeClock();
    const a = candidate('a', paused);
    a.elector.start();
    await paused.settle();
    assert.ok(a.elector.isLeader());
    const b = candidate('b');
    b.elector.start();
    await clock.advance(20_000);
    assert.ok(b.elector.isLeader());
    // It wakes up: its clock has moved on, none of its timers has run.
    const beforeMs = paused.monotonicMs();
    paused.monotonicMs = () => beforeMs + 20_000;
    assert.equal(a.elector.isLeader(), false);
    assert.equal(a.elector.epoch, undefined);
    assert.equal(a.elector.signal.aborted, true);
    await b.elector.stop();
  });

  it('is not taken from a live leader by one whose wall clock is ahead, nor kept by one whose clock is set back', async () => {
    const { clock, candidate } = setUp();
    const wallClockAt = (offsetMs: () => number): Clock => ({
      now: () => clock.now() + offsetMs(),
      monotonicMs: () => clock.monotonicMs(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
      setTimer: (ms, fn) => clock.setTimer(ms, fn),
    });
    let setBackMs = 0;
    const leader = candidate(
      'a',
      wallClockAt(() => setBackMs),
    );
    leader.elector.start();
    await clock.advance(5_000);
    const ahead = candidate(
      'b',
      wallClockAt(() => 3_600_000),
    );
    ahead.elector.start();
    await clock.advance(30_000);
    assert.ok(leader.elector.isLeader() && !ahead.elector.isLeader());
    setBackMs = -3_600_000;
    leader.network.fault = 'unreachable';
    await clock.advance(12_000);
    assert.equal(leader.elector.isLeader(), false);
    await clock.advance(8_000);
    assert.ok(ahead.elector.isLeader());
    await ahead.elector.stop();
  });

  it('hands over at once when the leader stops', async () => {
    const { clock, server, candidate } = setUp();
    const [a, b] = [candidate('a'), candidate('b')];
    a.elector.start();
    await clock.advance(5_000);
    b.elector.start();
    await clock.advance(5_000);
    const former = epochOf(a);
    await a.elector.stop();
    assert.equal(server.lease?.spec?.holderIdentity, '');
    assert.equal(a.elector.signal.aborted, true);
    await clock.advance(2_400);
    assert.ok(epochOf(b) > former);
    await b.elector.stop();
  });

  it('retakes the Lease of its own identity at once, with a greater epoch', async () => {
    const { clock, candidate } = setUp();
    const first = candidate('pod-uid');
    first.elector.start();
    await clock.advance(5_000);
    const former = epochOf(first);
    first.network.fault = 'unreachable';
    const restarted = candidate('pod-uid');
    restarted.elector.start();
    await clock.settle();
    assert.ok(epochOf(restarted) > former);
  });

  it('takes a greater epoch than a leader without a Lease could have had until now', async () => {
    const { clock, server, candidate } = setUp();
    const first = candidate('a');
    first.elector.start();
    await clock.advance(1_000);
    await first.elector.stop();
    await clock.advance(3_600_000);
    const beforeMs = clock.now();
    const second = candidate('b');
    second.elector.start();
    await clock.advance(5_000);
    assert.equal(epochOf(second), server.lease?.spec?.leaseTransitions);
    assert.ok(epochOf(second) >= Math.floor((beforeMs - Date.UTC(2025, 0, 1)) / 1000));
  });

  it('ends the term of a former process of the same identity', async () => {
    const { clock, candidate } = setUp();
    const first = candidate('pod-uid');
    first.elector.start();
    await clock.advance(1_000);
    const { signal } = first.elector;
    const second = candidate('pod-uid');
    second.elector.start();
    await clock.advance(1_100);
    assert.equal(signal.aborted, true);
  });

  it('steps down at once when it sees that the Lease was taken from it', async () => {
    const { clock, server, candidate } = setUp();
    const a = candidate('a');
    a.elector.start();
    await clock.advance(5_000);
    const former = epochOf(a);
    server.edit({ ...server.lease?.spec, holderIdentity: 'thief', leaseTransitions: former + 1 });
    await clock.advance(2_000);
    assert.equal(a.elector.isLeader(), false);
    await clock.advance(20_000);
    assert.ok(epochOf(a) > former + 1);
    await a.elector.stop();
  });

  it('goes on leading, in the same epoch, when answers to its renewals get lost for a while', async () => {
    const { clock, candidate } = setUp();
    const a = candidate('a');
    a.elector.start();
    await clock.advance(5_000);
    const epoch = epochOf(a);
    a.network.fault = 'lost reply';
    await clock.advance(5_000);
    a.network.fault = 'none';
    await clock.advance(30_000);
    assert.equal(epochOf(a), epoch);
    assert.equal(a.terms.length, 1);
  });

  it('leads at the second attempt when the answer to its first got lost', async () => {
    const { clock, candidate } = setUp();
    const a = candidate('a');
    a.network.fault = 'lost reply';
    a.elector.start();
    await clock.settle();
    assert.equal(a.elector.isLeader(), false);
    a.network.fault = 'none';
    await clock.advance(2_400);
    assert.ok(a.elector.isLeader());
  });

  it('makes the Lease anew when somebody deleted it, and stays the leader', async () => {
    const { clock, server, candidate } = setUp();
    const a = candidate('a');
    a.elector.start();
    await clock.advance(5_000);
    const epoch = epochOf(a);
    server.lease = undefined;
    await clock.advance(5_000);
    assert.equal(epochOf(a), epoch);
    assert.equal(server.stored()?.spec?.leaseTransitions, epoch);
  });

  it('starts with a greater epoch than any before when another makes a deleted Lease anew', async () => {
    const { clock, server, candidate } = setUp();
    const a = candidate('a');
    a.elector.start();
    await clock.advance(60_000);
    const former = epochOf(a);
    a.network.fault = 'unreachable';
    server.lease = undefined;
    const b = candidate('b');
    b.elector.start();
    await clock.settle();
    assert.ok(epochOf(b) > former);
  });

  it('does not take a deleted Lease from a holder who may not know yet', async () => {
    const { clock, server, candidate } = setUp();
    const [a, b] = [candidate('a'), candidate('b')];
    a.elector.start();
    await clock.settle();
    b.elector.start();
    await clock.advance(5_000);
    a.network.fault = 'unreachable';
    server.lease = undefined;
    for (let second = 0; second < 20; second += 1) {
      await clock.advance(1_000);
      assert.ok(!(a.elector.isLeader() && b.elector.isLeader()));
    }
    assert.ok(b.elector.isLeader());
  });

  it('does not take a label on the Lease for a sign of life of its holder', async () => {
    const { clock, server, candidate } = setUp();
    const [a, b] = [candidate('a'), candidate('b')];
    a.elector.start();
    await clock.advance(1_000);
    a.network.fault = 'unreachable';
    b.elector.start();
    for (let second = 0; second < 20; second += 1) {
      server.edit(server.lease?.spec);
      await clock.advance(1_000);
    }
    assert.ok(b.elector.isLeader());
  });

  it('refuses durations that leave no time between stepping down and being replaced', () => {
    const { clock, server } = setUp();
    const client = server.client({ fault: 'none' });
    const common = { client, clock, log: silentLog, random: Math.random, namespace: 'n', name: 'l', identity: 'i' };
    const callbacks = { onStartedLeading: () => undefined, onStoppedLeading: () => undefined };
    assert.throws(
      () => new LeaderElector({ ...common, ...callbacks, leaseDurationMs: 10_000, renewDeadlineMs: 10_000 }),
      /renew deadline < lease duration/,
    );
  });

  it('never has two leaders, and every term has a greater epoch, under any faults of the network', async () => {
    const fault = fc.constantFrom<Fault>('none', 'none', 'unreachable', 'lost reply', 'hangs');
    const weather = fc.array(
      fc.record({ faults: fc.tuple(fault, fault, fault), seconds: fc.integer({ min: 1, max: 30 }) }),
      {
        maxLength: 10,
      },
    );
    const property = fc.asyncProperty(weather, async (changes) => {
      const { clock, candidate } = setUp();
      const candidates = [candidate('a'), candidate('b'), candidate('c')];
      for (const { elector } of candidates) {
        elector.start();
      }
      let highest = 0;
      const begun = new Set<number>();
      for (const { faults, seconds } of changes) {
        candidates.forEach(({ network }, index) => (network.fault = faults[index] ?? 'none'));
        for (let second = 0; second < seconds; second += 1) {
          await clock.advance(1000);
          const leaders = candidates.filter(({ elector }) => elector.isLeader());
          assert.ok(leaders.length <= 1, `${leaders.length} leaders`);
          for (const leader of leaders) {
            const epoch = epochOf(leader);
            assert.ok(epoch >= highest, `epoch ${epoch} after ${highest}`);
            highest = epoch;
          }
        }
      }
      for (const { terms, network } of candidates) {
        network.fault = 'none';
        for (const epoch of terms.filter((term) => term.startsWith('+')).map(Number)) {
          assert.ok(!begun.has(epoch), `epoch ${epoch} began twice`);
          begun.add(epoch);
        }
      }
      await clock.advance(40_000);
      assert.equal(candidates.filter(({ elector }) => elector.isLeader()).length, 1);
    });
    await fc.assert(property, { numRuns: 60 });
  }).timeout(60_000);
});
