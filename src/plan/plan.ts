// Planning: from one Observation to the actions, the status and the events. Every decision of the operator is made here or below.
import type { PoolConfigStatus } from '../api/poolconfig.gen.ts';
import { drainTimes, wantedReplicas } from '../api/poolconfig.ts';
import type { Finding } from '../model/finding.ts';
import type { Observation } from '../model/observation.ts';
import type { Action, Plan } from '../model/plan.ts';
import type { Sizes } from '../model/pooler-model.ts';
import { moreOf, sizeOf, sumOf } from '../sizing/sizes.ts';
import { blocked, chooseBasis, isRolling, type Chosen } from './basis.ts';
import { certificatesInUse } from './certificates.ts';
import { chooseModels, isServerFault, type Choice } from './canary.ts';
import {
  foreignChildren,
  planBoot,
  planFiles,
  planReplacements,
  planStaticChildren,
  storedBootHash,
  storedFiles,
} from './children.ts';
import { desire, type Wish } from './desired.ts';
import { planDrainEnds } from './drain.ts';
import { tellEvents } from './events.ts';
import { planGrants, type GrantStep } from './grants.ts';
import { marksStand, newerEpoch } from './epochs.ts';
import { nextRecord } from './next-record.ts';
import { isHeld, isPausedFleet, pauseStatus, pauseWaitsMs, pauseWish, planPause } from './pause.ts';
import { planOutage } from './outage.ts';
import { planPodConfigs } from './pod-config.ts';
import { planRevocations } from './revoke.ts';
import { podStates, type PodState } from './pod-state.ts';
import { FAULT_REASON, faultMessage } from './policies/server-answers.ts';
import { readProvedRecord, type ProvedRecord } from './proved-record.ts';
import { planRebalance } from './rebalance.ts';
import { planReplicaSets } from './replica-sets.ts';
import { serverHash } from './server-hash.ts';
import { planStrays } from './strays.ts';
import { summarize } from './summary.ts';
import { whatChanges } from './template-changes.ts';
import { nextLook, waitsMs } from './waits.ts';

/** What has not arrived and gives no sign is looked at this often. */
const NOT_ARRIVED_MS = 5_000;

/** Plans one PoolConfig. Pure: the same observation gives the same plan, and with nothing to change there is no action. */
export function planPool(observation: Observation): Plan {
  if (newerEpoch(observation) !== undefined) {
    const status = observation.pool.status ?? {};
    return { actions: [], status, events: [], requeueAfterMs: NOT_ARRIVED_MS };
  }
  const record = readProvedRecord(observation);
  const foreign = foreignChildren(observation);
  const first = desire(observation, record);
  const wish = foreign.length > 0 ? blocked(first, nameTaken(foreign)) : first;
  const image = observation.pool.spec.pooler?.image ?? observation.pool.status?.image ?? observation.defaultImage;
  const chosen = chooseBasis(observation, wish, record, image);
  if (!('basis' in chosen)) return waitingPlan(observation, chosen.wish, image);
  return fleetPlan(observation, chosen, record, image);
}

function fleetPlan(observation: Observation, chosen: Chosen, record: ProvedRecord | undefined, image: string): Plan {
  const { states, basis, target, desired, fleet } = chosen;
  const drain = drainTimes(observation.pool);
  const choice = chooseModels(observation, states, target, record);
  const floors = moreOf(record?.floors ?? {}, fleet.floors);
  const grants = planGrants({
    observation,
    states,
    basis,
    declaredBudget: chosen.wish.budget?.budget,
    bootFloors: record?.floors ?? {},
    floors,
    targets: ofItsModel(chosen, choice),
    mayGrow: marksStand(observation, states),
  });
  const pause = pauseWish(observation);
  const outage = planOutage(observation, states, pause);
  const strays = planStrays(observation, states);
  const revocation = planRevocations(observation, states, desired, record, drain.windowMs);
  const paused = isHeld(states, pause) || outage.holds;
  const boot = nextRecord(chosen, record, choice, grants);
  const { template } = chosen;
  const stored = storedFiles(observation);
  const actions: Action[] = [
    // First, because every millisecond of it is a failed query.
    ...outage.actions,
    ...missingCredentials(observation),
    ...(desired === undefined ? [] : planFiles(observation, desired.files, record)),
    ...(boot === undefined ? [] : planBoot(observation, boot.record, boot.why)),
    ...planStaticChildren(observation),
    ...planReplacements(observation, states),
    // A pod that is new can't be proved while it is paused, and clients that wait would be closed with one that goes.
    ...(paused
      ? []
      : planReplicaSets({
          observation,
          pool: observation.pool,
          states,
          template,
          replicas: basis.replicas,
          ...roomForPods(grants, chosen, floors, observation.replicaSets.length === 0),
          drain,
        })),
    ...planPodConfigs({
      pause,
      observation,
      states,
      choice,
      next: grants.next,
      mayLoad: grants.mayLoad,
      bootFloors: record?.floors ?? {},
      bootHash: storedBootHash(observation),
      storedFiles: stored.names,
      filesWrittenAtMs: stored.writtenAtMs,
    }),
    ...planDrainEnds(paused ? states.filter(({ phase }) => phase === 'Terminating') : states, observation.nowMs, drain),
    ...strays.actions,
    ...revocation.actions,
    ...planPause(observation, states, pause, choice),
    ...planRebalance(states, paused || isRolling(observation, template) ? 'end' : chosen.follow),
  ];
  const findings = [...chosen.wish.findings, ...proofFindings(observation, states)];
  const waits = waitsMs(observation, chosen, grants, drain);
  const patienceMs = pauseWaitsMs(states, pause);
  const pending = soonest(waits, patienceMs, outage.waitMs, strays.waitMs, revocation.waitMs);
  const status = summarize({
    observation,
    wish: chosen.wish,
    findings,
    fleet,
    states,
    refusal: choice.refusal,
    targetHash: choice.refusal === undefined ? target.modelHash : (record?.modelHash ?? target.modelHash),
    template: template.hash,
    rolls: whatChanges(observation.replicaSets, template),
    replicas: basis.replicas,
    image,
    pause: pauseStatus(observation, states, pause),
    outage: outage.status,
    revoking: revocation.status,
    certificates: certificatesInUse(observation, record),
    serverHash: provedServerHash(observation, chosen),
    held: grants.held,
    overcommitted: grants.ledger.overcommitted,
    busy: actions.length > 0 || waits !== undefined || (patienceMs !== undefined && !isPausedFleet(states)),
  });
  // What has not arrived yet is looked at again even when nothing here knows what it waits for.
  const arrived =
    status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true;
  return finish(
    observation,
    patchEachPodOnce(actions),
    status,
    nextLook(actions, pending ?? (arrived ? undefined : NOT_ARRIVED_MS)),
    revocation.revoked,
  );
}

function soonest(...waits: readonly (number | undefined)[]): number | undefined {
  const known = waits.filter((wait) => wait !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

/** Room for a database goes to pods that are to run it now: first to the one that tries it, which else would wait for what others can't use yet. */
function ofItsModel({ states, targets }: Chosen, choice: Choice): ReadonlyMap<string, Sizes> {
  return new Map(
    states.map((state) => {
      const runs = new Set(choice.modelFor(state).model.databases.map(({ name }) => name));
      const has = (name: string): boolean => runs.has(name) || sizeOf(state.pod.grant?.sizes, name) !== undefined;
      const sizes = targets.perPod.get(state.pod.uid) ?? {};
      return [state.pod.uid, Object.fromEntries(Object.entries(sizes).filter(([name]) => has(name)))];
    }),
  );
}

/**
 * Pods that can be created now. Their floors must be free beside what is set aside, in which those are that ReplicaSets already owe: so a look that
 * comes before the pods of the last one does not spend the same room again.
 */
function roomForPods(
  { ledger, asked }: GrantStep,
  { basis, targets }: Chosen,
  floors: Sizes,
  isNew: boolean,
): { roomForPods: number; roomForSurge: boolean } {
  const perPod = Math.max(1, sumOf(floors));
  const inOrder = ledger.committed + ledger.setAside <= asked.budget;
  // What this very plan lets grow is spent.
  const grown = ledger.changes.reduce((sum, { kind, from, to }) => (kind === 'grow' ? sum + to - from : sum), 0);
  return {
    // For a fleet that has no ReplicaSet yet the wanted pods are in what is set aside.
    roomForPods: isNew ? (inOrder ? basis.replicas : 0) : Math.floor(ledger.free / perPod),
    roomForSurge: targets.surgeKeptFree
      ? ledger.free - grown >= perPod
      : inOrder && asked.budget - ledger.committed - grown >= perPod,
  };
}

/** What the logins through the pods met, as findings that block nothing: the pods serve what they can. */
function proofFindings(observation: Observation, states: readonly PodState[]): readonly Finding[] {
  for (const { reading } of states) {
    if (reading?.ok !== true || !isServerFault(reading.serverProof)) continue;
    const fault = reading.serverProof;
    return [
      {
        condition: 'ServerReachable',
        reason: FAULT_REASON[fault],
        message: faultMessage(observation, fault, 'login through the pool'),
        blocking: false,
      },
    ];
  }
  return [];
}

/** Kept until a login proved another one. */
function provedServerHash(observation: Observation, { desired, states, target }: Chosen): string | undefined {
  const former = observation.pool.status?.serverHash;
  const staying = states.filter((state) => state.phase === 'Serving');
  const proved =
    desired !== undefined && staying.length > 0 && staying.every((state) => state.provedModel === target.modelHash);
  return proved ? serverHash(observation) : former;
}

/** Two patches of one pod in one plan would make the second a sure conflict: only the first is kept, the rest comes with the next plan. */
function patchEachPodOnce(actions: readonly Action[]): readonly Action[] {
  const patched = new Set<string>();
  return actions.filter((action) => {
    if (action.kind !== 'patchPod') return true;
    if (patched.has(action.name)) return false;
    patched.add(action.name);
    return true;
  });
}

function missingCredentials({ credentials }: Observation): readonly Action[] {
  return credentials === undefined ? [{ kind: 'createCredentials', why: 'the fleet has no admin password' }] : [];
}

/** A plan without a fleet: credentials are made, everything else waits for a specification that can be had. */
function waitingPlan(observation: Observation, wish: Wish, image: string): Plan {
  const actions = missingCredentials(observation);
  const states = podStates(observation, new Map());
  const status = summarize({
    observation,
    wish,
    findings: wish.findings,
    fleet: undefined,
    states,
    refusal: undefined,
    targetHash: undefined,
    template: undefined,
    rolls: '',
    replicas: wantedReplicas(observation.pool),
    image,
    pause: pauseStatus(observation, states, pauseWish(observation)),
    // Pods that it names may still be paused, and are resumed once there is a fleet again.
    outage: observation.pool.status?.outage,
    revoking: observation.pool.status?.revoking,
    certificates: [],
    serverHash: undefined,
    held: 0,
    overcommitted: 0,
    busy: actions.length > 0,
  });
  return finish(observation, actions, status, actions.length > 0 ? 20 : 5_000);
}

function finish(
  observation: Observation,
  actions: readonly Action[],
  status: PoolConfigStatus,
  requeueAfterMs: number | undefined,
  revoked: readonly string[] = [],
): Plan {
  return { actions, status, events: tellEvents(observation.pool.status, status, actions, revoked), requeueAfterMs };
}

function nameTaken(children: readonly string[]): Finding {
  return {
    condition: 'ConfigApplied',
    reason: 'ConflictingName',
    message: `${children.join(', ')} exists and does not belong to this PoolConfig. Rename or remove it, or give the PoolConfig another name.`,
    blocking: true,
  };
}
