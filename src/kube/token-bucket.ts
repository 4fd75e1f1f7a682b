// The client's own rate limit: a bucket of tokens, handed out in the order of asking.
import type { Clock } from '../runtime/clock.ts';

export class TokenBucket {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  /** May be negative: then it says how many callers are already promised a later token. */
  #tokens: number;
  #refilledMs: number;

  constructor({
    clock,
    perSecond,
    burst,
  }: {
    readonly clock: Clock;
    readonly perSecond: number;
    readonly burst: number;
  }) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#refilledMs = clock.monotonicMs();
  }

  /** Waits for a token; rejects with the signal's reason when it aborts first. */
  async take(signal?: AbortSignal): Promise<void> {
    const now = this.#clock.monotonicMs();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#refilledMs) * this.#perSecond) / 1000);
    this.#refilledMs = now;
    this.#tokens -= 1;
    if (this.#tokens < 0) {
      try {
        await this.#clock.sleep((-this.#tokens * 1000) / this.#perSecond, signal);
      } catch (error) {
        this.#tokens += 1;
        throw error;
      }
    }
  }
}
