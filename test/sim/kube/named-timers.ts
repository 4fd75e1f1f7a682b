// Timers by what they are for: one each, so that a new one takes the place of the former.
import type { Clock, Timer } from '../../../src/runtime/clock.ts';

export class NamedTimers<Purpose extends string> {
  readonly #clock: Clock;
  readonly #pending = new Map<Purpose, { readonly timer: Timer; readonly dueMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** In the place of what is pending for that purpose. After Infinity: never. */
  later(purpose: Purpose, ms: number, act: () => void): void {
    this.cancel(purpose);
    if (!Number.isFinite(ms)) return;
    const timer = this.#clock.setTimer(ms, () => {
      this.#pending.delete(purpose);
      act();
    });
    this.#pending.set(purpose, { timer, dueMs: this.#clock.monotonicMs() + ms });
  }

  /** Unless it is pending already for an earlier moment. */
  sooner(purpose: Purpose, ms: number, act: () => void): void {
    const pending = this.#pending.get(purpose);
    if (pending === undefined || pending.dueMs > this.#clock.monotonicMs() + ms) this.later(purpose, ms, act);
  }

  cancel(purpose: Purpose): void {
    this.#pending.get(purpose)?.timer.cancel();
    this.#pending.delete(purpose);
  }

  cancelAll(): void {
    for (const { timer } of this.#pending.values()) timer.cancel();
    this.#pending.clear();
  }
}
