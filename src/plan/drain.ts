// When a pod that is to go has been left by its clients, and when what is left of them is closed between two transactions.
import type { drainTimes } from '../api/poolconfig.ts';
import type { PodFacts } from '../model/observation.ts';
import type { Action } from '../model/plan.ts';
import type { PodState } from './pod-state.ts';

/** `windowMs`: how long clients are left to leave by themselves; `timeoutMs`: when the pod must be gone. */
export type DrainTimes = ReturnType<typeof drainTimes>;

/** kube-proxy syncs at most once a second: until then new connections may still come. */
const ENDPOINT_LAG_MS = 1_000;
/** Each try to end between transactions waits this long for the running ones. */
const END_TRY_MS = 3_000;

/** True when nothing is lost by deleting the pod now: no client, its share given up; or its time is over. */
export function isDrained(state: PodState, nowMs: number, times: DrainTimes): boolean {
  const { drain, grant, ready } = state.pod;
  if (state.phase !== 'Draining' || drain === undefined) return false;
  const ageMs = nowMs - drain.sinceMs;
  if (ageMs >= times.timeoutMs) return true;
  if (state.reading?.ok !== true) return !ready;
  const shareGiven =
    grant === undefined || (grant.unsettled === undefined && Object.values(grant.sizes).every((size) => size === 1));
  return state.clients === 0 && shareGiven && ageMs >= ENDPOINT_LAG_MS;
}

/** Ends the drains whose window is over; a pod that Kubernetes is deleting is ended before its preStop sleep is. */
export function planDrainEnds(states: readonly PodState[], nowMs: number, times: DrainTimes): readonly Action[] {
  return states.flatMap((state): readonly Action[] => {
    const { pod, reading } = state;
    if (reading?.ok !== true || reading.view.clients === 0) return [];
    const dueMs = drainEndsAtMs(state, times);
    if (dueMs === undefined || nowMs < dueMs) return [];
    return [
      {
        kind: 'endDrain',
        pod: pod.name,
        uid: pod.uid,
        databases: reading.view.databases.filter((row) => row.name !== 'pgbouncer').map((row) => row.name),
        deadlineMs: END_TRY_MS,
        why: `the drain window of ${pod.name} is over: its ${reading.view.clients} clients are closed between transactions`,
      },
    ];
  });
}

/**
 * When the console of a pod that is being deleted is left alone for good: before SIGTERM, after which an open console counts as a client and
 * keeps the process alive until SIGKILL.
 */
export function consoleClosesAtMs(pod: Pick<PodFacts, 'terminatingSinceMs'>, times: DrainTimes): number | undefined {
  return pod.terminatingSinceMs === undefined ? undefined : pod.terminatingSinceMs + times.windowMs + END_TRY_MS;
}

export function drainEndsAtMs({ phase, pod }: PodState, times: DrainTimes): number | undefined {
  if (phase === 'Draining' && pod.drain !== undefined) return pod.drain.sinceMs + times.windowMs;
  if (phase !== 'Terminating' || pod.terminatingSinceMs === undefined || pod.finished) return undefined;
  return pod.terminatingSinceMs + times.windowMs;
}
