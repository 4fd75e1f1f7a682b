// The status a user reads: what was found, the sizes with their reasons, and every pod.
import type { PodStatus, PoolConfigStatus } from '../api/poolconfig.gen.ts';
import { isoTime } from '../model/iso-time.ts';
import type { Grant } from '../model/grant.ts';
import { LABEL, PLACE } from '../model/names.ts';
import type { Observation } from '../model/observation.ts';
import { leftBehind, mayStillHold } from './gone-pods.ts';
import { othersStatus } from './others.ts';
import { largerSizes, sumOf } from '../sizing/sizes.ts';
import type { PodState } from './pod-state.ts';
import { conditions, type SummaryInput } from './verdicts.ts';

/** A new size takes well under a second; what takes longer than this is not as it should be. */
const RESIZE_LIMIT_MS = 10_000;
export function summarize(input: SummaryInput): PoolConfigStatus {
  const { observation, fleet, states, wish, refusal } = input;
  const former = observation.pool.status;
  const serving = servingProved(input);
  const pods = podEntries(observation, states);
  const server = observation.server;
  const limits = server?.reachable === true ? server.limits : undefined;
  const budget = wish.budget;
  const sized = fleet?.feasible === true ? fleet : undefined;
  return {
    observedGeneration: observation.pool.metadata.generation,
    conditions: conditions(input, serving.length),
    replicas: states.filter((state) => state.phase !== 'Terminating').length,
    readyReplicas: serving.length,
    selector: `${LABEL.pool}=${observation.pool.metadata.name}`,
    ...imageInUse(input, serving.length),
    ...(input.targetHash === undefined ? {} : { configHash: input.targetHash }),
    ...(input.serverHash === undefined ? {} : { serverHash: input.serverHash }),
    size: pods
      .filter((pod) => pod.state !== 'Gone')
      .flatMap((pod) => pod.sizes ?? [])
      .reduce((sum, cell) => sum + cell.size, 0),
    ...(budget === undefined
      ? former?.budget === undefined
        ? {}
        : { budget: former.budget }
      : {
          budget: {
            declared: budget.declared,
            reserve: budget.reserve,
            budget: budget.budget,
            source: budget.source,
            ...(budget.usable === undefined ? {} : { usable: budget.usable }),
            ...maxConnections(limits?.maxConnections ?? former?.budget?.maxConnections),
            ...(sized === undefined ? {} : { setAside: sized.setAside }),
            ...(wish.others === undefined ? {} : { others: othersStatus(observation, wish.others) }),
          },
        }),
    demand: wish.demand.map(({ name, databases, replicas, surge, workers, threads, clients, notes }) => ({
      name,
      databases: [...databases],
      replicas,
      surge,
      workers,
      threads,
      clients,
      ...(notes.length === 0 ? {} : { notes: [...notes] }),
    })),
    databases:
      sized === undefined
        ? (former?.databases ?? [])
        : sized.databases.map(({ offered, ...rest }) => ({
            ...rest,
            offered: String(Math.round(offered * 100) / 100),
          })),
    pods,
    ...(refusal === undefined ? {} : { refused: { ...refusal } }),
    ...(input.pause === undefined ? {} : { pause: input.pause }),
    ...(input.outage === undefined ? {} : { outage: input.outage }),
    ...(input.revoking === undefined ? {} : { revoking: input.revoking }),
  };
}

/**
 * What a fleet falls back to when spec.pooler.image is taken out. A declared image counts only once the fleet runs it: else taking out one that
 * can't be pulled would keep it.
 */
function imageInUse({ observation, wish, image, replicas }: SummaryInput, servingCount: number): { image?: string } {
  const arrived = wish.desired !== undefined && replicas > 0 && servingCount >= replicas;
  const former = observation.pool.status?.image;
  const isDeclared = observation.pool.spec.pooler?.image !== undefined;
  const kept = arrived ? image : (former ?? (isDeclared ? undefined : image));
  return kept === undefined ? {} : { image: kept };
}

function maxConnections(value: number | undefined): { maxConnections?: number } {
  return value === undefined ? {} : { maxConnections: value };
}

/** Pods in the Service that were read back and run what they should, from the template they should come from. */
function servingProved(input: SummaryInput): readonly PodState[] {
  return input.states.filter(
    (state) =>
      state.phase === 'Serving' &&
      state.pod.template === input.template &&
      input.targetHash !== undefined &&
      (state.provedModel === input.targetHash || isOnlyResized(state, input)),
  );
}

/**
 * True for a pod that was proved to run this configuration and is being told new sizes alone: whichever of the two files it has loaded, it
 * runs this generation. So a workload that scales does not make `Ready` flicker.
 */
function isOnlyResized({ pod, reading, unproved }: PodState, { observation, targetHash }: SummaryInput): boolean {
  const { conditions = [], configHash, pods = [] } = observation.pool.status ?? {};
  return (
    unproved?.kind === 'notLoaded' &&
    pod.grant !== undefined &&
    pod.grant.model === targetHash &&
    configHash === targetHash &&
    conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True') &&
    pods.some((entry) => entry.uid === pod.uid && entry.state === 'Serving') &&
    reading?.ok === true &&
    reading.view.config.get('conffile') === PLACE.liveFile &&
    observation.nowMs - pod.grant.atMs < RESIZE_LIMIT_MS
  );
}

/** What status keeps of a grant, for the time when the pod is gone and its annotation with it. */
export function grantEntry(grant: Grant | undefined): Pick<PodStatus, 'mayHold' | 'sizes'> {
  const { sizes = {}, unsettled } = grant ?? {};
  return {
    ...(unsettled === undefined ? {} : { mayHold: sumOf(largerSizes(sizes, unsettled)) }),
    sizes: Object.entries(sizes)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([database, size]) => ({ database, size })),
  };
}

function podEntries(observation: Observation, states: readonly PodState[]): NonNullable<PoolConfigStatus['pods']> {
  const former = new Map((observation.pool.status?.pods ?? []).map((entry) => [entry.uid, entry]));
  const now = isoTime(observation.nowMs);
  const present = states.map((state) => {
    const { pod } = state;
    const before = former.get(pod.uid);
    return {
      name: pod.name,
      uid: pod.uid,
      ...(pod.ip === undefined ? (before?.ip === undefined ? {} : { ip: before.ip }) : { ip: pod.ip }),
      state: state.phase,
      since: before?.state === state.phase && before.since !== undefined ? before.since : now,
      ...(state.provedModel === undefined ? {} : { configHash: state.provedModel }),
      ...orphansOfPod(observation.orphans?.get(pod.uid)),
      ...grantEntry(pod.grant),
    };
  });
  const uids = new Set(states.map((state) => state.pod.uid));
  const gone = [...former.values()]
    .filter((entry) => !uids.has(entry.uid ?? '') && (entry.sizes ?? []).length > 0)
    .filter((entry) => mayStillHold(observation, entry))
    .map((entry) => (entry.state === 'Gone' ? entry : { ...entry, state: 'Gone' as const, since: now }))
    .map((entry) => {
      const left: PodStatus & { orphans?: number } = { ...entry };
      delete left.orphans;
      return { ...left, ...orphansOfPod(leftBehind(observation, entry)) };
    });
  return [...present, ...gone];
}

function orphansOfPod(count: number | undefined): { orphans?: number } {
  return count === undefined || count === 0 ? {} : { orphans: count };
}
