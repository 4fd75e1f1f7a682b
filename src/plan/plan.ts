// Planning: from one Observation to the actions, the status and the events. Every decision of the operator is made here or below.
import type { PoolConfigStatus } from '../api/poolconfig.gen.ts';
import { drainTimes, wantedReplicas } from '../api/poolconfig.ts';
import { REASONS } from '../api/reasons.ts';
import { contentHash } from '../model/canonical.ts';
import type { Finding } from '../model/finding.ts';
import type { Observation } from '../model/observation.ts';
import type { Action, Plan } from '../model/plan.ts';
import type { Sizes } from '../model/pooler-model.ts';
import { renderPodTemplate, type PodTemplate } from '../render/pod-template.ts';
import type { FleetSizes } from '../sizing/size-fleet.ts';
import { sumOf } from '../sizing/sizes.ts';
import { chooseModels, isServerFault, type Choice, type NamedModel } from './canary.ts';
import {
  foreignChildren,
  planBoot,
  planFiles,
  planReplacements,
  planStaticChildren,
  storedBootHash,
  storedFiles,
} from './children.ts';
import { desire, type Desired, type SizingBasis, type Wish } from './desired.ts';
import { drainEndsAtMs, planDrainEnds, type DrainTimes } from './drain.ts';
import { tellEvents } from './events.ts';
import { CHANGE_INTERVAL_MS, planGrants, type GrantStep } from './grants.ts';
import { mayRaiseFloors } from './ledger.ts';
import { planPodConfigs, SECRET_LEAD_MS } from './pod-config.ts';
import { podStates, type PodState } from './pod-state.ts';
import { FAULT_REASON, faultMessage } from './policies/server-answers.ts';
import { readProvedRecord, type ProvedRecord } from './proved-record.ts';
import { planReplicaSets } from './replica-sets.ts';
import { serverHash } from './server-hash.ts';
import { summarize } from './summary.ts';
import { sizePods, type Targets } from './targets.ts';

/** Plans one PoolConfig. Pure: the same observation gives the same plan, and with nothing to change there is no action. */
export function planPool(observation: Observation): Plan {
  const record = readProvedRecord(observation);
  const foreign = foreignChildren(observation);
  const first = desire(observation, record?.proved === true);
  const wish = foreign.length > 0 ? blocked(first, nameTaken(foreign)) : first;
  const image = observation.pool.spec.pooler?.image ?? observation.pool.status?.image ?? observation.defaultImage;
  const chosen = chooseBasis(observation, wish, record, image);
  if (!('basis' in chosen)) return waitingPlan(observation, chosen.wish, image);
  return fleetPlan(observation, chosen, record, image);
}

type Chosen = {
  readonly wish: Wish;
  readonly desired: Desired | undefined;
  readonly target: { readonly model: ProvedRecord['model']; readonly modelHash: string };
  readonly basis: SizingBasis;
  readonly fleet: FleetSizes & { feasible: true };
  readonly states: readonly PodState[];
  readonly targets: Targets;
  readonly template: PodTemplate;
};

/** What is declared, if it can be had; else what was last proved; else only the wish, with what stands in its way. */
function chooseBasis(
  observation: Observation,
  wish: Wish,
  record: ProvedRecord | undefined,
  image: string,
): Chosen | Pick<Chosen, 'wish'> {
  const models = new Map(
    [wish.desired, record].flatMap((known) => (known === undefined ? [] : [[known.modelHash, known.model] as const])),
  );
  const states = podStates(observation, models);
  const choose = (from: Wish, target: NamedModel & { readonly basis: SizingBasis }): Chosen | string => {
    const template = templateFor(observation, from.desired, image);
    const rolling = observation.replicaSets.some((set) => set.template !== template.hash && set.replicas > 0);
    const targets = sizePods(target.basis, states, rolling);
    const { fleet } = targets;
    if (!fleet.feasible) return `spec.budget: ${fleet.message}. ${REASONS.BudgetTooSmall.remedy}`;
    return { wish: from, desired: from.desired, target, basis: target.basis, fleet, states, targets, template };
  };
  const declared = wish.desired === undefined ? undefined : choose(wish, wish.desired);
  if (typeof declared === 'object') return declared;
  const standing =
    declared === undefined
      ? wish
      : blocked(wish, { condition: 'BudgetSatisfied', reason: 'BudgetTooSmall', message: declared, blocking: true });
  const last = record === undefined ? undefined : choose(standing, record);
  return typeof last === 'object' ? last : { wish: standing };
}

function fleetPlan(observation: Observation, chosen: Chosen, record: ProvedRecord | undefined, image: string): Plan {
  const { states, basis, target, desired, fleet } = chosen;
  const drain = drainTimes(observation.pool);
  const choice = chooseModels(observation, states, target, record);
  const floors = largerFloors(record?.floors ?? {}, fleet.floors);
  const grants = planGrants({
    observation,
    states,
    basis,
    bootFloors: record?.floors ?? {},
    floors,
    targets: chosen.targets.perPod,
    mayGrow: states.every(
      ({ pod, phase }) => phase === 'Terminating' || pod.grant === undefined || pod.grant.epoch === observation.epoch,
    ),
  });
  const boot = nextRecord(chosen, record, choice, grants);
  const { template } = chosen;
  const stored = storedFiles(observation);
  const actions: Action[] = [
    ...missingCredentials(observation),
    ...(desired === undefined ? [] : planFiles(observation, desired.files, record)),
    ...(boot === undefined ? [] : planBoot(observation, boot.record, boot.why)),
    ...planStaticChildren(observation),
    ...planReplacements(observation, states),
    ...planReplicaSets({
      observation,
      pool: observation.pool,
      states,
      template,
      replicas: basis.replicas,
      ...roomForPods(grants, chosen, floors),
      drain,
    }),
    ...planPodConfigs({
      observation,
      states,
      choice,
      next: grants.next,
      mayLoad: grants.mayLoad,
      bootHash: storedBootHash(observation),
      storedFiles: stored.names,
      filesWrittenAtMs: stored.writtenAtMs,
    }),
    ...planDrainEnds(states, observation.nowMs, drain),
  ];
  const findings = [...chosen.wish.findings, ...proofFindings(observation, states)];
  const pending = waitsMs(observation, chosen, grants, drain);
  const status = summarize({
    observation,
    wish: chosen.wish,
    findings,
    fleet,
    states,
    refusal: choice.refusal,
    targetHash: choice.refusal === undefined ? target.modelHash : (record?.modelHash ?? target.modelHash),
    template: template.hash,
    replicas: basis.replicas,
    image,
    serverHash: provedServerHash(observation, chosen),
    overcommitted: grants.ledger.overcommitted,
    busy: actions.length > 0 || pending !== undefined,
  });
  // What has not arrived yet is looked at again even when nothing here knows what it waits for.
  const arrived =
    status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true;
  return finish(
    observation,
    patchEachPodOnce(actions),
    status,
    nextLook(actions, pending ?? (arrived ? undefined : NOT_ARRIVED_MS)),
  );
}

const NOT_ARRIVED_MS = 5_000;

/** boot.ini follows when every staying pod is proved; before the first proof it follows the specification at once. */
function nextRecord(
  { desired, states, fleet, basis, target }: Chosen,
  record: ProvedRecord | undefined,
  choice: Choice,
  grants: GrantStep,
): { record: ProvedRecord; why: string } | undefined {
  if (desired === undefined)
    return record === undefined ? undefined : { record, why: 'boot.ini is not as it was proved' };
  const next = { model: target.model, modelHash: target.modelHash, basis, floors: fleet.floors };
  if (record === undefined) return { record: { ...next, proved: false }, why: 'boot.ini for the first pods' };
  const staying = states.filter((state) => state.phase === 'Serving');
  const allProved =
    staying.length >= Math.min(1, basis.replicas) &&
    states.every(
      (state) => state.phase === 'Terminating' || state.phase === 'Draining' || state.provedModel === target.modelHash,
    );
  const affordable = mayRaiseFloors(grants.asked, fleet.floors);
  if (allProved && affordable && choice.refusal === undefined) {
    return {
      record: { ...next, proved: true },
      why: 'every pod is proved to run this configuration: it becomes what new pods boot with',
    };
  }
  if (!record.proved && record.modelHash !== target.modelHash && affordable) {
    return { record: { ...next, proved: false }, why: 'nothing was proved yet: boot.ini follows the specification' };
  }
  return { record, why: 'boot.ini is not as it was proved' };
}

/** While the declared state is blocked no rollout begins: the template in use stays the wanted one. */
function templateFor(observation: Observation, desired: Desired | undefined, image: string): PodTemplate {
  const rendered = renderPodTemplate(observation.pool, image);
  if (desired !== undefined) return rendered;
  const [largest] = [...observation.replicaSets].sort((a, b) => b.replicas - a.replicas);
  return largest === undefined ? rendered : { ...rendered, hash: largest.template };
}

/** Pods that can be created now: those that are owed while the ledger is in order, else what is free above what is committed. */
function roomForPods(
  { ledger, asked }: GrantStep,
  { basis, states, targets }: Chosen,
  floors: Sizes,
): { roomForPods: number; roomForSurge: boolean } {
  const perPod = Math.max(1, sumOf(floors));
  const inOrder = ledger.committed + ledger.setAside <= asked.budget;
  return {
    roomForPods: inOrder
      ? Math.max(0, 2 * basis.replicas - states.length)
      : Math.max(0, Math.floor((asked.budget - ledger.committed) / perPod)),
    roomForSurge: targets.surgeKeptFree ? ledger.free >= perPod : inOrder,
  };
}

function largerFloors(a: Sizes, b: Sizes): Sizes {
  return Object.fromEntries(
    [...new Set([...Object.keys(a), ...Object.keys(b)])].map((name) => [name, Math.max(a[name] ?? 0, b[name] ?? 0)]),
  );
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

/** How long until something that is under way is worth another look; undefined at rest. */
function waitsMs(
  observation: Observation,
  { states, basis, targets }: Chosen,
  grants: GrantStep,
  drain: DrainTimes,
): number | undefined {
  const waits: number[] = [];
  for (const state of states) {
    if (state.phase === 'Draining') waits.push(500);
    if (state.pod.grant?.unsettled !== undefined) waits.push(150);
    if (state.phase === 'Terminating') {
      const dueMs = drainEndsAtMs(state, drain);
      const waiting = dueMs !== undefined && state.clients !== undefined && state.clients > 0;
      waits.push(waiting ? Math.min(2_000, Math.max(200, dueMs - observation.nowMs)) : 2_000);
      continue;
    }
    const { unproved, pod } = state;
    if (pod.grant !== undefined && isSizedOtherwise(pod.grant.sizes, targets.perPod.get(pod.uid))) {
      const restMs = pod.grant.atMs + CHANGE_INTERVAL_MS - observation.nowMs;
      // Later than that it waits for others to give room, which nothing here can hasten.
      waits.push(restMs > 0 ? Math.max(80, restMs) : 1_000);
    }
    if (unproved === undefined) continue;
    if (unproved.kind === 'unreachable' || unproved.kind === 'noGrant') waits.push(pod.container.running ? 150 : 1_000);
    else waits.push(unproved.kind === 'server' ? 1_000 : 80);
  }
  if (states.length !== basis.replicas) waits.push(1_000);
  if (grants.ledger.changes.length > 0) waits.push(300);
  const leadMs = storedFiles(observation).writtenAtMs + SECRET_LEAD_MS - observation.nowMs;
  if (leadMs > 0) waits.push(leadMs);
  const present = new Set(observation.pods.map((pod) => pod.uid));
  if ((observation.pool.status?.pods ?? []).some((entry) => !present.has(entry.uid ?? ''))) waits.push(1_000);
  return waits.length === 0 ? undefined : Math.min(...waits);
}

/** Also a pod that was told something a moment ago, and may be told the next size only when that has been projected. */
function isSizedOtherwise(sizes: Sizes, target: Sizes | undefined): boolean {
  return Object.entries(target ?? {}).some(([database, size]) => sizes[database] !== Math.max(1, size));
}

function nextLook(actions: readonly Action[], pendingMs: number | undefined): number | undefined {
  if (actions.length === 0) return pendingMs;
  const loads = actions.every((action) => action.kind === 'loadLive');
  return Math.min(pendingMs ?? 1_000, loads ? 80 : 60);
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
  const status = summarize({
    observation,
    wish,
    findings: wish.findings,
    fleet: undefined,
    states: podStates(observation, new Map()),
    refusal: undefined,
    targetHash: undefined,
    template: undefined,
    replicas: wantedReplicas(observation.pool),
    image,
    serverHash: undefined,
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
): Plan {
  return { actions, status, events: tellEvents(observation.pool.status, status, actions), requeueAfterMs };
}

function blocked(wish: Wish, finding: Finding): Wish {
  return { ...wish, desired: undefined, findings: [finding, ...wish.findings] };
}

function nameTaken(children: readonly string[]): Finding {
  return {
    condition: 'ConfigApplied',
    reason: 'ConflictingName',
    message: `${children.join(', ')} exists and does not belong to this PoolConfig. Rename or remove it, or give the PoolConfig another name.`,
    blocking: true,
  };
}

/** A short name of a plan's actions, for logs and tests. */
export function planHash(plan: Plan): string {
  return contentHash(plan.actions.map(({ kind, why }) => `${kind} ${why}`));
}
