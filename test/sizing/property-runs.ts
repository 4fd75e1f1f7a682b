// How many random cases a property is tried with: a few by default, RUNS=… for a long look.

/** `RUNS` from the environment, else `fallback`. */
export function propertyRuns(fallback = 300): number {
  const asked = process.env['RUNS'];
  if (asked === undefined) return fallback;
  const runs = Number(asked);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`RUNS must be a whole number above 0, not ${asked}`);
  return runs;
}
