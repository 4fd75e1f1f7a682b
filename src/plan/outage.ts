// PostgreSQL is gone: clients wait for it in paused pools, because PgBouncer fails every query from its first failed login on.
import type { OutageStatus } from '../api/poolconfig.gen.ts';
import { isoTime, parseIso } from '../model/iso-time.ts';
import type { Observation } from '../model/observation.ts';
import type { Action } from '../model/plan.ts';
import { openOf, pausedOf } from '../model/pooler-view.ts';
import type { PauseWish } from './pause.ts';
import { runsItsFile, type PodState } from './pod-state.ts';

/** Clients that wait longer than this are better served by an error. PgBouncer's own query_wait_timeout ends each of them by default after as long. */
export const OUTAGE_WAIT_MS = 120_000;
const LOOK_MS = 250;
/** The note in status comes first, and what it names is paused at the next look. */
const NOTED_MS = 10;

export type Outage = {
  /** What status says next; undefined once nothing of it is left. */
  readonly status: OutageStatus | undefined;
  readonly actions: readonly Action[];
  /** Clients of these pods wait, or are about to. */
  readonly holds: boolean;
  readonly waitMs: number | undefined;
};

const NONE: Outage = { status: undefined, actions: [], holds: false, waitMs: undefined };

/**
 * Two witnesses are needed: the operator can't reach the server, and a pod that had server connections a moment ago has none. An operator that is cut
 * off by itself pauses nobody. The pods are noted in status before they are paused, so that whoever leads next resumes them, and not what
 * somebody else has paused by hand.
 */
export function planOutage(
  observation: Observation,
  states: readonly PodState[],
  pause: PauseWish | undefined,
): Outage {
  const { pool, server, nowMs } = observation;
  const former = pool.status?.outage;
  if (pause?.verdict === 'on') return handOver(former, states);
  const isLost = server?.reachable === false && server.fault === 'ServerUnreachable';
  if (!isLost || pool.spec.server.whenLost === 'Fail')
    return former === undefined ? NONE : release(former, states, false);
  if (former !== undefined && nowMs - parseIso(former.since) > OUTAGE_WAIT_MS) return release(former, states, true);
  const noted = new Set(former?.pods);
  // Whatever became of a pod since: while it may be paused it stays noted.
  const held = states.filter(({ pod }) => noted.has(pod.name));
  const losing = states.filter(
    ({ pod, phase, reading }) =>
      phase === 'Serving' &&
      !noted.has(pod.name) &&
      reading?.ok === true &&
      reading.lostServers === true &&
      // A server that is declared and was never reached has taken nothing from anybody.
      reading.view.databases.some(({ host }) => host === pool.spec.server.host),
  );
  if (held.length + losing.length === 0 && former === undefined) return { ...NONE, waitMs: LOOK_MS };
  const actions = held.flatMap(({ pod, phase, reading }): readonly Action[] => {
    const { name, uid } = pod;
    // Only the pod itself: one that has just come has its address sometimes, and nobody would know who paused that.
    const itself = phase === 'Serving' && reading?.ok === true && runsItsFile(reading, pod.grant);
    const open = itself ? openOf(reading.view.databases) : [];
    if (open.length === 0) return [];
    const why = `clients of ${name} wait for the server, which is gone`;
    return [{ kind: 'pausePools', pod: name, uid, databases: open, logins: 'drop', why }];
  });
  return {
    status: {
      since: former?.since ?? isoTime(nowMs),
      pods: [...held, ...losing].map(({ pod }) => pod.name).sort(),
    },
    actions,
    holds: true,
    waitMs: losing.length > 0 ? NOTED_MS : LOOK_MS,
  };
}

/** A declared pause has its own patience and its own end. Until a pod has been given that patience the note is all that tells who paused it. */
function handOver(former: OutageStatus | undefined, states: readonly PodState[]): Outage {
  const noted = new Set(former?.pods);
  const left = states.filter(({ pod }) => noted.has(pod.name) && pod.grant?.patience !== true);
  if (former === undefined || left.length === 0) return NONE;
  return { ...NONE, status: { since: former.since, pods: left.map(({ pod }) => pod.name).sort() } };
}

/** What we paused goes on; it stays noted until it was read back. `isLasting`: the server is still away, and this outage is not waited for again. */
function release(former: OutageStatus, states: readonly PodState[], isLasting: boolean): Outage {
  const noted = new Set(former.pods);
  const left = states.filter(
    ({ pod, reading }) => noted.has(pod.name) && (reading?.ok !== true || pausedOf(reading.view.databases).length > 0),
  );
  const actions = left.flatMap(({ pod: { name, uid }, reading }): readonly Action[] =>
    reading?.ok === true
      ? [
          {
            kind: 'resumePools',
            ...{ pod: name, uid, databases: pausedOf(reading.view.databases) },
            why: isLasting
              ? `the server has been away for ${OUTAGE_WAIT_MS / 1000} s: clients of ${name} wait no longer`
              : `the server is back: clients of ${name} go on`,
          },
        ]
      : [],
  );
  if (left.length === 0 && !isLasting) return NONE;
  return {
    status: { since: former.since, pods: left.map(({ pod }) => pod.name).sort() },
    actions,
    holds: left.length > 0,
    waitMs: left.length > 0 ? LOOK_MS : undefined,
  };
}
