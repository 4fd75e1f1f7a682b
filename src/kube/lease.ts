// Leader election on a Lease: at most one candidate believes to lead, as far as monotonic clocks run at the same rate.
import { isDeepStrictEqual } from 'node:util';
import type { Clock, Timer } from '../runtime/clock.ts';
import { toError } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import type { KubeClient } from './client.ts';
import { isApiError } from './errors.ts';
import { microTime } from './micro-time.ts';
import { RESOURCES } from './resources.ts';
import type { Lease } from './resources.ts';

export type LeaderElectorOptions = {
  readonly client: Pick<KubeClient, 'find' | 'create' | 'update'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly namespace: string;
  readonly name: string;
  /** The pod's UID: a restarted container retakes its own Lease at once. Two live processes must never share it. */
  readonly identity: string;
  /** A candidate takes a Lease that has not changed for so long; default 15 s. */
  readonly leaseDurationMs?: number;
  /** Without a renewal for so long the leader steps down by itself; default 10 s. Less than the lease duration. */
  readonly renewDeadlineMs?: number;
  /** Between two attempts; default 2 s. */
  readonly retryPeriodMs?: number;
  /** @param signal aborts when this term ends */
  readonly onStartedLeading: (epoch: number, signal: AbortSignal) => void;
  readonly onStoppedLeading: (epoch: number) => void;
};

type Term = {
  readonly epoch: number;
  /** Start of the last call that renewed: the server's time-out counts from no earlier moment. */
  readonly renewedMs: number;
  readonly lifetime: AbortController;
  readonly deadline: Timer;
};

/** Lease.leaseTransitions is a 32-bit integer: seconds since this moment fit until 2093. */
const EPOCH_ZERO_MS = Date.UTC(2025, 0, 1);
const MAX_CALL_MS = 5_000;
const RELEASE_LIMIT_MS = 3_000;

/**
 * States: candidate (`#term` undefined) and leader. A candidate becomes leader by a write that carries the resourceVersion
 * of the Lease it judged free; a leader becomes candidate when the Lease is no longer of its term, or by its own deadline.
 *
 * **Epoch** = `spec.leaseTransitions`. It counts terms, not changes of holder: every taking adds one, also when a
 * restarted process retakes the Lease of its own identity, so that its former self's writes are told apart. A Lease that
 * somebody deleted is created anew with the number of seconds since 2025, which no count of terms (one per 2 s at most)
 * catches up with; only a wall clock set back by more than the Lease's age could break that, and fencing by the pods'
 * stamps does not depend on it. A candidate that has just started and finds no Lease can't know that one was deleted: then
 * two may lead until the former leader's next renewal, and the pods' resourceVersions are the fence.
 */
export class LeaderElector {
  readonly #options: LeaderElectorOptions;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #term: Term | undefined;
  /** The Lease as last read or written, and when that state was first seen. */
  #observed: { readonly lease: Lease; readonly sinceMs: number } | undefined;
  #highestEpoch = 0;

  constructor(options: LeaderElectorOptions) {
    this.#options = options;
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000;
    if (this.#renewDeadlineMs >= this.#leaseDurationMs || this.#retryPeriodMs >= this.#renewDeadlineMs) {
      throw new Error('while configuring leader election: it takes retry period < renew deadline < lease duration');
    }
  }

  /** Asks the clock too: a process that was paused sees the end of its term before the timer of that end has run. */
  isLeader(): boolean {
    const term = this.#term;
    return term !== undefined && this.#options.clock.monotonicMs() - term.renewedMs < this.#renewDeadlineMs;
  }

  /** Of the present term; undefined for a candidate. */
  get epoch(): number | undefined {
    return this.isLeader() ? this.#term?.epoch : undefined;
  }

  /** Aborts when the present term ends; already aborted for a candidate. */
  get signal(): AbortSignal {
    return this.isLeader() && this.#term !== undefined
      ? this.#term.lifetime.signal
      : AbortSignal.abort(new Error('this process does not lead'));
  }

  /** Who holds the Lease, as last seen; undefined when nobody does. */
  get holder(): string | undefined {
    const holder = this.#observed?.lease.spec?.holderIdentity ?? '';
    return holder === '' ? undefined : holder;
  }

  start(): void {
    if (this.#running !== undefined) {
      throw new Error('while starting leader election: it was started before');
    }
    this.#running = this.#run(this.#stopping.signal);
  }

  /** Ends the term and gives the Lease free, so that another takes it at once. Call it when all work has stopped. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('leader election was stopped'));
    await this.#running;
    const epoch = this.#term?.epoch;
    if (epoch === undefined) {
      return;
    }
    this.#stepDown('it was stopped');
    try {
      await this.#release(epoch);
    } catch (thrown) {
      this.#options.log.warn('the Lease could not be released, it will expire', { error: toError(thrown).message });
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#tick();
      } catch (thrown) {
        log.warn('an attempt on the Lease failed', { leading: this.isLeader(), error: toError(thrown).message });
      }
      const waitMs = this.#retryPeriodMs * (this.#term === undefined ? 1 + 0.2 * random() : 1);
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  async #tick(): Promise<void> {
    if (this.#term !== undefined) {
      await this.#renew(this.#term);
    } else {
      await this.#tryToTake();
    }
  }

  async #renew(term: Term): Promise<void> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const lease = this.#observed?.lease;
    if (lease === undefined) {
      await this.#renewAfterRace(term);
    } else {
      try {
        this.#observe(await this.#write(lease, term.epoch));
      } catch (error) {
        if (!isApiError(error, 'conflict', 'notFound')) {
          throw error;
        }
        // Somebody wrote or deleted it, or the answer to our last write got lost.
        await this.#renewAfterRace(term);
      }
    }
    this.#extend(term, startedMs);
  }

  async #renewAfterRace(term: Term): Promise<void> {
    const lease = await this.#read();
    if (lease === undefined) {
      this.#observe(await this.#createLease(term.epoch));
      return;
    }
    if (lease.spec?.holderIdentity !== this.#options.identity || lease.spec.leaseTransitions !== term.epoch) {
      this.#stepDown(`the Lease is held by ${lease.spec?.holderIdentity ?? 'nobody'}`);
      return;
    }
    this.#observe(await this.#write(lease, term.epoch));
  }

  async #tryToTake(): Promise<void> {
    const { clock } = this.#options;
    const lease = await this.#read();
    // Before the write, so that our own deadline starts no later than the others' count of our silence.
    const startedMs = clock.monotonicMs();
    if (this.#mayBeHeldByAnother(startedMs)) {
      return;
    }
    if (lease === undefined) {
      const epoch = this.#nextEpoch();
      this.#observe(await this.#createLease(epoch));
      this.#begin(epoch, startedMs);
      return;
    }
    const epoch = this.#nextEpoch();
    this.#observe(await this.#write(lease, epoch, microTime(clock.now())));
    this.#begin(epoch, startedMs);
  }

  /** By the Lease as last seen: one that was deleted meanwhile still protects the holder it named, who may not know yet. */
  #mayBeHeldByAnother(nowMs: number): boolean {
    const { lease, sinceMs = 0 } = this.#observed ?? {};
    const { holderIdentity = '', leaseDurationSeconds = 0 } = lease?.spec ?? {};
    const durationMs = Math.max(leaseDurationSeconds * 1000, this.#leaseDurationMs);
    return holderIdentity !== '' && holderIdentity !== this.#options.identity && nowMs - sinceMs < durationMs;
  }

  /** Above every one seen, and above those of leaders that this Lease knows nothing of: one that was deleted, a process without election. */
  #nextEpoch(): number {
    return Math.max(this.#highestEpoch + 1, Math.floor((this.#options.clock.now() - EPOCH_ZERO_MS) / 1000));
  }

  #begin(epoch: number, startedMs: number): void {
    const { clock, log, onStartedLeading, identity } = this.#options;
    if (clock.monotonicMs() - startedMs >= this.#renewDeadlineMs) {
      log.warn('the Lease was taken too slowly to lead', { identity, epoch });
      return;
    }
    const lifetime = new AbortController();
    this.#term = { epoch, renewedMs: startedMs, lifetime, deadline: this.#deadlineFrom(startedMs) };
    log.info('leading', { identity, epoch });
    this.#call(() => {
      onStartedLeading(epoch, lifetime.signal);
    });
  }

  #extend(term: Term, startedMs: number): void {
    // The term may have ended by its deadline while the call was under way: what has ended stays ended.
    if (this.#term === term) {
      term.deadline.cancel();
      this.#term = { ...term, renewedMs: startedMs, deadline: this.#deadlineFrom(startedMs) };
    }
  }

  #deadlineFrom(startedMs: number): Timer {
    const { clock } = this.#options;
    return clock.setTimer(startedMs + this.#renewDeadlineMs - clock.monotonicMs(), () => {
      this.#stepDown('the Lease could not be renewed in time');
    });
  }

  #stepDown(why: string): void {
    const term = this.#term;
    if (term === undefined) {
      return;
    }
    const { log, identity, onStoppedLeading } = this.#options;
    this.#term = undefined;
    term.deadline.cancel();
    log.warn('no longer leading', { identity, epoch: term.epoch, why });
    term.lifetime.abort(new Error(`no longer leading: ${why}`));
    this.#call(() => {
      onStoppedLeading(term.epoch);
    });
  }

  async #release(epoch: number): Promise<void> {
    const lease = await this.#read(RELEASE_LIMIT_MS);
    if (lease?.spec?.holderIdentity === this.#options.identity && lease.spec.leaseTransitions === epoch) {
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1 };
      await this.#options.client.update({ ...lease, spec }, { timeoutMs: RELEASE_LIMIT_MS, urgent: true });
    }
  }

  async #read(timeoutMs = MAX_CALL_MS): Promise<Lease | undefined> {
    const { client, namespace, name } = this.#options;
    const lease = await client.find(RESOURCES.Lease, namespace, name, { timeoutMs, urgent: true });
    if (lease !== undefined) {
      this.#observe(lease);
    }
    return lease;
  }

  #observe(lease: Lease): void {
    this.#highestEpoch = Math.max(this.#highestEpoch, lease.spec?.leaseTransitions ?? 0);
    // By content, not by resourceVersion: a label that somebody sets is no sign of life.
    const unchanged = isDeepStrictEqual(this.#observed?.lease.spec, lease.spec);
    const sinceMs = unchanged ? this.#observed?.sinceMs : undefined;
    this.#observed = { lease, sinceMs: sinceMs ?? this.#options.clock.monotonicMs() };
  }

  #write(lease: Lease, epoch: number, acquireTime = lease.spec?.acquireTime): Promise<Lease> {
    const spec = { ...lease.spec, ...this.#spec(epoch), ...(acquireTime === undefined ? {} : { acquireTime }) };
    return this.#options.client.update({ ...lease, spec }, { timeoutMs: MAX_CALL_MS, urgent: true });
  }

  async #createLease(epoch: number): Promise<Lease> {
    const { client, clock, namespace, name } = this.#options;
    const spec = { ...this.#spec(epoch), acquireTime: microTime(clock.now()) };
    const { apiVersion, kind } = RESOURCES.Lease;
    const object = { apiVersion, kind, metadata: { namespace, name }, spec };
    return client.create(object, { timeoutMs: MAX_CALL_MS, urgent: true });
  }

  #spec(epoch: number) {
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
      leaseTransitions: epoch,
      renewTime: microTime(this.#options.clock.now()),
    };
  }

  #call(callback: () => void): void {
    try {
      callback();
    } catch (thrown) {
      this.#options.log.error('a callback of leader election failed', { error: toError(thrown) });
    }
  }
}
