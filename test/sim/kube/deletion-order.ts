// Which of its pods a ReplicaSet deletes first when it has too many. After Kubernetes 1.34, ActivePodsWithRanks in controller_utils.go.
import { parseIso } from '../../../src/model/iso-time.ts';
import { ANNOTATION } from '../../../src/model/names.ts';
import { isReady, type SimPod } from './pods.ts';

const PHASES: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

/** Sorted: the first one goes first. */
export function deletionOrder(pods: readonly SimPod[], nowMs: number): readonly SimPod[] {
  const podsOnNode = new Map<string, number>();
  for (const { spec } of pods) {
    const node = spec?.nodeName ?? '';
    podsOnNode.set(node, (podsOnNode.get(node) ?? 0) + 1);
  }
  const rank = ({ spec }: SimPod): number => podsOnNode.get(spec?.nodeName ?? '') ?? 0;
  return [...pods].sort(
    (a, b) =>
      Number(isAssigned(a)) - Number(isAssigned(b)) ||
      phase(a) - phase(b) ||
      Number(isReady(a)) - Number(isReady(b)) ||
      deletionCost(a) - deletionCost(b) ||
      rank(b) - rank(a) ||
      (isReady(a) && isReady(b) ? youngerFirst(readySinceMs(a), readySinceMs(b), nowMs, a, b) : 0) ||
      restarts(b) - restarts(a) ||
      youngerFirst(parseIso(a.metadata.creationTimestamp), parseIso(b.metadata.creationTimestamp), nowMs, a, b),
  );
}

function isAssigned({ spec }: SimPod): boolean {
  return (spec?.nodeName ?? '') !== '';
}

function phase({ status }: SimPod): number {
  return PHASES[status?.phase ?? 'Pending'] ?? 1;
}

/** A cost that is no integer counts as none. */
function deletionCost({ metadata }: SimPod): number {
  const text = metadata.annotations?.[ANNOTATION.deletionCost] ?? '0';
  return /^-?(0|[1-9]\d*)$/.test(text) ? Number(text) : 0;
}

function readySinceMs({ status }: SimPod): number {
  const transition = status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
  return parseIso(transition);
}

function restarts({ status }: SimPod): number {
  return Math.max(0, ...(status?.containerStatuses ?? []).map(({ restartCount }) => restartCount));
}

/** Ages count by their magnitude only, so that of pods of about the same age any may go: then by UID. */
function youngerFirst(a: number, b: number, nowMs: number, podA: SimPod, podB: SimPod): number {
  if (a === b) return 0;
  return magnitude(nowMs - a) - magnitude(nowMs - b) || (podA.metadata.uid < podB.metadata.uid ? -1 : 1);
}

function magnitude(ageMs: number): number {
  return ageMs > 0 ? Math.floor(Math.log2(ageMs * 1e6)) : -1;
}
