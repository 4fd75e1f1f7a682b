// Weighted max-min fairness in whole connections: one unit at a time to whoever has least for its weight.

/** A claimant. Weight is an integer ≥ 1; floor, want and cap are connections. */
export type Member = {
  readonly name: string;
  readonly weight: number;
  readonly floor: number;
  readonly want: number;
  readonly cap?: number;
};

export type FairShare =
  | { readonly feasible: true; readonly shares: ReadonlyMap<string, number>; readonly unassigned: number }
  | { readonly feasible: false; readonly needed: number };

/** Most that a member takes: its want within its cap, but never less than its floor. */
export function ceilingOf(member: Member): number {
  return Math.max(member.floor, Math.min(member.want, member.cap ?? member.want));
}

/**
 * Divides `total` connections. Each unit goes to the smallest (share + 1) / weight, ties by name. Handing out units one by one makes it
 * house-monotone (Balinski & Young, Fair Representation): a larger total never takes a connection from anybody, which rounding quotas
 * by largest remainder does. Comparisons are in integers. O(total × members).
 */
export function fairShare(total: number, members: readonly Member[]): FairShare {
  const needed = members.reduce((sum, { floor }) => sum + floor, 0);
  if (needed > total) return { feasible: false, needed };

  const shares = new Map(members.map(({ name, floor }) => [name, floor]));
  const claims = members
    .map((member) => ({ name: member.name, weight: member.weight, share: member.floor, most: ceilingOf(member) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  let left = total - needed;
  let open = claims.filter(({ share, most }) => share < most);
  while (left > 0) {
    let next = open[0];
    if (next === undefined) break;
    for (const claim of open) {
      if ((claim.share + 1) * next.weight < (next.share + 1) * claim.weight) next = claim;
    }
    next.share += 1;
    left -= 1;
    shares.set(next.name, next.share);
    if (next.share === next.most) open = open.filter((claim) => claim !== next);
  }
  return { feasible: true, shares, unassigned: left };
}
