// How long the kubelet waits before it starts a container again: at once the first time, then 10 s, 20 s … 300 s. After client-go's flowcontrol.Backoff.

const FIRST_MS = 10_000;
const MOST_MS = 300_000;
/** So long without a crash, and it begins anew. */
const FORGOTTEN_AFTER_MS = 2 * MOST_MS;

export class CrashBackOff {
  #waitMs = 0;
  #countedMs = -Infinity;

  /** What is left to wait, for a container that ended at `endedMs`. */
  leftMs(endedMs: number, nowMs: number): number {
    if (endedMs - this.#countedMs > FORGOTTEN_AFTER_MS) return 0;
    return Math.max(0, endedMs + this.#waitMs - nowMs);
  }

  /** The wait as the status tells it. */
  get waitSeconds(): number {
    return this.#waitMs / 1000;
  }

  /** It is started again now. */
  count(nowMs: number): void {
    const forgotten = nowMs - this.#countedMs > FORGOTTEN_AFTER_MS;
    this.#waitMs = forgotten || this.#waitMs === 0 ? FIRST_MS : Math.min(MOST_MS, this.#waitMs * 2);
    this.#countedMs = nowMs;
  }
}
