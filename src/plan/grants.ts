// Lets the ledger decide which sizes may change now, and turns its answer into the next sizes of each pod.
import { databasesOf } from '../api/poolconfig.ts';
import { PLACE } from '../model/names.ts';
import type { Observation, PodFacts } from '../model/observation.ts';
import type { Sizes } from '../model/pooler-model.ts';
import type { PoolerView } from '../model/pooler-view.ts';
import { sizeOf, sumOf } from '../sizing/sizes.ts';
import { orphansOf } from './ledger-cell.ts';
import { gonePods } from './gone-pods.ts';
import { stepLedger, type Cell, type LedgerInput, type LedgerStep } from './ledger.ts';
import { loadedIni, type PodState } from './pod-state.ts';
import { backendsFrom, seenBackends } from './backends.ts';
import type { SizingBasis } from './desired.ts';
import { readProvedRecord } from './proved-record.ts';

/** A second change within this time waits for the kubelet's relist, so one good change is quicker than two (measured). */
export const CHANGE_INTERVAL_MS = 1_200;
/** Where nobody counts backends, those of a dead container are taken to have ended after this; idle ones end within milliseconds. */
const ORPHANS_END_MS = 5_000;

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
  /** Keyed by pod uid; terminating pods have none. */
  readonly next: ReadonlyMap<string, NextSizes>;
  /** Pods that may load their live.ini: none of them has backends left over from a container that died. */
  readonly mayLoad: ReadonlySet<string>;
};

export type GrantInput = {
  readonly observation: Observation;
  readonly states: readonly PodState[];
  readonly basis: SizingBasis;
  /** Sizes in boot.ini as it is now; empty for databases it does not have. */
  readonly bootFloors: Sizes;
  /** Sizes that must stay free for each pod that may appear: boot.ini's now or those it is about to have, whichever are more. */
  readonly floors: Sizes;
  readonly targets: ReadonlyMap<string, Sizes>;
  /** Grows are left out while some pod does not carry this leader's epoch yet. */
  readonly mayGrow: boolean;
};

type CellOfPod = Cell & {
  /** Connections that PgBouncer has to PostgreSQL, those for cancel requests left out: they last for milliseconds, and are none of the pool. */
  readonly lastingInPooler?: number;
};

export function planGrants(input: GrantInput): GrantStep {
  const { observation, states, basis } = input;
  const declared = new Set(basis.databases.map((database) => database.name));
  const leaving = new Map(states.map((state) => [state.pod.uid, leavingCells(state, declared, input)]));
  const cells = states
    .flatMap((state) => cellsOf(state, declared, input))
    .filter(({ pod, database }) => leaving.get(pod)?.[database] === undefined);
  const stillHeld = states.reduce(
    (sum, { pod }) => sum + Math.max(sumOf(leaving.get(pod.uid) ?? {}), strayBackends(pod, input)),
    0,
  );
  const asked: LedgerInput = {
    budget: basis.budget - stillHeld,
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
  return { ledger, asked, next, mayLoad };
}

function nextSizes(
  pod: PodFacts,
  cells: readonly CellOfPod[],
  ledger: LedgerStep,
  leaving: Sizes,
  mayGrow: boolean,
): NextSizes {
  const sizes: Record<string, number> = {};
  const unsettled: Record<string, number> = { ...leaving };
  for (const cell of cells.filter((candidate) => candidate.pod === pod.uid)) {
    const isThis = (other: { pod: string; database: string }): boolean =>
      other.pod === cell.pod && other.database === cell.database;
    const proposed = ledger.changes.find(isThis);
    const change = proposed?.kind === 'grow' && !mayGrow ? undefined : proposed;
    const size = change?.to ?? cell.granted;
    if (size >= 1) sizes[cell.database] = size;
    const standing = ledger.settled.some(isThis) ? 0 : Math.max(cell.unsettled ?? 0, aboveItsSize(cell));
    const reckonedWith = change === undefined ? standing : (change.unsettled ?? 0);
    if (reckonedWith > size) unsettled[cell.database] = reckonedWith;
  }
  return { sizes, unsettled: Object.keys(unsettled).length === 0 ? undefined : unsettled };
}

/**
 * What a pool holds above the size in force: it was opened under a larger one that was in force meanwhile, as boot.ini's after a refusal. Nothing
 * but a drain brings it down.
 */
function aboveItsSize({ granted, inForce, poolerRestarted, lastingInPooler = 0 }: CellOfPod): number {
  return inForce === granted && poolerRestarted !== true && lastingInPooler > granted ? lastingInPooler : 0;
}

function cellsOf(state: PodState, declared: ReadonlySet<string>, input: GrantInput): readonly CellOfPod[] {
  const { pod, reading, phase } = state;
  const view = reading?.ok === true ? reading.view : undefined;
  const { nowMs } = input.observation;
  const justChanged = pod.grant !== undefined && nowMs - pod.grant.atMs < CHANGE_INTERVAL_MS;
  const canChange = phase !== 'Terminating' && !justChanged && (view !== undefined || pod.grant === undefined);
  return [...declared].map((database): CellOfPod => {
    const unsettled = pod.grant?.unsettled?.[database];
    const booted = input.bootFloors[database] ?? 0;
    // A pod that was never told anything starts at boot.ini's size, so that much is as good as in force.
    const inForce = view !== undefined ? sizeInForce(view, database) : pod.grant === undefined ? booted : undefined;
    const seenByPooler = view === undefined ? undefined : serversOf(view, database);
    const seenByServer = backendsOf(input.observation, pod, database);
    const restarted = isFreshContainer(state, input.observation);
    const otherFile = reading?.ok === true && pod.grant !== undefined && loadedIni(reading) !== pod.grant.ini;
    return {
      pod: pod.uid,
      database,
      // A pod without a grant boots at the floor; one with a grant that lacks the database has nothing of it yet.
      granted: pod.grant === undefined ? booted : (pod.grant.sizes[database] ?? 0),
      floor: booted,
      canChange,
      ...(restarted ? { poolerRestarted: true } : {}),
      ...(otherFile ? { otherFile } : {}),
      ...(inForce === undefined ? {} : { inForce }),
      ...(seenByPooler === undefined ? {} : { seenByPooler }),
      ...(view === undefined ? {} : { lastingInPooler: serversOf(view, database) - cancelsOf(view, database) }),
      ...(seenByServer === undefined ? {} : { seenByServer }),
      ...(unsettled === undefined ? {} : { unsettled }),
    };
  });
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

/** A container that died and runs boot.ini again: backends of the former one may live on, and come on top of all it opens itself. */
function isFreshContainer({ pod, reading }: PodState, observation: Observation): boolean {
  if (pod.grant === undefined || reading?.ok !== true) return false;
  if (reading.restartedUnseen === true) return true;
  if (pod.container.restartCount === 0) return false;
  if (reading.view.config.get('conffile') !== PLACE.bootFile) return false;
  const watched = seenBackends(observation) !== undefined;
  return watched || observation.nowMs - (pod.container.startedAtMs ?? observation.nowMs) < ORPHANS_END_MS;
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
  const settled = reading?.ok === true && loadedIni(reading) === grant?.ini;
  // PgBouncer cuts the clients of a removed database; where nobody counts what goes on at PostgreSQL it is given time to end.
  const { nowMs } = observation;
  const counted = seenBackends(observation) !== undefined || nowMs - (grant?.removedAtMs ?? nowMs) >= ORPHANS_END_MS;
  const running = view?.databases.map(({ name }) => name) ?? Object.keys(bootFloors);
  const names = new Set([...Object.keys(grant?.sizes ?? {}), ...Object.keys(grant?.unsettled ?? {}), ...running]);
  const held: Record<string, number> = {};
  for (const name of names) {
    // One that is declared again before what was cut can have ended comes back when it has.
    const isCut =
      (settled || grant?.removedAtMs !== undefined) &&
      sizeOf(grant?.sizes, name) === undefined &&
      sizeOf(grant?.unsettled, name) !== undefined;
    if (declared.has(name) && (!isCut || counted)) continue;
    const inForce = view === undefined ? (bootFloors[name] ?? 0) : sizeInForce(view, name);
    const servers = view === undefined ? 0 : serversOf(view, name);
    if (settled && counted && grant?.sizes[name] === undefined && inForce === 0 && servers === 0) continue;
    const size = Math.max(grant?.sizes[name] ?? 0, grant?.unsettled?.[name] ?? 0, inForce, servers);
    if (size > 0) held[name] = size;
  }
  return held;
}

/** Since when a removed database's clients are cut, as far as that could be seen. */
function removedAt({ pod, reading }: PodState, leaving: Sizes, nowMs: number): { readonly removedAtMs?: number } {
  if (Object.keys(leaving).length === 0 || pod.grant === undefined) return {};
  if (pod.grant.removedAtMs !== undefined) return { removedAtMs: pod.grant.removedAtMs };
  const { sizes, ini } = pod.grant;
  const cut =
    reading?.ok === true && loadedIni(reading) === ini && Object.keys(leaving).every((name) => !(name in sizes));
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

function sizeInForce(view: PoolerView, database: string): number {
  const row = view.databases.find((candidate) => candidate.name === database);
  return row === undefined ? 0 : Math.max(row.poolSize, row.maxConnections);
}

function cancelsOf(view: PoolerView, database: string): number {
  return view.pools.filter((pool) => pool.database === database).reduce((sum, pool) => sum + pool.serversCancelling, 0);
}

export function serversOf(view: PoolerView, database: string): number {
  return view.pools.filter((pool) => pool.database === database).reduce((sum, pool) => sum + pool.servers, 0);
}

/** PostgreSQL's own count for one pod and database; undefined where it can't be told apart (no monitor, or two names for one database). */
function backendsOf(observation: Observation, pod: PodFacts, database: string): number | undefined {
  const backends = seenBackends(observation);
  if (backends === undefined || pod.ip === undefined) return undefined;
  const names = namesAtServer(observation);
  const name = names.get(database);
  if (name === undefined || [...names.values()].filter((other) => other === name).length > 1) return undefined;
  return backendsFrom(
    backends.filter((group) => group.database === name),
    pod.ip,
  );
}

/** Database → what PostgreSQL calls it; also of those that only the proved configuration has, which stands while another is refused. */
function namesAtServer(observation: Observation): ReadonlyMap<string, string> {
  const proved = readProvedRecord(observation)?.model.databases ?? [];
  return new Map([
    ...proved.map(({ name, dbname }) => [name, dbname] as const),
    ...databasesOf(observation.pool).map(({ name, database }) => [name, database] as const),
  ]);
}
