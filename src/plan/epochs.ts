// Who leads, as the fleet's own objects tell it: whether a later leader is at work already, and whether this one's mark stands everywhere.
import type { Observation } from '../model/observation.ts';
import { bootEpoch } from './children.ts';
import type { PodState } from './pod-state.ts';

/**
 * The epoch of a later leader that has written a pod or boot.ini already. Whoever sees it leads no more, though its own clock may not have told it yet
 * (a suspended machine's stands still): the resourceVersions that it reads from here on would be accepted, so it must not write at all.
 */
export function newerEpoch(observation: Observation): number | undefined {
  const { pods, epoch } = observation;
  const newest = Math.max(bootEpoch(observation) ?? 0, ...pods.map((pod) => pod.grant?.epoch ?? 0));
  return newest > epoch ? newest : undefined;
}

/**
 * Whether this leader's epoch stands on all that a leader before it could still write: on every pod that it could let grow, and on boot.ini,
 * with whose sizes the next pod starts. Until then nothing grows, as the room may be spent by a write that is on its way.
 */
export function marksStand(observation: Observation, states: readonly PodState[]): boolean {
  const { epoch } = observation;
  return (
    bootEpoch(observation) === epoch &&
    states.every(({ pod, phase }) => phase === 'Terminating' || pod.grant === undefined || pod.grant.epoch === epoch)
  );
}
