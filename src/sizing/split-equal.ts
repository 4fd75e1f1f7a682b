// Splits one database's connections evenly over pods, and disturbs as few pods as can be.

/** A pod and the size it holds now, undefined for one that holds nothing yet. */
export type Holder = { readonly name: string; readonly now?: number | undefined };

/**
 * Equal parts of `total` (they differ by at most one). The larger parts go to pods that hold just that, then to those above, then to
 * those below, last to those that hold the smaller part already: no other equal split changes fewer pods. Ties go by name, starting at
 * `rotation` (the database's index), so that not one pod collects the remainder of every database.
 */
export function splitEqual(total: number, pods: readonly Holder[], rotation = 0): ReadonlyMap<string, number> {
  const count = pods.length;
  if (count === 0) return new Map();
  const small = Math.floor(total / count);
  const larger = total % count;
  const rank = (now: number): number => (now === small + 1 ? 0 : now > small + 1 ? 1 : now < small ? 2 : 3);
  const order = pods
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, now }, index) => ({ name, rank: rank(now ?? 0), turn: (index - (rotation % count) + count) % count }))
    .sort((a, b) => a.rank - b.rank || a.turn - b.turn);
  return new Map(order.map(({ name }, index) => [name, index < larger ? small + 1 : small]));
}
