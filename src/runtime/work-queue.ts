// The set of keys that need work: deduplicated, never processed twice at once, delayed and retried per key.
import { backoffMs, RECONCILE_BACKOFF } from './backoff.ts';
import type { BackoffPolicy } from './backoff.ts';
import type { Clock, Timer } from './clock.ts';

export type Priority = 'normal' | 'low';

export type WorkQueueMetrics = {
  readonly depth: number;
  readonly lowPriorityDepth: number;
  readonly delayed: number;
  readonly processing: number;
  readonly longestRunningMs: number;
  /** Totals since the start. */
  readonly adds: number;
  readonly retries: number;
  readonly processed: number;
  /** Sums; divide by `processed` for a mean. Latency is the time from queued to handed out. */
  readonly latencyMsTotal: number;
  readonly workMsTotal: number;
};

export type WorkQueueOptions = {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly backoff?: BackoffPolicy;
};

type Delayed = { readonly dueMs: number; readonly priority: Priority; readonly timer: Timer };

/**
 * A key is in at most one of these places:
 * - queued (`#queues`): waits for a worker; low priority only when no normal key waits;
 * - processing: a worker has it until `done`;
 * - processing and dirty: added meanwhile, queued again by `done`.
 * Beside that it may be delayed: a timer that will add it. Of two delays the earlier wins.
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #backoff: BackoffPolicy;
  // Maps keep insertion order, so each is a FIFO with look-up; the value is when the key was queued.
  readonly #queues: Readonly<Record<Priority, Map<string, number>>> = { normal: new Map(), low: new Map() };
  readonly #processing = new Map<string, number>();
  readonly #dirty = new Map<string, Priority>();
  readonly #delayed = new Map<string, Delayed>();
  readonly #failures = new Map<string, number>();
  readonly #waiters = new Set<() => void>();
  readonly #idleWaiters = new Set<() => void>();
  #shutDown = false;
  #adds = 0;
  #retries = 0;
  #processed = 0;
  #latencyMsTotal = 0;
  #workMsTotal = 0;

  constructor({ clock, random, backoff = RECONCILE_BACKOFF }: WorkQueueOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#backoff = backoff;
  }

  add(key: string, priority: Priority = 'normal'): void {
    if (this.#shutDown) {
      return;
    }
    this.#adds += 1;
    if (this.#processing.has(key)) {
      if (this.#dirty.get(key) !== 'normal') {
        this.#dirty.set(key, priority);
      }
      return;
    }
    this.#enqueue(key, priority);
  }

  /** Adds the key after `ms`; a pending earlier time stays. */
  addAfter(key: string, ms: number, priority: Priority = 'normal'): void {
    if (this.#shutDown) {
      return;
    }
    if (ms <= 0) {
      this.add(key, priority);
      return;
    }
    const dueMs = this.#clock.monotonicMs() + ms;
    const pending = this.#delayed.get(key);
    if (pending !== undefined && pending.dueMs <= dueMs) {
      return;
    }
    pending?.timer.cancel();
    const timer = this.#clock.setTimer(ms, () => {
      this.#delayed.delete(key);
      this.add(key, priority);
    });
    this.#delayed.set(key, { dueMs, priority, timer });
  }

  /** Adds the key after its own back-off, or after `atLeastMs` if that is longer. */
  addRateLimited(key: string, atLeastMs = 0): void {
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    this.#retries += 1;
    this.addAfter(key, Math.max(atLeastMs, backoffMs(this.#backoff, failures, this.#random())));
  }

  /** Clears the key's failure count. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** Consecutive failures of the key. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** The next key, or undefined once the signal aborts or the queue is shut down. Call `done` with it afterwards. */
  async get(signal: AbortSignal): Promise<string | undefined> {
    while (!this.#shutDown && !signal.aborted) {
      const key = this.#take();
      if (key !== undefined) {
        return key;
      }
      await this.#somethingQueued(signal);
    }
    // A key may have woken this waiter just before its signal aborted: pass the wake-up on, or the key waits for nobody.
    this.#wakeOne();
    return undefined;
  }

  done(key: string): void {
    const startedMs = this.#processing.get(key);
    if (startedMs === undefined) {
      throw new Error(`while finishing a key: ${key} was not being processed`);
    }
    this.#processing.delete(key);
    this.#processed += 1;
    this.#workMsTotal += this.#clock.monotonicMs() - startedMs;
    const priority = this.#dirty.get(key);
    this.#dirty.delete(key);
    if (priority !== undefined && !this.#shutDown) {
      this.#enqueue(key, priority);
    }
    if (this.#processing.size === 0) {
      notify(this.#idleWaiters);
    }
  }

  /** Stops accepting and handing out; keys being processed finish, waiting ones are dropped. */
  shutdown(): void {
    this.#shutDown = true;
    for (const { timer } of this.#delayed.values()) {
      timer.cancel();
    }
    this.#delayed.clear();
    this.#dirty.clear();
    this.#queues.normal.clear();
    this.#queues.low.clear();
    notify(this.#waiters);
  }

  /** Resolves when no key is being processed. */
  async idle(): Promise<void> {
    if (this.#processing.size > 0) {
      await new Promise<void>((resolve) => this.#idleWaiters.add(resolve));
    }
  }

  metrics(): WorkQueueMetrics {
    const now = this.#clock.monotonicMs();
    return {
      depth: this.#queues.normal.size + this.#queues.low.size,
      lowPriorityDepth: this.#queues.low.size,
      delayed: this.#delayed.size,
      processing: this.#processing.size,
      longestRunningMs: Math.max(0, ...[...this.#processing.values()].map((startedMs) => now - startedMs)),
      adds: this.#adds,
      retries: this.#retries,
      processed: this.#processed,
      latencyMsTotal: this.#latencyMsTotal,
      workMsTotal: this.#workMsTotal,
    };
  }

  #enqueue(key: string, priority: Priority): void {
    if (this.#queues.normal.has(key)) {
      return;
    }
    const queuedMs = this.#queues.low.get(key) ?? this.#clock.monotonicMs();
    if (priority === 'normal') {
      this.#queues.low.delete(key);
    }
    if (!this.#queues[priority].has(key)) {
      this.#queues[priority].set(key, queuedMs);
    }
    this.#wakeOne();
  }

  #wakeOne(): void {
    const [waiter] = this.#waiters;
    if (waiter !== undefined && this.#queues.normal.size + this.#queues.low.size > 0) {
      this.#waiters.delete(waiter);
      waiter();
    }
  }

  #take(): string | undefined {
    const queue = this.#queues.normal.size > 0 ? this.#queues.normal : this.#queues.low;
    for (const [key, queuedMs] of queue) {
      const now = this.#clock.monotonicMs();
      queue.delete(key);
      this.#processing.set(key, now);
      this.#latencyMsTotal += now - queuedMs;
      return key;
    }
    return undefined;
  }

  #somethingQueued(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiters.delete(wake);
        resolve();
      };
      this.#waiters.add(wake);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}

function notify(waiters: Set<() => void>): void {
  for (const wake of [...waiters]) {
    waiters.delete(wake);
    wake();
  }
}
