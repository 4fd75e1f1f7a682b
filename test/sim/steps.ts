// A life's time: it moves from timer to timer, and everything is looked at after each step.
import type { FakeClock } from '../support/fake-clock.ts';
import { Violation } from './watchman.ts';

export class Steps {
  readonly #clock: FakeClock;
  readonly #afterEach: () => void;

  /** `afterEach`: runs once nothing happens any more at that moment. */
  constructor(clock: FakeClock, afterEach: () => void) {
    this.#clock = clock;
    this.#afterEach = afterEach;
  }

  async pass(ms: number): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + ms;
    await this.#clock.settle();
    while (this.#clock.monotonicMs() < untilMs) await this.#step(untilMs);
  }

  /** @throws Violation with the words of `otherwise` when the condition does not hold within the limit. */
  async until(condition: () => boolean, limitMs: number, otherwise: () => string): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + limitMs;
    await this.#clock.settle();
    while (!condition()) {
      if (this.#clock.monotonicMs() >= untilMs) throw new Violation(otherwise());
      await this.#step(untilMs);
    }
  }

  /** To the next timer, and what follows from it. */
  async #step(untilMs: number): Promise<void> {
    await this.#clock.step(untilMs);
    this.#afterEach();
  }
}
