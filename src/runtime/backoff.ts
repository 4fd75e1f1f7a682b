// Exponential back-off with jitter as a pure function of the number of failures and one random number.

export type BackoffPolicy = {
  /** Mean delay after the first failure. */
  readonly baseMs: number;
  /** No delay is ever longer. */
  readonly maxMs: number;
  /** Growth per failure. */
  readonly factor: number;
  /** 0.2 spreads a delay over ±20 %. */
  readonly jitter: number;
};

export const RECONCILE_BACKOFF: BackoffPolicy = { baseMs: 200, maxMs: 300_000, factor: 2, jitter: 0.2 };

/**
 * The delay before the next attempt.
 * @param failures consecutive failures so far, at least 1
 * @param random uniform in [0, 1)
 */
export function backoffMs(policy: BackoffPolicy, failures: number, random: number): number {
  const grown = policy.baseMs * policy.factor ** Math.max(0, failures - 1);
  // Jitter below the cap too: at the cap every client of a dead server would otherwise come back in step.
  const spread = Math.min(grown, policy.maxMs / (1 + policy.jitter));
  return spread * (1 + policy.jitter * (2 * random - 1));
}
