// How many server connections the whole fleet may hold: what was declared, or less where PostgreSQL allows less.
import type { ServerLimits } from '../model/server-view.ts';

/** One of `connections` (count) and `percent` (of the usable slots). All numbers are connections. */
export type BudgetWish = {
  readonly connections?: number | undefined;
  readonly percent?: number | undefined;
  readonly reserve: number;
  readonly limits?: ServerLimits | undefined;
  /** Backends that are neither the fleet's nor the operator's, as a high mark of some time: else the budget moves with them. */
  readonly othersInUse?: number | undefined;
  /** Connections that the operator itself keeps to this server. */
  readonly monitors?: number | undefined;
  /** The smallest budget that the fleet can live on; others never press it below that. */
  readonly least?: number | undefined;
};

export type Budget = {
  /** Connections declared for fleet and reserve together, before the server had a say. */
  readonly declared: number;
  readonly reserve: number;
  /** B: connections that the fleet may hold. */
  readonly budget: number;
  /** max_connections less the slots that PostgreSQL keeps for itself; undefined where the server was not read. */
  readonly usable?: number;
  /** Slots that stay free when the fleet holds its whole budget and others as many as at their high mark; below 0 they are missing. */
  readonly spare?: number;
  readonly source: 'declared' | 'percent' | 'server';
};

export type BudgetProblem = {
  readonly problem: 'NothingDeclared' | 'PercentNeedsMonitor' | 'NothingLeft';
  readonly message: string;
};

/** Slots an ordinary role can get: PostgreSQL keeps superuser_reserved_connections and reserved_connections (16+) back. */
export function usableConnections(limits: ServerLimits): number {
  return Math.max(0, limits.maxConnections - limits.superuserReserved - limits.reserved);
}

/** Free slots below which a new login may be refused before anybody can act: two, or two in a hundred. */
export function marginOf(usable: number): number {
  return Math.max(2, Math.ceil((usable * 2) / 100));
}

/** The fleet's budget, or why there is none. */
export function resolveBudget(wish: BudgetWish): Budget | BudgetProblem {
  const usable = wish.limits === undefined ? undefined : usableConnections(wish.limits);
  const { othersInUse: others = 0, monitors = 0, reserve } = wish;
  const stated = declaredConnections(wish, usable);
  if ('problem' in stated) return stated;

  const { declared } = stated;
  const allowed = usable === undefined ? declared : Math.min(declared, roomBeside(others, usable - monitors, wish));
  const budget = allowed - reserve;
  if (budget < 1) {
    const why = usable !== undefined && allowed < declared ? `; PostgreSQL has ${usable} for ordinary roles` : '';
    const message = `${allowed} connections less a reserve of ${reserve} leave none for the fleet${why}`;
    return { problem: 'NothingLeft', message };
  }
  const source = allowed < declared ? 'server' : stated.source;
  const spare = usable === undefined ? {} : { usable, spare: usable - monitors - others - budget };
  return { declared, reserve, budget, ...spare, source };
}

function roomBeside(others: number, slots: number, { least, reserve }: BudgetWish): number {
  const room = Math.max(0, slots);
  const kept = least === undefined ? 0 : Math.min(room, least + reserve);
  return Math.max(room - others, kept, 0);
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
