// Lets the ledger decide which sizes may change now, and turns its answer into the next sizes of each pod.
import { databasesOf } from '../api/poolconfig.ts';
import type { Observation, PodFacts } from '../model/observation.ts';
import type { Sizes } from '../model/pooler-model.ts';
import { sizeOf, sumOf } from '../sizing/sizes.ts';
import { orphansOf } from './ledger-cell.ts';
import {
  aboveItsSize,
  cellsOf,
  ORPHANS_END_MS,
  serversOf,
  sizeInForce,
  type CellInput,
  type CellOfPod,
} from './cells.ts';
import { gonePods } from './gone-pods.ts';
import { stepLedger, type LedgerInput, type LedgerStep } from './ledger.ts';
import { runsItsFile, type PodState } from './pod-state.ts';
import { backendsFrom, seenBackends } from './backends.ts';
import type { SizingBasis } from './desired.ts';
import { readProvedRecord } from './proved-record.ts';

export type NextSizes = {
  /** Databases of the basis that may have at least one connection now; a new database is absent until there is room for it. */
  readonly sizes: Sizes;
  /** Former sizes that must still be reckoned with; undefined when every shrink is verified. */
  readonly unsettled: Sizes | undefined;
  /** See `Grant`. */
  readonly removedAtMs?: number;
};

export type GrantStep = {
  readonly ledger: LedgerStep;
  /** What the ledger was asked, to ask it again about other floors. */
  readonly asked: LedgerInput;
  /** Connections that the pods may hold in the worst light. */
  readonly held: number;
  /** Keyed by pod uid; terminating pods have none. */
  readonly next: ReadonlyMap<string, NextSizes>;
  /** Pods that may load their live.ini: none of them has backends left over from a container that died. */
  readonly mayLoad: ReadonlySet<string>;
};

export type GrantInput = CellInput & {
  readonly states: readonly PodState[];
  readonly basis: SizingBasis;
  /** What is declared now, where that can be told: on a basis that was proved with more, nothing grows beyond it. */
  readonly declaredBudget?: number | undefined;
  /** Sizes that must stay free for each pod that may appear: boot.ini's now or those it is about to have, whichever are more. */
  readonly floors: Sizes;
  readonly targets: ReadonlyMap<string, Sizes>;
  /** Grows are left out while this leader's epoch does not stand everywhere yet. */
  readonly mayGrow: boolean;
};

export function planGrants(input: GrantInput): GrantStep {
  const { observation, states, basis, declaredBudget } = input;
  const declared = new Set(basis.databases.map((database) => database.name));
  const leaving = new Map(states.map((state) => [state.pod.uid, leavingCells(state, declared, input)]));
  const cells = states
    .flatMap((state) => cellsOf(state, declared, input))
    .filter(({ pod, database }) => sizeOf(leaving.get(pod), database) === undefined);
  const stillHeld = states.reduce(
    (sum, { pod }) => sum + Math.max(sumOf(leaving.get(pod.uid) ?? {}), strayBackends(pod, input)),
    0,
  );
  const asked: LedgerInput = {
    budget: Math.min(basis.budget, declaredBudget ?? basis.budget) - stillHeld,
    cells,
    targets: input.targets,
    floors: input.floors,
    extraPodsPossible: podsStillPossible(observation, states, basis.replicas),
    podsToCreate: Math.max(0, basis.replicas - podsWanted(observation)),
    gone: gonePods(observation),
  };
  const ledger = stepLedger(asked);
  const next = new Map<string, NextSizes>();
  for (const state of states) {
    const { pod, phase } = state;
    if (phase !== 'Terminating')
      next.set(pod.uid, {
        ...nextSizes(pod, cells, ledger, leaving.get(pod.uid) ?? {}, input.mayGrow),
        ...removedAt(state, leaving.get(pod.uid) ?? {}, observation.nowMs),
      });
  }
  const mayLoad = new Set(
    states
      .map(({ pod }) => pod.uid)
      .filter((uid) => cells.filter((cell) => cell.pod === uid).every((cell) => orphansOf(cell) === 0)),
  );
  return { ledger, asked, held: ledger.committed + stillHeld, next, mayLoad };
}

function nextSizes(
  pod: PodFacts,
  cells: readonly CellOfPod[],
  ledger: LedgerStep,
  leaving: Sizes,
  mayGrow: boolean,
): NextSizes {
  const sizes = new Map<string, number>();
  const unsettled = new Map(Object.entries(leaving));
  for (const cell of cells.filter((candidate) => candidate.pod === pod.uid)) {
    const isThis = (other: { pod: string; database: string }): boolean =>
      other.pod === cell.pod && other.database === cell.database;
    const proposed = ledger.changes.find(isThis);
    const change = proposed?.kind === 'grow' && !mayGrow ? undefined : proposed;
    const size = change?.to ?? cell.granted;
    if (size >= 1) sizes.set(cell.database, size);
    const standing = ledger.settled.some(isThis) ? 0 : Math.max(cell.unsettled ?? 0, aboveItsSize(cell));
    const reckonedWith = change === undefined ? standing : (change.unsettled ?? 0);
    if (reckonedWith > size) unsettled.set(cell.database, reckonedWith);
  }
  return {
    sizes: Object.fromEntries(sizes),
    unsettled: unsettled.size === 0 ? undefined : Object.fromEntries(unsettled),
  };
}

/**
 * Pods that may appear without our consent: those the ReplicaSets still owe, and one for every pod that others may yet evict or lose. A pod
 * that we drain ourselves gets no replacement beyond its ReplicaSet's number.
 */
function podsStillPossible(observation: Observation, states: readonly PodState[], replicas: number): number {
  const wanted = podsWanted(observation);
  const staying = states.filter((state) => state.phase !== 'Terminating').length;
  const lost = states.filter((state) => state.phase === 'Terminating' && state.pod.drain === undefined).length;
  const owed = Math.max(0, Math.max(wanted, observation.replicaSets.length === 0 ? replicas : 0) - staying);
  // A surplus pod is about to be taken away, and then the next one that others take is replaced.
  return owed + Math.max(0, replicas - lost);
}

/** What the ReplicaSets are told to keep up. */
function podsWanted({ replicaSets }: Observation): number {
  return replicaSets.filter((set) => !set.terminating).reduce((sum, set) => sum + set.replicas, 0);
}

/**
 * Databases that a pod still holds although they are no longer declared: database → connections it may still have. Also what a new pod has from
 * boot.ini, which follows only when every pod is proved.
 */
function leavingCells(
  { pod, reading }: PodState,
  declared: ReadonlySet<string>,
  { observation, bootFloors }: GrantInput,
): Sizes {
  const { grant } = pod;
  const view = reading?.ok === true ? reading.view : undefined;
  const settled = reading?.ok === true && runsItsFile(reading, grant);
  // PgBouncer cuts the clients of a removed database; where nobody counts what goes on at PostgreSQL it is given time to end.
  const { nowMs } = observation;
  const counted = seenBackends(observation) !== undefined || nowMs - (grant?.removedAtMs ?? nowMs) >= ORPHANS_END_MS;
  const running = view?.databases.map(({ name }) => name) ?? Object.keys(bootFloors);
  const names = new Set([...Object.keys(grant?.sizes ?? {}), ...Object.keys(grant?.unsettled ?? {}), ...running]);
  const held = new Map<string, number>();
  for (const name of names) {
    // One that is declared again before what was cut can have ended comes back when it has.
    const isCut =
      (settled || grant?.removedAtMs !== undefined) &&
      sizeOf(grant?.sizes, name) === undefined &&
      sizeOf(grant?.unsettled, name) !== undefined;
    if (declared.has(name) && (!isCut || counted)) continue;
    const inForce = view === undefined ? (sizeOf(bootFloors, name) ?? 0) : sizeInForce(view, name);
    const servers = view === undefined ? 0 : serversOf(view, name);
    if (settled && counted && sizeOf(grant?.sizes, name) === undefined && inForce === 0 && servers === 0) continue;
    const size = Math.max(sizeOf(grant?.sizes, name) ?? 0, sizeOf(grant?.unsettled, name) ?? 0, inForce, servers);
    if (size > 0) held.set(name, size);
  }
  return Object.fromEntries(held);
}

/** Since when a removed database's clients are cut, as far as that could be seen. */
function removedAt({ pod, reading }: PodState, leaving: Sizes, nowMs: number): { readonly removedAtMs?: number } {
  if (Object.keys(leaving).length === 0 || pod.grant === undefined) return {};
  if (pod.grant.removedAtMs !== undefined) return { removedAtMs: pod.grant.removedAtMs };
  const { sizes } = pod.grant;
  const cut =
    reading?.ok === true &&
    runsItsFile(reading, pod.grant) &&
    Object.keys(leaving).every((name) => sizeOf(sizes, name) === undefined);
  return cut ? { removedAtMs: nowMs } : {};
}

/** Backends of a pod in databases that are declared no more: transactions that were cut, and go on to their end. */
function strayBackends(pod: PodFacts, { observation, basis }: GrantInput): number {
  const wanted = new Set(databasesOf(observation.pool).map(({ database }) => database));
  const known = new Set(basis.databases.map(({ name }) => name));
  for (const { name, dbname } of readProvedRecord(observation)?.model.databases ?? [])
    if (known.has(name)) wanted.add(dbname);
  const stray = seenBackends(observation)?.filter((group) => !wanted.has(group.database)) ?? [];
  return backendsFrom(stray, pod.ip);
}
