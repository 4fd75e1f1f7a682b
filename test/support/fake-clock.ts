// A clock that moves only when a test moves it; timers run in order of their due time.
import { sleepOn } from '../../src/runtime/clock.ts';
import type { Clock, Timer } from '../../src/runtime/clock.ts';

type Pending = { readonly dueMs: number; readonly order: number; readonly fn: () => void };

export class FakeClock implements Clock {
  #elapsedMs = 0;
  #order = 0;
  readonly #startMs: number;
  readonly #pending = new Set<Pending>();

  constructor(startMs = Date.parse('2026-11-01T00:00:00Z')) {
    this.#startMs = startMs;
  }

  /** Timers that have not fired. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** Milliseconds until the next timer; undefined when there is none. */
  get nextTimerMs(): number | undefined {
    const next = this.#next();
    return next === undefined ? undefined : next.dueMs - this.#elapsedMs;
  }

  now(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn((delayMs, fn) => this.setTimer(delayMs, fn), ms, signal);
  }

  setTimer(ms: number, fn: () => void): Timer {
    const timer: Pending = { dueMs: this.#elapsedMs + Math.max(0, ms), order: this.#order, fn };
    this.#order += 1;
    this.#pending.add(timer);
    return {
      cancel: () => {
        this.#pending.delete(timer);
      },
    };
  }

  /** Moves time on by `ms`; whatever waits for promises runs before each timer and at the end. */
  async advance(ms: number): Promise<void> {
    const targetMs = this.#elapsedMs + ms;
    await this.settle();
    await this.#pass(targetMs);
  }

  /** Moves time from timer to timer until the condition holds. Throws when no timer is left or `limitMs` is passed. */
  async advanceUntil(condition: () => boolean, limitMs: number): Promise<void> {
    const targetMs = this.#elapsedMs + limitMs;
    await this.settle();
    while (!condition()) {
      const next = this.#next();
      if (next === undefined || next.dueMs > targetMs) {
        throw new Error(`the condition did not hold within ${limitMs} ms of the fake clock`);
      }
      this.#fire(next);
      await this.settle();
    }
  }

  /** To the next moment at which a timer is due, at the latest to `untilMs` (monotonic), and what follows. Nothing else may be running before. */
  async step(untilMs: number): Promise<void> {
    await this.#pass(Math.min(this.#next()?.dueMs ?? Infinity, untilMs));
  }

  /** Lets everything run that waits for no timer. */
  settle(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(resolve);
    });
  }

  async #pass(untilMs: number): Promise<void> {
    for (let next = this.#next(); next !== undefined && next.dueMs <= untilMs; next = this.#next()) {
      this.#fire(next);
      await this.settle();
    }
    this.#elapsedMs = Math.max(this.#elapsedMs, untilMs);
  }

  #fire(timer: Pending): void {
    this.#pending.delete(timer);
    this.#elapsedMs = Math.max(this.#elapsedMs, timer.dueMs);
    timer.fn();
  }

  #next(): Pending | undefined {
    let first: Pending | undefined;
    for (const timer of this.#pending) {
      if (
        first === undefined ||
        timer.dueMs < first.dueMs ||
        (timer.dueMs === first.dueMs && timer.order < first.order)
      ) {
        first = timer;
      }
    }
    return first;
  }
}
