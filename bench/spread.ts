// What is kept of many durations: how many there were, and how far they lie apart.

export type Spread = Readonly<{ n: number; minMs: number; p50Ms: number; p95Ms: number; maxMs: number }>;

/** Percentiles are values that were measured (nearest rank), in whole milliseconds. @throws without any value. */
export function spreadOf(durationsMs: readonly number[]): Spread {
  const sorted = [...durationsMs].sort((a, b) => a - b).map(Math.round);
  const rank = (part: number): number => {
    const value = sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
    if (value === undefined) throw new Error('while summing up durations: there are none');
    return value;
  };
  return { n: sorted.length, minMs: rank(0), p50Ms: rank(0.5), p95Ms: rank(0.95), maxMs: rank(1) };
}
