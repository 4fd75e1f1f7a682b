// What one run of a scenario leaves behind: samples, transactions, pods, marks. Everything that is judged or drawn comes from here.

export type Library = 'node-postgres' | 'postgres.js';

/** One look at pg_stat_activity. Times here are epoch milliseconds of this machine, which PostgreSQL shares. */
export type Sample = Readonly<{
  atMs: number;
  byAddress: Readonly<Record<string, number>>;
  /** Of these, backends of a killed PgBouncer that PostgreSQL still keeps. */
  orphans: number;
  /** The server refused the look because it was down or starting: nobody else can hold a connection either. */
  isRefused?: true;
}>;

/**
 * How an attempt ended. `closedBetween`: a client that keeps its connection for ever found it closed before its transaction had begun,
 * which the end of a drain may do; for any other client that is a failure.
 */
export type Outcome = 'done' | 'failed' | 'closedBetween';

export type Attempt = Readonly<{
  /** When it was to begin. */
  dueMs: number;
  endedMs: number;
  /** How long it meant to keep a server connection busy. */
  insideMs: number;
  /** What it took beyond the time that it meant to spend inside the transaction. */
  addedMs: number;
  library: Library;
  /** The client renews its connection well within the drain window. */
  recycles: boolean;
  outcome: Outcome;
}>;

/** `operation`: what was asked of the fleet; `fault`: what was done to it; `note`: what was seen. */
export type Mark = Readonly<{ atMs: number; kind: 'operation' | 'fault' | 'note'; text: string }>;

export type PodLife = Readonly<{
  name: string;
  address: string | undefined;
  seenMs: number;
  readyMs: number | undefined;
  leavingMs: number | undefined;
  goneMs: number | undefined;
}>;

/** What clients ask for: all that they can get, or half of what the fleet can serve, by a schedule of their own. */
export type Offered = 'all' | 'half';

/** The budget in force from that moment on. */
export type BudgetStep = Readonly<{ fromMs: number; connections: number }>;

export type TokenAudit = Readonly<{ acknowledged: number; lost: number; double: number; unknown: number }>;

export type OperatorAction = Readonly<{ atMs: number; text: string }>;

export type Recording = Readonly<{
  name: string;
  what: string;
  planned: boolean;
  /** To be converged this long after the last pod is Ready; undefined where nothing is promised. */
  convergeLimitMs: number | undefined;
  offered: Offered;
  /** Least share of what is due during the operation that has to be served in it, without a silent second; undefined where nothing is promised. */
  leastServed: number | undefined;
  /** First sample of the steady load, the operation, the end of all of it. */
  window: Readonly<{ beforeMs: number; operationMs: number; doneMs: number; endMs: number }>;
  budget: readonly BudgetStep[];
  clients: number;
  pods: readonly PodLife[];
  samples: readonly Sample[];
  attempts: readonly Attempt[];
  errors: Readonly<Record<string, number>>;
  marks: readonly Mark[];
  audit: TokenAudit;
  /** Why it did not come to its end. */
  error: string | undefined;
  /** Decisions of the operator meanwhile, as it logged them. */
  operatorActions: readonly OperatorAction[];
}>;

/** Now, in the recording's time. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

export function totalOf(sample: Sample): number {
  return Object.values(sample.byAddress).reduce((sum, count) => sum + count, 0);
}

export function budgetAt(steps: readonly BudgetStep[], atMs: number): number {
  const [first] = steps;
  return (steps.findLast(({ fromMs }) => fromMs <= atMs) ?? first)?.connections ?? 0;
}
