// The status a user reads: conditions from findings and pod states, the sizes with their reasons, and every pod. `Ready` is decided here alone.
import type { Condition, PoolConfigStatus } from '../api/poolconfig.gen.ts';
import { setCondition, type ConditionUpdate, type Reason } from '../api/conditions.ts';
import { LABEL, PLACE } from '../model/names.ts';
import { isoTime, parseIso } from '../model/iso-time.ts';
import type { Finding, FindingCondition } from '../model/finding.ts';
import type { Observation } from '../model/observation.ts';
import type { FleetSizes } from '../sizing/size-fleet.ts';
import { backendsFrom, seenBackends } from './backends.ts';
import type { Refusal } from './canary.ts';
import type { Wish } from './desired.ts';
import { QUARANTINE_MS } from './grants.ts';
import type { PodState } from './pod-state.ts';
import { podTrouble } from './policies/pod-trouble.ts';

export type SummaryInput = {
  readonly observation: Observation;
  readonly wish: Wish;
  readonly findings: readonly Finding[];
  readonly fleet: FleetSizes | undefined;
  readonly states: readonly PodState[];
  readonly refusal: Refusal | undefined;
  /** Hash of the configuration that every serving pod should run; undefined before there is one. */
  readonly targetHash: string | undefined;
  readonly template: string | undefined;
  readonly replicas: number;
  readonly image: string;
  readonly serverHash: string | undefined;
  readonly overcommitted: number;
  /** Something is under way: an action of this plan, or one that an earlier plan waits for. */
  readonly busy: boolean;
};

/** A new size takes well under a second; what takes longer than this is not as it should be. */
const RESIZE_LIMIT_MS = 10_000;

/** A condition without its generation, which is the same for all. */
type Verdict = Omit<ConditionUpdate, 'observedGeneration'>;

/** Longest wait for a server, from which on clients are said to be kept waiting; and how long it must stay away to be unsaid. */
const SATURATED_WAIT_MS = 1_000;
const SATURATED_HOLD_MS = 60_000;

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
      sizes: Object.entries(pod.grant?.sizes ?? {})
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([database, size]) => ({ database, size })),
    };
  });
  const uids = new Set(states.map((state) => state.pod.uid));
  const gone = [...former.values()]
    .filter((entry) => !uids.has(entry.uid ?? '') && (entry.sizes ?? []).length > 0)
    .map((entry) => (entry.state === 'Gone' ? entry : { ...entry, state: 'Gone' as const, since: now }))
    .filter((entry) => mayStillHold(observation, entry));
  return [...present, ...gone];
}

/** A pod that no longer exists is forgotten when PostgreSQL shows no backend of it, or after the quarantine where nobody can look. */
function mayStillHold(observation: Observation, entry: { ip?: string; since?: string }): boolean {
  const backends = seenBackends(observation);
  if (backends !== undefined) {
    return !observation.pods.some((pod) => pod.ip === entry.ip) && backendsFrom(backends, entry.ip) > 0;
  }
  return observation.nowMs - parseIso(entry.since) < QUARANTINE_MS;
}

function conditions(input: SummaryInput, servingCount: number): Condition[] {
  const { observation } = input;
  const ready = readyCondition(input, servingCount);
  const stalled = stalledCondition(input, ready);
  const wanted: Verdict[] = [
    ready,
    configCondition(input, servingCount),
    budgetCondition(input),
    serverCondition(input),
    saturation(input),
  ];
  const settled = ready.status === 'True' && !input.busy;
  if (!settled && stalled === undefined) {
    wanted.push({ type: 'Reconciling', status: 'True', ...underWay(input) });
  }
  if (stalled !== undefined) wanted.push(stalled);
  const types = new Set(wanted.map((condition) => condition.type));
  const kept = (observation.pool.status?.conditions ?? []).filter((condition) =>
    types.has(condition.type as ConditionUpdate['type']),
  );
  const generation = observation.pool.metadata.generation;
  return [
    ...wanted.reduce<readonly Condition[]>(
      (all, condition) =>
        setCondition(all, { ...condition, observedGeneration: generation }, isoTime(observation.nowMs)),
      kept,
    ),
  ];
}

/** The most telling of the things that are under way. */
function underWay({ states, template, replicas }: SummaryInput): Pick<Verdict, 'reason' | 'message'> {
  const staying = states.filter((state) => state.phase !== 'Terminating');
  if (template !== undefined && staying.some((state) => state.pod.template !== template)) {
    return { reason: 'Rollout', message: `Pods of another template are being replaced by pods of ${template}.` };
  }
  const draining = staying.filter((state) => state.phase === 'Draining');
  if (draining.length > 0) {
    return { reason: 'Draining', message: `${draining.length} pods that leave wait for their clients to leave.` };
  }
  if (staying.length !== replicas && staying.length > 0) {
    return { reason: 'Scaling', message: `${staying.length} pods exist, ${replicas} are wanted.` };
  }
  if (staying.some((state) => state.pod.grant?.unsettled !== undefined || state.unproved?.kind === 'notLoaded')) {
    return { reason: 'Resizing', message: 'Shares shrink and are verified before others grow.' };
  }
  return { reason: 'Progressing', message: 'The fleet is on its way to what is declared.' };
}

function blockingFinding(input: SummaryInput, condition?: FindingCondition): Finding | undefined {
  return input.findings.find(
    (finding) => finding.blocking && (condition === undefined || finding.condition === condition),
  );
}

function readyCondition(input: SummaryInput, servingCount: number): Verdict {
  const { replicas, refusal } = input;
  const no = (reason: Reason, message: string): Verdict => ({ type: 'Ready', status: 'False', reason, message });
  const blocked = blockingFinding(input);
  if (blocked !== undefined) return no(blocked.reason, blocked.message);
  if (refusal !== undefined) return no('ConfigRefused', refusedMessage(refusal));
  if (servingCount >= replicas) {
    return {
      type: 'Ready',
      status: 'True',
      reason: 'Proved',
      message: `${servingCount} of ${replicas} pods serve and are proved to run this generation.`,
    };
  }
  const trouble = podTrouble(input.states, input.observation);
  if (trouble !== undefined) return no(trouble.reason, trouble.message);
  const fault = input.findings.find((finding) => finding.condition === 'ServerReachable');
  if (fault !== undefined) return no(fault.reason, fault.message);
  return no('Progressing', `${servingCount} of ${replicas} pods serve and are proved to run this generation.`);
}

function configCondition(input: SummaryInput, servingCount: number): Verdict {
  const type = 'ConfigApplied';
  const blocked = blockingFinding(input, type);
  if (blocked !== undefined) return { type, status: 'False', reason: blocked.reason, message: blocked.message };
  if (input.refusal !== undefined)
    return { type, status: 'False', reason: 'ConfigRefused', message: refusedMessage(input.refusal) };
  const staying = input.states.filter((state) => state.phase === 'Serving');
  const all = staying.length > 0 && staying.every((state) => state.provedModel === input.targetHash);
  if (all)
    return {
      type,
      status: 'True',
      reason: 'Proved',
      message: `Every serving pod was read back and runs configuration ${input.targetHash ?? ''}.`,
    };
  return {
    type,
    status: 'False',
    reason: 'Progressing',
    message: `${servingCount} pods are proved to run configuration ${input.targetHash ?? '(none yet)'}.`,
  };
}

function refusedMessage(refusal: Refusal): string {
  return `${refusal.setting}: ${refusal.message} The fleet stays on its last proved configuration; correct the setting and it goes on by itself.`;
}

function budgetCondition(input: SummaryInput): Verdict {
  const type = 'BudgetSatisfied';
  const finding = blockingFinding(input, type) ?? input.findings.find((entry) => entry.condition === type);
  if (finding !== undefined) return { type, status: 'False', reason: finding.reason, message: finding.message };
  const budget = input.wish.budget;
  if (budget === undefined)
    return {
      type,
      status: 'Unknown',
      reason: 'NotObserved',
      message: 'The budget is not worked out while the specification is blocked.',
    };
  if (input.overcommitted > 0) {
    return {
      type,
      status: 'False',
      reason: 'Overcommitted',
      message: `The pods still hold ${input.overcommitted} connections more than the budget of ${budget.budget}; they are being shrunk.`,
    };
  }
  if (seenBackends(input.observation) === undefined) {
    const why =
      input.observation.server === undefined
        ? 'without spec.server.monitorSecretRef'
        : 'as the server does not answer, or shows no connection from the address of any pod,';
    return {
      type,
      status: 'True',
      reason: 'Unmonitored',
      message: `At most ${budget.budget} connections are granted; ${why} PostgreSQL's own count is not compared.`,
    };
  }
  return {
    type,
    status: 'True',
    reason: 'WithinBudget',
    message: `At most ${budget.budget} connections are granted, and PostgreSQL's own count is compared.`,
  };
}

function serverCondition(input: SummaryInput): Verdict {
  const type = 'ServerReachable';
  const finding = input.findings.find((entry) => entry.condition === type);
  if (finding !== undefined) return { type, status: 'False', reason: finding.reason, message: finding.message };
  const proved = input.states.some((state) => state.reading?.ok === true && state.reading.serverProof === 'proved');
  if (proved) return { type, status: 'True', reason: 'Answering', message: 'A login through the pool succeeded.' };
  if (input.observation.server?.reachable === true)
    return { type, status: 'True', reason: 'Answering', message: 'The monitor role is connected.' };
  return { type, status: 'Unknown', reason: 'NotObserved', message: 'No login through the pool was tried yet.' };
}

function saturation(input: SummaryInput): Verdict {
  const type = 'PoolSaturated';
  const { observation, states } = input;
  const waiting = states.some(
    (state) =>
      state.reading?.ok === true && state.reading.view.pools.some((pool) => pool.maxWaitMs >= SATURATED_WAIT_MS),
  );
  const former = observation.pool.status?.conditions?.find((condition) => condition.type === type);
  const held = former?.status === 'True' && observation.nowMs - parseIso(former.lastTransitionTime) < SATURATED_HOLD_MS;
  if (waiting || held) {
    return {
      type,
      status: 'True',
      reason: 'ClientsWaiting',
      message:
        'Clients wait a second or longer for a server connection; metrics have the numbers. Raise the budget, or look for long transactions.',
    };
  }
  return { type, status: 'False', reason: 'NoneWaiting', message: 'No client waits long for a server connection.' };
}

/** Stalled: nothing will move until somebody acts. */
function stalledCondition(input: SummaryInput, ready: Verdict): Verdict | undefined {
  const stuck = blockingFinding(input) !== undefined || input.refusal !== undefined;
  return stuck ? { type: 'Stalled', status: 'True', reason: ready.reason, message: ready.message } : undefined;
}
