// What each pod has of each database and may come to have, as the ledger is to hear it.
import { databasesOf } from '../api/poolconfig.ts';
import { PLACE } from '../model/names.ts';
import type { Observation, PodFacts } from '../model/observation.ts';
import type { Sizes } from '../model/pooler-model.ts';
import type { PoolerView } from '../model/pooler-view.ts';
import { sizeOf } from '../sizing/sizes.ts';
import { backendsFrom, seenBackends } from './backends.ts';
import type { Cell } from './ledger.ts';
import { runsItsFile, type PodState } from './pod-state.ts';
import { readProvedRecord } from './proved-record.ts';

/** A second change within this time waits for the kubelet's relist, so one good change is quicker than two (measured). */
export const CHANGE_INTERVAL_MS = 1_200;
/** Where nobody counts backends, those of a dead container are taken to have ended after this; idle ones end within milliseconds. */
export const ORPHANS_END_MS = 5_000;

export type CellInput = {
  readonly observation: Observation;
  /** Sizes in boot.ini as it is now; empty for databases it does not have. */
  readonly bootFloors: Sizes;
};

export type CellOfPod = Cell & {
  /** Connections that PgBouncer has to PostgreSQL, those for cancel requests left out: they last for milliseconds, and are none of the pool. */
  readonly lastingInPooler?: number;
};

/**
 * What a pool holds above the size in force: it was opened under a larger one that was in force meanwhile, as boot.ini's after a refusal. Nothing
 * but a drain brings it down.
 */
export function aboveItsSize({ granted, inForce, poolerRestarted, lastingInPooler = 0 }: CellOfPod): number {
  return inForce === granted && poolerRestarted !== true && lastingInPooler > granted ? lastingInPooler : 0;
}

export function cellsOf(state: PodState, declared: ReadonlySet<string>, input: CellInput): readonly CellOfPod[] {
  const { pod, reading, phase } = state;
  const view = reading?.ok === true ? reading.view : undefined;
  const { nowMs } = input.observation;
  const justChanged = pod.grant !== undefined && nowMs - pod.grant.atMs < CHANGE_INTERVAL_MS;
  const restarted = isFreshContainer(state, input.observation);
  const otherFile = reading?.ok === true && pod.grant !== undefined && !runsItsFile(reading, pod.grant);
  const backendsIn = backendsOf(input.observation, pod);
  const canChange = phase !== 'Terminating' && !justChanged && (view !== undefined || pod.grant === undefined);
  return [...declared].map((database): CellOfPod => {
    const unsettled = sizeOf(pod.grant?.unsettled, database);
    const booted = sizeOf(input.bootFloors, database) ?? 0;
    // A pod that was never told anything starts at boot.ini's size, so that much is as good as in force.
    const inForce = view !== undefined ? sizeInForce(view, database) : pod.grant === undefined ? booted : undefined;
    const seenByPooler = view === undefined ? undefined : serversOf(view, database);
    const seenByServer = backendsIn(database);
    return {
      pod: pod.uid,
      database,
      // A pod without a grant has what the boot.ini gave it that it started with; one with a grant that lacks the database has nothing of it yet.
      granted: pod.grant === undefined ? (inForce ?? booted) : (sizeOf(pod.grant.sizes, database) ?? 0),
      floor: booted,
      canChange,
      ...(restarted ? { poolerRestarted: true } : {}),
      ...(otherFile ? { otherFile } : {}),
      ...(inForce === undefined ? {} : { inForce }),
      ...(view === undefined || seenByPooler === undefined
        ? {}
        : { seenByPooler, lastingInPooler: seenByPooler - cancelsOf(view, database) }),
      ...(seenByServer === undefined ? {} : { seenByServer }),
      ...(unsettled === undefined ? {} : { unsettled }),
    };
  });
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

export function sizeInForce(view: PoolerView, database: string): number {
  const row = view.databases.find((candidate) => candidate.name === database);
  return row === undefined ? 0 : Math.max(row.poolSize, row.maxConnections);
}

function cancelsOf(view: PoolerView, database: string): number {
  return view.pools.filter((pool) => pool.database === database).reduce((sum, pool) => sum + pool.serversCancelling, 0);
}

export function serversOf(view: PoolerView, database: string): number {
  return view.pools.filter((pool) => pool.database === database).reduce((sum, pool) => sum + pool.servers, 0);
}

/** PostgreSQL's own count for one pod by database; undefined where it can't be told apart (no monitor, or two names for one database). */
function backendsOf(observation: Observation, { ip }: PodFacts): (database: string) => number | undefined {
  const backends = seenBackends(observation);
  if (backends === undefined || ip === undefined) return () => undefined;
  const names = namesAtServer(observation);
  return (database) => {
    const name = names.get(database);
    if (name === undefined || [...names.values()].filter((other) => other === name).length > 1) return undefined;
    return backendsFrom(
      backends.filter((group) => group.database === name),
      ip,
    );
  };
}

/** Database → what PostgreSQL calls it; also of those that only the proved configuration has, which stands while another is refused. */
function namesAtServer(observation: Observation): ReadonlyMap<string, string> {
  const proved = readProvedRecord(observation)?.model.databases ?? [];
  return new Map([
    ...proved.map(({ name, dbname }) => [name, dbname] as const),
    ...databasesOf(observation.pool).map(({ name, database }) => [name, database] as const),
  ]);
}
