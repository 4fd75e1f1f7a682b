// How long transactions are busy inside: from 1 ms to 2 s, short ones by far the most.

export const SHORTEST_MS = 1;
export const LONGEST_MS = 2_000;

/**
 * Log-uniform: as many between 1 and 10 ms as between 100 ms and 1 s. `random` in 0..1. The mean is 263 ms, the median 45 ms.
 */
export function busyMs(random: number): number {
  return SHORTEST_MS * (LONGEST_MS / SHORTEST_MS) ** random;
}

/** A small generator whose seed is printed, so that a run's load can be had again (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
