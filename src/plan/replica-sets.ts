// Moves pods between ReplicaSets: builds the fleet, scales it, and rolls it one pod at a time.
import type { PoolConfig } from '../api/poolconfig.gen.ts';
import { ANNOTATION, LABEL } from '../model/names.ts';
import type { Observation, ReplicaSetFacts } from '../model/observation.ts';
import type { Action } from '../model/plan.ts';
import type { DrainMark } from '../model/grant.ts';
import { renderReplicaSet } from '../render/children.ts';
import type { PodTemplate } from '../render/pod-template.ts';
import { whatChanges } from './template-changes.ts';
import { isDrained, type DrainTimes } from './drain.ts';
import type { PodState } from './pod-state.ts';
import { readProvedRecord } from './proved-record.ts';

export type ReplicaSetInput = {
  readonly observation: Observation;
  readonly pool: PoolConfig;
  readonly states: readonly PodState[];
  readonly template: PodTemplate;
  readonly replicas: number;
  /** Pods that may be created now without their floors breaking the budget. */
  readonly roomForPods: number;
  /** The same for the one pod that a rollout adds. */
  readonly roomForSurge: boolean;
  readonly drain: DrainTimes;
};

/** One step of whatever is under way; planning again after it gives the next. Without the operator everything stays where it is. */
export function planReplicaSets(input: ReplicaSetInput): readonly Action[] {
  const sets = input.observation.replicaSets.filter((set) => !set.terminating);
  const current = sets.find((set) => set.template === input.template.hash);
  const former = sets.filter((set) => set.template !== input.template.hash);
  const removals = removeDrained(input, sets);
  if (removals.length > 0) return removals;
  const emptied = former.filter((set) => set.replicas === 0 && set.observedReplicas === 0);
  return [
    ...emptied.map((set): Action => ({
      kind: 'deleteReplicaSet',
      name: set.name,
      uid: set.uid,
      resourceVersion: set.resourceVersion,
      why: `ReplicaSet ${set.name} has no pods left and its template is no longer wanted`,
    })),
    ...(former.some((set) => set.replicas > 0) ? roll(input, current, former) : scale(input, current)),
  ];
}

/** Without former pods: bring the one ReplicaSet to the wanted number. */
function scale(input: ReplicaSetInput, current: ReplicaSetFacts | undefined): readonly Action[] {
  const { replicas, template, pool } = input;
  if (current === undefined) {
    if (input.roomForPods < replicas) return [];
    return [
      {
        kind: 'applyChild',
        object: renderReplicaSet(pool, template, replicas),
        why: `the fleet wants ${replicas} pods and has none`,
      },
    ];
  }
  if (current.replicas < replicas) {
    const to = Math.min(replicas, current.replicas + input.roomForPods);
    if (to <= current.replicas) return [];
    return [scaleTo(current, to, `scale out: the fleet wants ${replicas} pods`)];
  }
  const surplus = current.replicas - replicas - input.states.filter((state) => state.phase === 'Draining').length;
  return surplus > 0
    ? victims(input, current.template, surplus).map((state) => markDrained(input, state, 'ScaleIn'))
    : [];
}

/** With former pods: one new pod up and proved, then one former pod out, until none is left. */
function roll(
  input: ReplicaSetInput,
  current: ReplicaSetFacts | undefined,
  former: readonly ReplicaSetFacts[],
): readonly Action[] {
  const { states, template, replicas, pool } = input;
  const broken = states.find(
    (state) => state.pod.template !== template.hash && state.phase === 'Starting' && !state.pod.ready,
  );
  if (broken !== undefined && neverServed(input)) return [markDrained(input, broken, 'Rollout')];
  const formerReplicas = former.reduce((sum, set) => sum + set.replicas, 0);
  const draining = states.some((state) => state.phase === 'Draining');
  if (current === undefined) {
    // A rollout that another one overtakes has left a pod too many, and in a tight budget its floor is the room that the next one needs.
    if (!input.roomForSurge) return formerReplicas > replicas && !draining ? drainOneFormer(input) : [];
    return [
      {
        kind: 'applyChild',
        object: renderReplicaSet(pool, template, 1),
        why: `rollout to template ${template.hash}, one pod at a time, each drained before it goes${whatChanges(former, template)}`,
      },
    ];
  }
  const proved = states.filter(
    (state) => state.pod.template === template.hash && state.phase === 'Serving' && state.provedModel !== undefined,
  );
  if (broken !== undefined && proved.length > 0) return [markDrained(input, broken, 'Rollout')];
  if (proved.length < current.replicas || draining) return [];
  if (current.replicas + formerReplicas > replicas) return drainOneFormer(input);
  // Pods of earlier steps may still be going; beyond twice the wanted number their floors are not set aside.
  if (states.length >= 2 * replicas || !input.roomForSurge) return [];
  return [scaleTo(current, current.replicas + 1, `rollout to template ${template.hash}: next pod`)];
}

function drainOneFormer(input: ReplicaSetInput): readonly Action[] {
  return victims(input, undefined, 1).map((victim) => markDrained(input, victim, 'Rollout'));
}

/** A new fleet has nothing to keep up, and pods that never start would keep the room of those that are to replace them. */
function neverServed({ observation, states }: ReplicaSetInput): boolean {
  return readProvedRecord(observation)?.proved !== true && states.every((state) => state.phase !== 'Serving');
}

/** Pods to let go first: those that serve nobody, then those with the fewest clients. `template` undefined: any former one. */
function victims(input: ReplicaSetInput, template: string | undefined, count: number): readonly PodState[] {
  return input.states
    .filter((state) => state.phase === 'Serving' || state.phase === 'Starting')
    .filter((state) =>
      template === undefined ? state.pod.template !== input.template.hash : state.pod.template === template,
    )
    .sort((a, b) => rank(a) - rank(b) || (a.clients ?? 0) - (b.clients ?? 0) || b.pod.createdAtMs - a.pod.createdAtMs)
    .slice(0, count);
}

function rank(state: PodState): number {
  return state.phase === 'Starting' ? 0 : state.provedModel === undefined ? 1 : 2;
}

function markDrained(input: ReplicaSetInput, { pod }: PodState, why: DrainMark['why']): Action {
  const mark: DrainMark = { sinceMs: input.observation.nowMs, why };
  return {
    kind: 'patchPod',
    name: pod.name,
    resourceVersion: pod.resourceVersion,
    labels: { [LABEL.serving]: undefined },
    annotations: { [ANNOTATION.drain]: JSON.stringify(mark), [ANNOTATION.deletionCost]: '-1000' },
    why: `${why === 'ScaleIn' ? 'scale in' : 'rollout'}: ${pod.name} takes no new clients and is drained`,
  };
}

/** The ReplicaSet controller deletes the pod of the lowest deletion cost, which is the drained one. */
function removeDrained(input: ReplicaSetInput, sets: readonly ReplicaSetFacts[]): readonly Action[] {
  const drained = input.states.filter((state) => isDrained(state, input.observation.nowMs, input.drain));
  return sets.flatMap((set): readonly Action[] => {
    const going = drained.filter(
      (state) => state.pod.template === set.template && state.pod.deletionCost !== undefined,
    );
    const count = Math.min(going.length, set.replicas);
    // More pods than replicas: an earlier removal is still on its way, and counting again would take one too many.
    if (count === 0 || livePods(input, set) > set.replicas) return [];
    return [scaleTo(set, set.replicas - count, `${going.map((state) => state.pod.name).join(', ')} drained`)];
  });
}

function livePods(input: ReplicaSetInput, set: ReplicaSetFacts): number {
  return input.states.filter((state) => state.pod.template === set.template && state.phase !== 'Terminating').length;
}

function scaleTo(set: ReplicaSetFacts, to: number, why: string): Action {
  return { kind: 'scaleReplicaSet', name: set.name, resourceVersion: set.resourceVersion, from: set.replicas, to, why };
}
