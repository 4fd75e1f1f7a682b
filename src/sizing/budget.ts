// How many server connections the whole fleet may hold: what was declared, or less where PostgreSQL allows less.
import type { ServerLimits } from '../model/server-view.ts';

/** One of `connections` (count) and `percent` (of the usable slots); `othersInUse` are backends that are not the fleet's. */
export type BudgetWish = {
  readonly connections?: number | undefined;
  readonly percent?: number | undefined;
  readonly reserve: number;
  readonly limits?: ServerLimits | undefined;
  readonly othersInUse?: number | undefined;
};

export type Budget = {
  /** Connections declared for fleet and reserve together, before the server had a say. */
  readonly declared: number;
  readonly reserve: number;
  /** B: connections that the fleet may hold. */
  readonly budget: number;
  /** max_connections less the slots that PostgreSQL keeps for itself; undefined where the server was not read. */
  readonly usable?: number;
  readonly source: 'declared' | 'percent' | 'server';
  readonly notes: readonly string[];
};

export type BudgetProblem = {
  readonly problem: 'NothingDeclared' | 'PercentNeedsMonitor' | 'NothingLeft';
  readonly message: string;
};

/** Slots an ordinary role can get: PostgreSQL keeps superuser_reserved_connections and reserved_connections (16+) back. */
export function usableConnections(limits: ServerLimits): number {
  return Math.max(0, limits.maxConnections - limits.superuserReserved - limits.reserved);
}

/** The fleet's budget, or why there is none. Others' backends should be a high mark of some time, else the budget moves with them. */
export function resolveBudget(wish: BudgetWish): Budget | BudgetProblem {
  const usable = wish.limits === undefined ? undefined : usableConnections(wish.limits);
  const others = wish.othersInUse ?? 0;
  const stated = declaredConnections(wish, usable);
  if ('problem' in stated) return stated;

  const { declared } = stated;
  const allowed = usable === undefined ? declared : Math.min(declared, Math.max(0, usable - others));
  const budget = allowed - wish.reserve;
  const notes: string[] = [];
  if (usable !== undefined && allowed < declared) {
    notes.push(
      `PostgreSQL has ${usable} usable connections and others hold ${others}: sized to ${allowed}, not to ${declared}`,
    );
  }
  if (budget < 1) {
    const which = [`${allowed} connections less a reserve of ${wish.reserve} leave none for the fleet`, ...notes];
    return { problem: 'NothingLeft', message: which.join('; ') };
  }
  if (usable !== undefined && budget + others + margin(usable) > usable) {
    notes.push(
      `the fleet's ${budget} and others' ${others} leave fewer than ${margin(usable)} of PostgreSQL's ${usable} connections free`,
    );
  }
  const source = allowed < declared ? 'server' : stated.source;
  return { declared, reserve: wish.reserve, budget, ...(usable === undefined ? {} : { usable }), source, notes };
}

/** Free slots below which a new login may be refused before anybody can act: two, or two in a hundred. */
function margin(usable: number): number {
  return Math.max(2, Math.ceil((usable * 2) / 100));
}

function declaredConnections(
  wish: BudgetWish,
  usable: number | undefined,
): { readonly declared: number; readonly source: 'declared' | 'percent' } | BudgetProblem {
  if (wish.connections !== undefined) return { declared: wish.connections, source: 'declared' };
  if (wish.percent === undefined) {
    return { problem: 'NothingDeclared', message: 'the budget names neither connections nor percent' };
  }
  if (usable === undefined) {
    const message = `a budget of ${wish.percent} percent needs max_connections, which only the monitor role can read`;
    return { problem: 'PercentNeedsMonitor', message };
  }
  return { declared: Math.floor((usable * wish.percent) / 100), source: 'percent' };
}
