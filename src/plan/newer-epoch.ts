// Whether a later leader is at work already, as the pods themselves tell it.
import type { Observation } from '../model/observation.ts';

/**
 * The epoch of a later leader that has written a pod already. Whoever sees it leads no more, though its own clock may not have told it yet
 * (a suspended machine's stands still): the resourceVersions that it reads from here on would be accepted, so it must not write at all.
 */
export function newerEpoch({ pods, epoch }: Observation): number | undefined {
  const newest = Math.max(0, ...pods.map((pod) => pod.grant?.epoch ?? 0));
  return newest > epoch ? newest : undefined;
}
