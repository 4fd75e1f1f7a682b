// The budget ledger as a step function: who holds what of the budget, and which sizes may change now without ever exceeding it.
import type { Sizes } from '../model/pooler-model.ts';
import { sizeOf, sumOf } from '../sizing/sizes.ts';
import { ceilingOf, committedOf, isVerified, mayWrite, roomBesideOrphans } from './ledger-cell.ts';
import type { Cell } from './ledger-cell.ts';

export { committedOf, mayRestore } from './ledger-cell.ts';
export type { Cell } from './ledger-cell.ts';

/** A pod that is gone but whose backends may not be: PostgreSQL's count read after it went, or what to hold until a quarantine ends. */
export type GonePod = {
  readonly pod: string;
  readonly seenByServer?: number | undefined;
  readonly quarantine?: number | undefined;
};

export type LedgerInput = {
  /** B: connections that the whole fleet may hold. */
  readonly budget: number;
  /** Every pod that exists, starting and Terminating ones too, × every database. */
  readonly cells: readonly Cell[];
  /** Wanted size by pod and database; a cell without one is left as it is. */
  readonly targets: ReadonlyMap<string, Sizes>;
  /** Sizes at which a pod boots. */
  readonly floors: Sizes;
  /** Pods that may still appear beyond the wanted ones without our consent, ≥ 0. */
  readonly extraPodsPossible: number;
  /** Pods that the same plan may create from what is free: no grow takes their floors. */
  readonly podsToCreate?: number;
  /** A pod of which neither number is known stops every grow. */
  readonly gone: readonly GonePod[];
};

/** A size to write into a pod's annotation, with the old cap beside it (`unsettled`) where one must be kept. */
export type GrantChange = {
  readonly pod: string;
  readonly database: string;
  readonly from: number;
  readonly to: number;
  readonly kind: 'shrink' | 'grow';
  readonly unsettled?: number;
};

export type LedgerStep = {
  readonly committed: number;
  readonly setAside: number;
  /** Connections that can be granted now. Also the test for creating a pod: only with free ≥ Σ floors. */
  readonly free: number;
  /** Shrinks first. */
  readonly changes: readonly GrantChange[];
  /** Cells whose old cap can be struck from the annotation; the connections count as free once that is written. */
  readonly settled: readonly { readonly pod: string; readonly database: string }[];
  /** Connections committed above the budget, as after the budget was lowered. */
  readonly overcommitted: number;
};

/**
 * One step: shrink what is above its target, settle what is proved, grow within what is free before any of that. So the answers are safe
 * in any order and any subset, and a crash between them costs nothing. The invariant: Σ committed + set aside ≤ budget, if it held.
 */
export function stepLedger(input: LedgerInput): LedgerStep {
  const gone = input.gone.map(({ seenByServer, quarantine }) => Math.max(seenByServer ?? 0, quarantine ?? 0));
  const committed = add(input.cells.map(committedOf)) + add(gone);
  const setAside = input.extraPodsPossible * sumOf(input.floors);
  const unknown = input.gone.some(
    ({ seenByServer, quarantine }) => seenByServer === undefined && quarantine === undefined,
  );
  const free = unknown ? 0 : Math.max(0, input.budget - committed - setAside);

  const freeToGrow = Math.max(0, free - (input.podsToCreate ?? 0) * sumOf(input.floors));
  const overcommitted = Math.max(0, committed - input.budget);

  const settled = input.cells.filter((cell) => cell.unsettled !== undefined && isVerified(cell));
  const shrinks = input.cells.flatMap((cell) => shrinkOf(cell, targetOf(cell, input.targets)));
  return {
    committed,
    setAside,
    free,
    changes: [...shrinks, ...growsOf(input, freeToGrow, overcommitted > 0)],
    settled: settled.map(({ pod, database }) => ({ pod, database })),
    overcommitted,
  };
}

/**
 * Whether boot.ini may move to these floors: every pod could restart at them and every replacement boot at them within the budget.
 * Lower floors always may.
 */
export function mayRaiseFloors(input: LedgerInput, floors: Sizes): boolean {
  // Also while too much is committed: what a lowered budget is waiting for may be these very floors.
  if (input.cells.length > 0 && input.cells.every(({ database, floor }) => (sizeOf(floors, database) ?? 1) <= floor))
    return true;
  const cells = input.cells.map((cell) => ({
    ...cell,
    floor: Math.max(cell.floor, sizeOf(floors, cell.database) ?? 1),
  }));
  const step = stepLedger({ ...input, cells, floors });
  return step.committed + step.setAside <= input.budget;
}

function shrinkOf(cell: Cell, target: number | undefined): readonly GrantChange[] {
  const wanted = mayWrite(cell, 'shrink') ? target : roomBesideOrphans(cell);
  if (wanted === undefined || wanted >= cell.granted) return [];
  const { pod, database, granted: from } = cell;
  // A former shrink that is proved by now leaves nothing to be reckoned with.
  const unsettled = ceilingOf({ ...cell, floor: 0, unsettled: isVerified(cell) ? undefined : cell.unsettled });
  return [{ pod, database, from, to: wanted, kind: 'shrink', unsettled }];
}

/**
 * Grows within `free`, one unit at a time to the cell with the smallest part of its target; integers only. Up to its old cap a cell is paid for,
 * unless more is committed than there is: then what an old cap still stands for must come free first.
 */
function growsOf(input: LedgerInput, free: number, overcommitted: boolean): readonly GrantChange[] {
  const claims = input.cells
    .flatMap((cell) => {
      const target = targetOf(cell, input.targets) ?? 0;
      // Where more is seen than any size allows, backends have outlived their clients: more room would come on top of them.
      const may = mayWrite(cell, 'grow') && committedOf(cell) === ceilingOf(cell);
      const paid = overcommitted ? cell.granted : ceilingOf(cell);
      return may && target > cell.granted ? [{ cell, target, to: cell.granted, paid }] : [];
    })
    .sort((a, b) => order(a.cell, b.cell));
  // A database that a pod can't be told of yet must find room for its first connection when it can.
  const toBegin = input.cells.filter(
    (cell) =>
      cell.granted === 0 && (targetOf(cell, input.targets) ?? 0) > 0 && !claims.some((claim) => claim.cell === cell),
  );
  let left = Math.max(0, free - toBegin.length);
  for (;;) {
    let next: (typeof claims)[number] | undefined;
    for (const claim of claims) {
      // Up to its ceiling a cell is committed already; the units above are paid from what is free.
      if (claim.to >= claim.target || (left === 0 && claim.to >= claim.paid)) continue;
      if (next === undefined || claim.to * next.target < next.to * claim.target) next = claim;
    }
    if (next === undefined) break;
    if (next.to >= next.paid) left -= 1;
    next.to += 1;
  }
  return claims
    .filter(({ cell, to }) => to > cell.granted)
    .map(({ cell, to }) => {
      const { pod, database, granted: from, unsettled } = cell;
      const keep = unsettled === undefined || isVerified(cell) ? {} : { unsettled };
      return { pod, database, from, to, kind: 'grow', ...keep };
    });
}

function targetOf(cell: Cell, targets: ReadonlyMap<string, Sizes>): number | undefined {
  const target = sizeOf(targets.get(cell.pod), cell.database);
  return target === undefined ? undefined : Math.max(1, target);
}

function order(a: Cell, b: Cell): number {
  if (a.pod !== b.pod) return a.pod < b.pod ? -1 : 1;
  return a.database < b.database ? -1 : 1;
}

function add(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
