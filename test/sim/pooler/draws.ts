// How long things take in the simulated data plane, drawn from one seeded source.

/** A number in [0, 1), the same row of numbers for the same seed. */
export type Random = () => number;

export function between(random: Random, low: number, high: number): number {
  return low + random() * (high - low);
}

const SHORTEST_MS = 1;
const LONGEST_MS = 2_000;
const SPREAD = Math.log(LONGEST_MS / SHORTEST_MS);

/** Mean of `transactionMs`. */
export const MEAN_TRANSACTION_MS = (LONGEST_MS - SHORTEST_MS) / SPREAD;

/** Log-uniform from 1 ms to 2 s: mostly short, now and then one that everything has to wait for. */
export function transactionMs(random: Random): number {
  return SHORTEST_MS * Math.exp(random() * SPREAD);
}

/**
 * What is left of the transaction that a busy server is found in: long ones are met more often, so the one met is uniform where the
 * lengths themselves are log-uniform, and any part of it may be over.
 */
export function residualMs(random: Random): number {
  return random() * between(random, SHORTEST_MS, LONGEST_MS);
}
