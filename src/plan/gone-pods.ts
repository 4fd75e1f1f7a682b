// Pods that status still names and that exist no more: what may be left of them, and until when it is reckoned with.
import type { PodStatus } from '../api/poolconfig.gen.ts';
import { parseIso } from '../model/iso-time.ts';
import type { Observation } from '../model/observation.ts';
import { backendsFrom, seenBackends } from './backends.ts';
import type { GonePod } from './ledger.ts';

/**
 * A pod's share stays out of use for this long where nobody can say that its process has ended: without a monitor role, or when the pod was gone
 * without having been seen Terminating (a lost node, a forced deletion, an operator that was away).
 */
export const QUARANTINE_MS = 15_000;

/** Connections that are still reckoned with for each pod that is gone. */
export function gonePods(observation: Observation): readonly GonePod[] {
  const present = new Set(observation.pods.map((pod) => pod.uid));
  return (observation.pool.status?.pods ?? [])
    .filter((entry) => !present.has(entry.uid ?? '') && mayStillHold(observation, entry))
    .map((entry) => ({
      pod: entry.uid ?? entry.name,
      quarantine: Math.max(leftBehind(observation, entry) ?? 0, entry.mayHold ?? sizeOf(entry)),
    }));
}

/**
 * True while its process may live. One that holds a single connection may come to hold all that it was granted; one that holds none may only be
 * between two of them, unless the kubelet has ended it: it takes a pod away when it has seen its containers end.
 */
export function mayStillHold(observation: Observation, entry: PodStatus): boolean {
  const left = leftBehind(observation, entry);
  if (left !== undefined && left > 0) return true;
  if (entry.state === 'Terminating' && left === 0) return false;
  if (entry.state !== 'Gone') return true;
  return observation.nowMs - parseIso(entry.since) < QUARANTINE_MS;
}

/** PostgreSQL's count of what a pod has left behind; undefined where it can't be told. An address that a new pod has says nothing of the old one. */
export function leftBehind(observation: Observation, { ip }: Pick<PodStatus, 'ip'>): number | undefined {
  const backends = seenBackends(observation);
  if (backends === undefined) return undefined;
  return observation.pods.some((pod) => pod.ip === ip) ? 0 : backendsFrom(backends, ip);
}

function sizeOf(entry: PodStatus): number {
  return (entry.sizes ?? []).reduce((sum, cell) => sum + cell.size, 0);
}
