// The conditions of a PoolConfig: one verdict each, from findings and pod states.
import { setCondition, type ConditionUpdate, type Reason } from '../api/conditions.ts';
import type { Condition, OutageStatus, PauseStatus, RevokingStatus } from '../api/poolconfig.gen.ts';
import type { Finding, FindingCondition } from '../model/finding.ts';
import { isoTime, parseIso } from '../model/iso-time.ts';
import type { Observation } from '../model/observation.ts';
import type { FleetSizes } from '../sizing/size-fleet.ts';
import { backendsFrom, seenBackends } from './backends.ts';
import type { Refusal } from './canary.ts';
import { certificatesVerdict, type CertificateInUse } from './certificates.ts';
import type { Wish } from './desired.ts';
import { QUARANTINE_MS } from './gone-pods.ts';
import { othersNow } from './others.ts';
import type { PodState } from './pod-state.ts';
import { OUTAGE_WAIT_MS } from './outage.ts';
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
  /** What of the PoolConfig makes pods of another template be replaced, as `: pooler.image a → b`; empty where nothing does. */
  readonly rolls: string;
  readonly replicas: number;
  readonly image: string;
  readonly pause: PauseStatus | undefined;
  readonly outage: OutageStatus | undefined;
  readonly revoking: RevokingStatus | undefined;
  readonly certificates: readonly CertificateInUse[];
  readonly serverHash: string | undefined;
  /** Connections that may be held in the worst light, and how many of them are above the budget. */
  readonly held: number;
  readonly overcommitted: number;
  /** Something is under way: an action of this plan, or one that an earlier plan waits for. */
  readonly busy: boolean;
};
/** A condition without its generation, which is the same for all. */
type Verdict = Omit<ConditionUpdate, 'observedGeneration'>;
/** Longest wait for a server, from which on clients are said to be kept waiting; and how long it must stay away to be unsaid. */
const SATURATED_WAIT_MS = 1_000;
const SATURATED_HOLD_MS = 60_000;
/** All conditions of a PoolConfig, from what stands in the way and how far the pods are. `Ready` is decided here alone. */
export function conditions(input: SummaryInput, servingCount: number): Condition[] {
  const { observation } = input;
  const ready = readyCondition(input, servingCount);
  const stalled = stalledCondition(input, ready);
  const wanted: Verdict[] = [
    ready,
    configCondition(input, servingCount),
    budgetCondition(input),
    serverCondition(input),
    saturation(input),
    ...pauseVerdict(input),
    ...certificatesCondition(input),
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
function underWay({ states, template, replicas, rolls }: SummaryInput): Pick<Verdict, 'reason' | 'message'> {
  const staying = states.filter((state) => state.phase !== 'Terminating');
  const former = staying.filter((state) => state.pod.template !== template).length;
  if (template !== undefined && former > 0) {
    return {
      reason: 'Rollout',
      message: `${former} pods of another template are replaced by pods of ${template}, one at a time and each drained first${rolls}.`,
    };
  }
  const draining = staying.filter((state) => state.phase === 'Draining');
  if (draining.length > 0) {
    return { reason: 'Draining', message: `${draining.length} pods that leave wait for their clients to leave.` };
  }
  const crowded = staying.filter(({ pod }) => pod.crowded);
  if (crowded.length > 0) {
    return {
      reason: 'Rebalancing',
      message: `${crowded.length} pods with more clients than the mean take no new ones, which go to the others.`,
    };
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

/** What is on its way down is told before what keeps it there; it passes, and the rest is told then. */
function budgetCondition(input: SummaryInput): Verdict {
  const type = 'BudgetSatisfied';
  const no = (reason: Reason, message: string): Verdict => ({ type, status: 'False', reason, message });
  const blocking = blockingFinding(input, type);
  if (blocking !== undefined) return no(blocking.reason, blocking.message);
  const budget = input.wish.budget;
  if (budget === undefined)
    return {
      type,
      status: 'Unknown',
      reason: 'NotObserved',
      message: 'The budget is not worked out while the specification is blocked.',
    };
  const orphans = orphansMessage(input.observation);
  if (orphans !== undefined) return no('OrphanedBackends', orphans);
  const finding = input.findings.find((entry) => entry.condition === type);
  if (input.overcommitted > 0) {
    const cause = finding === undefined ? '' : ` ${finding.message}`;
    return no(
      'Overcommitted',
      `${input.overcommitted} of the ${input.held} connections that the pods may hold must still be given back: the budget is ${budget.budget}. Pools shrink as transactions end; nothing grows before.${cause}`,
    );
  }
  if (finding !== undefined) return no(finding.reason, finding.message);
  const granted = `At most ${budget.budget} connections are granted`;
  if (seenBackends(input.observation) === undefined)
    return { type, status: 'True', reason: 'Unmonitored', message: `${granted}${weakerGuarantee(input.observation)}` };
  return {
    type,
    status: 'True',
    reason: 'WithinBudget',
    message: `${granted}, and PostgreSQL's own count is compared.`,
  };
}

/** What is not guaranteed where PostgreSQL's own count can't be had, and what stands in for it. */
function weakerGuarantee(observation: Observation): string {
  const { server } = observation;
  const translated = server?.reachable === true && othersNow(observation) === 'untold';
  const why =
    server === undefined
      ? 'without spec.server.monitorSecretRef'
      : translated
        ? 'as PostgreSQL shows no connection from the address of any pod'
        : 'as the server does not answer its monitor role';
  const others = translated ? "others' connections can't be told from the fleet's" : "others' are not seen";
  return `, by the poolers' own count; ${why} PostgreSQL's is not compared. Backends that outlive their pooler or client are not seen, ${others}, and the share of a lost pod stays out of use for ${QUARANTINE_MS / 1000} s instead of until its backends are gone.`;
}

/** Backends without a pooler: the budget does not hold them, so they are named, pod by pod. */
function orphansMessage(observation: Observation): string | undefined {
  const { pods, orphans = new Map<string, number>() } = observation;
  const named = pods.flatMap(({ name, uid }) => {
    const count = orphans.get(uid) ?? 0;
    return count === 0 ? [] : [{ name, count }];
  });
  if (named.length === 0) return undefined;
  const total = named.reduce((sum, { count }) => sum + count, 0);
  const list = named.map(({ name, count }) => `${name} ${count}`).join(', ');
  const backends = seenBackends(observation) ?? [];
  const seen = pods.reduce((sum, pod) => sum + backendsFrom(backends, pod.ip), 0);
  return `PostgreSQL still runs ${total} connections that no pooler has any more (${list}), beside ${Math.max(0, seen - total)} that one has. Their clients or pooler died in the middle of a query, and they last as long as it does, on top of what the poolers may open. End them with pg_terminate_backend, or wait.`;
}

function serverCondition(input: SummaryInput): Verdict {
  const type = 'ServerReachable';
  const finding = input.findings.find((entry) => entry.condition === type);
  const held = input.outage?.pods.length ?? 0;
  const waiting = held === 0 ? '' : ` Clients of ${held} pods wait for it, ${OUTAGE_WAIT_MS / 1000} s at most.`;
  if (finding !== undefined)
    return { type, status: 'False', reason: finding.reason, message: `${finding.message}${waiting}` };
  const proved = input.states.some((state) => state.reading?.ok === true && state.reading.serverProof === 'proved');
  if (proved) return { type, status: 'True', reason: 'Answering', message: 'A login through the pool succeeded.' };
  if (input.observation.server?.reachable === true)
    return { type, status: 'True', reason: 'Answering', message: 'The monitor role is connected.' };
  return { type, status: 'Unknown', reason: 'NotObserved', message: 'No login through the pool was tried yet.' };
}

/** Only while a pause is declared, or is being ended. */
function pauseVerdict({ pause }: SummaryInput): readonly Verdict[] {
  if (pause === undefined) return [];
  const { until, state, message = '', pausedPods = 0, waitingClients = 0 } = pause;
  const type = 'Paused';
  const counts = `${pausedPods} pods are paused, ${waitingClients} clients wait.`;
  switch (state) {
    case 'Paused':
      return [{ type, status: 'True', reason: 'UntilItsTime', message: `Until ${until}: ${counts}` }];
    case 'Pausing':
      return [{ type, status: 'False', reason: 'Pausing', message: `Until ${until}, as transactions end: ${counts}` }];
    case 'Resuming':
      return [{ type, status: 'False', reason: 'Resuming', message: `It was paused until ${until}: ${counts}` }];
    case 'Ended':
      return [{ type, status: 'False', reason: 'PauseOver', message: `It was paused until ${until}.` }];
    case 'Refused':
      return [{ type, status: 'False', reason: 'PauseRefused', message }];
  }
}

/** Only while the fleet has any. */
function certificatesCondition({ certificates, observation }: SummaryInput): readonly Verdict[] {
  const verdict = certificatesVerdict(certificates, observation.nowMs);
  return verdict === undefined ? [] : [{ type: 'CertificatesValid', ...verdict }];
}

function saturation(input: SummaryInput): Verdict {
  const type = 'PoolSaturated';
  const { observation, states } = input;
  // Through a pause clients wait because they are to.
  const waiting = states.some(
    (state) =>
      state.pod.grant?.patience !== true &&
      input.outage?.pods.includes(state.pod.name) !== true &&
      state.reading?.ok === true &&
      state.reading.view.pools.some((pool) => pool.maxWaitMs >= SATURATED_WAIT_MS),
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
