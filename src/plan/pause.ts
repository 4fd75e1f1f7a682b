// A fleet that is paused until a time: what spec.pause asks for, how each pod gets there and back, and what status says of it.
import type { PauseStatus } from '../api/poolconfig.gen.ts';
import { parseIso } from '../model/iso-time.ts';
import type { Observation } from '../model/observation.ts';
import type { Action } from '../model/plan.ts';
import { openOf, pausedOf } from '../model/pooler-view.ts';
import type { Choice } from './canary.ts';
import type { PodState } from './pod-state.ts';
import { runsItsFile } from './pod-state.ts';

/** Longest pause, from when the operator first sees it. Longer than that clients' own patience and their users' are over. */
export const MAX_PAUSE_MS = 600_000;
/** Whoever writes the time has a clock of their own, and can write whole seconds only. */
const CLOCK_SKEW_MS = 5_000;

export type PauseWish = {
  readonly until: string;
  readonly verdict: 'on' | 'over' | 'refused';
  /** Milliseconds that are left; 0 when it is not on. */
  readonly restMs: number;
  /** Why it is not on; empty when it is, or was. */
  readonly message: string;
};

/**
 * What spec.pause asks for now; undefined where nothing is declared. A time that is refused once stays refused: one that is an hour away must not
 * begin to pause when it has come near. Status is the memory of that.
 */
export function pauseWish({ pool, nowMs }: Observation): PauseWish | undefined {
  const until = pool.spec.pause?.until;
  if (until === undefined) return undefined;
  const restMs = parseIso(until) - nowMs;
  const former = pool.status?.pause?.until === until ? pool.status.pause : undefined;
  const not = (verdict: 'over' | 'refused', message: string): PauseWish => ({ until, verdict, restMs: 0, message });
  if (former?.state === 'Refused') return not('refused', former.message ?? '');
  if (former === undefined && !(restMs > 0))
    return not('refused', `spec.pause.until is ${until}, which is in the past; nothing was paused.`);
  if (former === undefined && restMs > MAX_PAUSE_MS + CLOCK_SKEW_MS)
    return not(
      'refused',
      `spec.pause.until is ${until}, ${Math.round(restMs / 1000)} s ahead; a pause lasts ${MAX_PAUSE_MS / 1000} s at most. Nothing was paused.`,
    );
  return restMs > 0 ? { until, verdict: 'on', restMs, message: '' } : not('over', '');
}

/** Whether the pod's clients are to wait longer than usual: from before it is paused until it is resumed. */
export function wantsPatience({ pod, reading }: PodState, wish: PauseWish | undefined): boolean {
  if (wish?.verdict === 'on') return true;
  if (pod.grant?.patience !== true) return false;
  return reading?.ok !== true || pausedOf(reading.view.databases).length > 0;
}

/**
 * PAUSE where the longer patience is in force, RESUME of what was paused so. What somebody else paused by hand, on a pod without that patience, is left
 * alone. A pod that Kubernetes takes away can't be told to be patient, so it is not paused.
 *
 * What changed during the pause is in force before clients go on: the pod that tries it is resumed first and the others once they run it too, so that
 * none writes to a server that the rest has left.
 */
export function planPause(
  observation: Observation,
  states: readonly PodState[],
  wish: PauseWish | undefined,
  choice: Pick<Choice, 'modelFor' | 'canary'>,
): readonly Action[] {
  const waitsForChange = observation.nowMs - resumingSinceMs(observation, wish) < CHANGE_WITHIN_MS;
  return states.flatMap((state): readonly Action[] => {
    const { pod, reading } = state;
    if (reading?.ok !== true || pod.grant?.patience !== true) return [];
    const { name, uid } = pod;
    const { databases } = reading.view;
    const paused = pausedOf(databases);
    if (wish?.verdict !== 'on') {
      if (paused.length === 0) return [];
      const runs = runsItsFile(reading, pod.grant) && pod.grant.model === choice.modelFor(state).modelHash;
      if (waitsForChange && !(runs && (choice.canary ?? name) === name)) return [];
      return [{ kind: 'resumePools', pod: name, uid, databases: paused, why: `the pause of ${name} is over` }];
    }
    const open = openOf(databases);
    if (open.length === 0 || !runsItsFile(reading, pod.grant)) return [];
    return [
      {
        kind: 'pausePools',
        pod: name,
        uid,
        databases: open,
        logins: 'wait',
        why: `${name} is paused until ${wish.until}`,
      },
    ];
  });
}

/** A change that is tried and proved takes so long at most; clients that wait for it longer than this are better served by what was proved before. */
const CHANGE_WITHIN_MS = 10_000;

/** When the pause ended: at its time, or when it was taken out of the spec. */
function resumingSinceMs({ pool, nowMs }: Observation, wish: PauseWish | undefined): number {
  if (wish?.verdict === 'over') return parseIso(wish.until);
  const condition = pool.status?.conditions?.find(({ type }) => type === 'Paused');
  return condition?.status === 'False' ? parseIso(condition.lastTransitionTime) : nowMs;
}

/** Whether pods must neither come nor go: while the fleet is to be paused, and until every pod was read back as resumed. */
export function isHeld(states: readonly PodState[], wish: PauseWish | undefined): boolean {
  if (wish?.verdict === 'on') return true;
  return states.some(
    ({ pod, reading }) =>
      reading?.ok === true && pod.grant?.patience === true && pausedOf(reading.view.databases).length > 0,
  );
}

/** When to look again: for its end at its time, and for clients' transactions to end. */
export function pauseWaitsMs(states: readonly PodState[], wish: PauseWish | undefined): number | undefined {
  if (wish?.verdict === 'on') return Math.min(PAUSE_LOOK_MS, wish.restMs);
  return states.some(({ pod }) => pod.grant?.patience === true) ? RESUME_LOOK_MS : undefined;
}

const PAUSE_LOOK_MS = 500;
const RESUME_LOOK_MS = 100;

/** Undefined where nothing is declared and nothing is left of an earlier one. */
export function pauseStatus(
  { pool }: Observation,
  states: readonly PodState[],
  wish: PauseWish | undefined,
): PauseStatus | undefined {
  const until = wish?.until ?? pool.status?.pause?.until;
  const patient = states.filter(({ pod }) => pod.grant?.patience === true);
  if (until === undefined || (wish === undefined && patient.length === 0)) return undefined;
  if (wish?.verdict === 'refused') return { until, state: 'Refused', message: wish.message };
  const paused = stayingIn(states).filter(isPaused);
  const waiting = states.flatMap(({ reading }) => (reading?.ok === true ? reading.view.pools : []));
  const counts = {
    pausedPods: paused.length,
    waitingClients: waiting.reduce((sum, { clientsWaiting }) => sum + clientsWaiting, 0),
  };
  if (wish?.verdict === 'on') return { until, state: isPausedFleet(states) ? 'Paused' : 'Pausing', ...counts };
  return patient.length > 0 ? { until, state: 'Resuming', ...counts } : { until, state: 'Ended' };
}

/** Whether nothing is under way to pause it any more. */
export function isPausedFleet(states: readonly PodState[]): boolean {
  const staying = stayingIn(states);
  return staying.length > 0 && staying.every(isPaused);
}

function stayingIn(states: readonly PodState[]): readonly PodState[] {
  return states.filter(({ phase }) => phase !== 'Terminating');
}

/** Read back: every database is paused, and no server connection is left. */
function isPaused({ pod, reading }: PodState): boolean {
  if (reading?.ok !== true || pod.grant?.patience !== true) return false;
  const { databases, pools } = reading.view;
  return databases.every(({ paused }) => paused) && pools.every(({ servers }) => servers === 0);
}
