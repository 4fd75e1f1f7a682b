// Users of a shared database whom a shrink has left without a server: PgBouncer closes as many servers of a small pool as of a large one.
import type { Sizes } from '../model/pooler-model.ts';
import type { PoolRow } from '../model/pooler-view.ts';

/**
 * The max_user_connections with which they get one, undefined when nobody is starved or no limit tells them from those who have: PgBouncer
 * counts a user's servers over all databases. Nobody who holds that many may log another in, so the next servers that close are theirs.
 */
export function limitForStarved(pools: readonly PoolRow[], targets: Sizes): number | undefined {
  const total = new Map<string, number>();
  for (const { user, servers } of pools) total.set(user, (total.get(user) ?? 0) + servers);
  const totalOf = ({ user }: PoolRow): number => total.get(user) ?? 0;
  const starved = pools.filter(
    ({ database, servers, clientsWaiting }) => Object.hasOwn(targets, database) && servers === 0 && clientsWaiting > 0,
  );
  const limit = 1 + Math.max(...starved.map(totalOf));
  const canGive = (database: string): boolean =>
    pools.some((row) => row.database === database && row.servers > 1 && totalOf(row) > limit);
  return starved.some(({ database }) => canGive(database)) ? limit : undefined;
}
