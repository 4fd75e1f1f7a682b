// What happens to one fleet in one simulated life, as plain data drawn from a seed: so it can be printed, cut down and run again.
import { Draw } from '../support/random.ts';

/** The fleet before anything happens to it. */
export type Setup = {
  readonly replicas: number;
  readonly databases: number;
  /** Databases are shared by so many users. */
  readonly users: number;
  readonly budget: { readonly connections: number } | { readonly percent: number };
  readonly reserve: number;
  readonly maxConnections: number;
  /** The operator can look at PostgreSQL's own counts. */
  readonly monitor: boolean;
  readonly workloadReplicas: number;
  /** Clients that always want a server; more than the budget saturates it. */
  readonly clients: number;
  readonly drainWindowSeconds: number;
};

export type Operation =
  | { readonly kind: 'editParameter'; readonly seconds: number }
  | { readonly kind: 'editDatabases'; readonly databases: number }
  | { readonly kind: 'scaleFleet'; readonly replicas: number }
  | { readonly kind: 'scaleWorkload'; readonly replicas: number }
  | { readonly kind: 'rollout'; readonly template: number }
  | { readonly kind: 'evictPod' }
  | { readonly kind: 'losePod' }
  | { readonly kind: 'loseNode'; readonly lingersMs: number }
  | { readonly kind: 'killContainer' }
  | { readonly kind: 'lowerBudget'; readonly factor: number }
  | { readonly kind: 'raiseBudget'; readonly factor: number }
  | { readonly kind: 'secondLeader'; readonly heldMs: number; readonly write: number };

export type OperationKind = Operation['kind'];

export type Fault =
  /** The operator dies around its n-th call of that sort, and another starts after `awayMs`. */
  | {
      readonly kind: 'crashBeforeWrite' | 'crashAfterWrite' | 'crashBeforeCommand' | 'crashAfterCommand';
      readonly nth: number;
      readonly awayMs: number;
    }
  | { readonly kind: 'lostWriteReply' | 'lostCommandReply'; readonly nth: number }
  /** PgBouncer refuses the next RELOADs: at its first line, or after a part of it has been applied. */
  | { readonly kind: 'reloadRefused' | 'reloadHalfApplied'; readonly times: number }
  | { readonly kind: 'reloadSlow'; readonly delayMs: number; readonly times: number }
  | { readonly kind: 'projectionDelay'; readonly delayMs: number; readonly forMs: number }
  | { readonly kind: 'apiOutage' | 'serverOutage'; readonly afterMs: number; readonly forMs: number }
  | { readonly kind: 'watchBroken'; readonly afterMs: number; readonly historyLost: boolean }
  | { readonly kind: 'watchLag'; readonly lagMs: number; readonly forMs: number };

export type FaultKind = Fault['kind'];

/** An operation, what strikes while it is carried out, and how long until the next one. */
export type Round = { readonly operation: Operation; readonly faults: readonly Fault[]; readonly lastsMs: number };

export type History = { readonly seed: number; readonly setup: Setup; readonly rounds: readonly Round[] };

export const OPERATIONS: readonly OperationKind[] = [
  'editParameter',
  'editDatabases',
  'scaleFleet',
  'scaleWorkload',
  'rollout',
  'evictPod',
  'losePod',
  'loseNode',
  'killContainer',
  'lowerBudget',
  'raiseBudget',
  'secondLeader',
];

export const FAULTS: readonly FaultKind[] = [
  'crashBeforeWrite',
  'crashAfterWrite',
  'lostWriteReply',
  'crashBeforeCommand',
  'crashAfterCommand',
  'lostCommandReply',
  'reloadRefused',
  'reloadHalfApplied',
  'reloadSlow',
  'projectionDelay',
  'apiOutage',
  'serverOutage',
  'watchBroken',
  'watchLag',
];

const ROUNDS = { least: 5, most: 7 };
/** Of all rounds together. */
const LEAST_FAULTS = 3;

export function drawHistory(seed: number): History {
  const draw = new Draw(seed);
  const setup = drawSetup(draw);
  const count = draw.integer(ROUNDS.least, ROUNDS.most);
  const rounds: Round[] = [];
  for (let index = 0; index < count; index += 1) {
    const faults = Array.from({ length: draw.pick([1, 1, 2, 2, 3]) }, () => drawFault(draw));
    rounds.push({ operation: drawOperation(draw), faults, lastsMs: Math.round(draw.between(300, 25_000)) });
  }
  while (rounds.reduce((sum, round) => sum + round.faults.length, 0) < LEAST_FAULTS) {
    const index = draw.integer(0, rounds.length - 1);
    const round = rounds[index];
    if (round !== undefined) rounds[index] = { ...round, faults: [...round.faults, drawFault(draw)] };
  }
  return { seed, setup, rounds };
}

function drawSetup(draw: Draw): Setup {
  const databases = draw.pick([1, 1, 2, 3]);
  const replicas = draw.integer(1, 4);
  const reserve = draw.pick([0, 0, 3]);
  // Floors of as many pods again are set aside, so less than twice the floors could not be had.
  const least = 2 * replicas * databases + 2;
  const connections = reserve + draw.integer(least, least + 40);
  const monitor = draw.chance(0.75);
  const percent = monitor && draw.chance(0.2);
  return {
    replicas,
    databases,
    users: draw.pick([1, 1, 2]),
    budget: percent ? { percent: draw.integer(50, 90) } : { connections },
    reserve,
    maxConnections: percent ? 2 * connections + 3 : connections + draw.integer(20, 60),
    monitor,
    workloadReplicas: draw.integer(1, 6),
    clients: draw.integer(5, 150),
    drainWindowSeconds: draw.pick([2, 5]),
  };
}

function drawOperation(draw: Draw): Operation {
  const kind = draw.pick(OPERATIONS);
  switch (kind) {
    case 'editParameter':
      return { kind, seconds: draw.integer(100, 900) };
    case 'editDatabases':
      return { kind, databases: draw.integer(1, 3) };
    case 'scaleFleet':
      return { kind, replicas: draw.integer(1, 5) };
    case 'scaleWorkload':
      return { kind, replicas: draw.integer(0, 12) };
    case 'rollout':
      return { kind, template: draw.integer(1, 1_000_000) };
    case 'loseNode':
      return { kind, lingersMs: Math.round(draw.between(0, 10_000)) };
    case 'lowerBudget':
      return { kind, factor: draw.between(0.4, 0.9) };
    case 'raiseBudget':
      return { kind, factor: draw.between(1.1, 2) };
    case 'secondLeader':
      return { kind, heldMs: Math.round(draw.between(2_000, 20_000)), write: draw.integer(1, 6) };
    case 'evictPod':
    case 'losePod':
    case 'killContainer':
      return { kind };
  }
}

function drawFault(draw: Draw): Fault {
  const kind = draw.pick(FAULTS);
  const nth = draw.integer(1, 6);
  switch (kind) {
    case 'crashBeforeWrite':
    case 'crashAfterWrite':
    case 'crashBeforeCommand':
    case 'crashAfterCommand':
      return { kind, nth, awayMs: Math.round(draw.between(200, 20_000)) };
    case 'lostWriteReply':
    case 'lostCommandReply':
      return { kind, nth };
    case 'reloadRefused':
    case 'reloadHalfApplied':
      return { kind, times: draw.integer(1, 3) };
    case 'reloadSlow':
      return { kind, delayMs: Math.round(draw.between(200, 4_000)), times: draw.integer(1, 3) };
    case 'projectionDelay':
      return { kind, delayMs: Math.round(draw.between(0, 120_000)), forMs: Math.round(draw.between(2_000, 60_000)) };
    case 'apiOutage':
    case 'serverOutage':
      return { kind, afterMs: Math.round(draw.between(0, 5_000)), forMs: Math.round(draw.between(1_000, 30_000)) };
    case 'watchBroken':
      return { kind, afterMs: Math.round(draw.between(0, 5_000)), historyLost: draw.chance(0.5) };
    case 'watchLag':
      return { kind, lagMs: Math.round(draw.between(200, 8_000)), forMs: Math.round(draw.between(2_000, 30_000)) };
  }
}

/** The history without one round or one fault, every such variant once: the steps of cutting a failing one down. */
export function smallerHistories(history: History): readonly History[] {
  const withoutRound = history.rounds.map((_, index) => ({ ...history, rounds: history.rounds.toSpliced(index, 1) }));
  const withoutFault = history.rounds.flatMap((round, index) =>
    round.faults.map((_, fault) => ({
      ...history,
      rounds: history.rounds.with(index, { ...round, faults: round.faults.toSpliced(fault, 1) }),
    })),
  );
  return [...withoutRound, ...withoutFault];
}
