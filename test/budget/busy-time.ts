// How long transactions are busy inside: from 1 ms to 2 s, short ones by far the most.

export const SHORTEST_MS = 1;
export const LONGEST_MS = 2_000;
/** Of a log-uniform time: (b − a) / ln(b / a). */
export const MEAN_MS = (LONGEST_MS - SHORTEST_MS) / Math.log(LONGEST_MS / SHORTEST_MS);

/**
 * Log-uniform: as many between 1 and 10 ms as between 100 ms and 1 s. `random` in 0..1. The mean is 263 ms, the median 45 ms.
 */
export function busyMs(random: number): number {
  return SHORTEST_MS * (LONGEST_MS / SHORTEST_MS) ** random;
}
