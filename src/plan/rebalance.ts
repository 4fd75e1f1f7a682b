// Brings new pods their part of the clients: for a while the crowded ones take no new connections, so that those which are renewed go to the others.
import { drainTimes } from '../api/poolconfig.ts';
import { ANNOTATION, LABEL } from '../model/names.ts';
import type { Observation } from '../model/observation.ts';
import type { Action } from '../model/plan.ts';
import { parseIso } from '../model/iso-time.ts';
import { isUneven, type Follow } from '../sizing/split-by-load.ts';
import type { PodState } from './pod-state.ts';

/** A pod with so many times the mean, and so many clients more, takes no new ones; down at the mean it does again. */
const CROWDED = { factor: 1.2, clients: 2 } as const;
/** A rebalancing begins when a pod joins, or not at all: clients come and go, and a fleet at rest must not move with them. */
const BEGIN_MS = 10_000;

/**
 * Whether sizes and Service may follow the clients: from when a pod joins, for the drain window. In it clients that renew their connections
 * have done so once.
 */
export function followClients({ pool, nowMs }: Observation, states: readonly PodState[]): Follow {
  const entries = new Map((pool.status?.pods ?? []).map((entry) => [entry.uid, entry]));
  const ages = states.flatMap(({ pod, phase }) => {
    if (phase === 'Starting') return [nowMs - pod.createdAtMs];
    if (phase !== 'Serving') return [];
    const entry = entries.get(pod.uid);
    return [entry?.state === 'Serving' && entry.since !== undefined ? nowMs - parseIso(entry.since) : 0];
  });
  const youngestMs = Math.min(...ages);
  const { windowMs } = drainTimes(pool);
  if (youngestMs < Math.min(BEGIN_MS, windowMs)) return 'begin';
  return youngestMs < windowMs ? 'goOn' : 'end';
}

/**
 * Takes crowded pods out of the Service until they are down at the mean. No connection is closed for it. All are put back when the window is over,
 * however many clients they have; and in a rollout, or while a pod is being deleted, the fleet is left alone, as its clients move anyway.
 */
export function planRebalance(states: readonly PodState[], follow: Follow): readonly Action[] {
  const serving = states.filter(({ phase }) => phase === 'Serving');
  const under = serving.some(isRebalancing);
  const crowded = follow === 'begin' || (follow === 'goOn' && under) ? crowdedPods(states, under) : new Set<string>();
  return serving.flatMap(({ pod }): readonly Action[] => {
    const { name, resourceVersion } = pod;
    const isCrowded = crowded.has(pod.uid);
    // One that somebody else took out of the Service stays out of it.
    if (pod.crowded === isCrowded || (!pod.crowded && !pod.serving)) return [];
    return [
      {
        kind: 'patchPod',
        name,
        resourceVersion,
        labels: { [LABEL.serving]: isCrowded ? undefined : 'true' },
        annotations: { [ANNOTATION.crowded]: isCrowded ? 'true' : undefined },
        why: isCrowded
          ? `rebalance: ${name} has more clients than the mean, new ones go to the other pods`
          : `rebalance: ${name} takes new clients again`,
      },
    ];
  });
}

/** Whether a pod is out of the Service for this, and worth a look soon. */
export function isRebalancing({ phase, pod }: PodState): boolean {
  return phase === 'Serving' && pod.crowded;
}

/**
 * Only where every pod can be asked and is sound: an empty pod may be one that lets nobody in. The least busy of those that are in the Service is
 * never among them, so somebody always takes new clients.
 */
function crowdedPods(states: readonly PodState[], under: boolean): ReadonlySet<string> {
  // Its clients are on their way already, and a kube-proxy that knows of no other pod sends new ones to it.
  if (states.some(({ phase }) => phase === 'Terminating')) return new Set();
  const staying = states.filter(({ pod }) => pod.serving || pod.crowded);
  const clients = staying.flatMap((state) => (isSound(state) && state.clients !== undefined ? [state.clients] : []));
  if (clients.length < staying.length) return new Set();
  // A pod without a client may not be known to every kube-proxy yet; alone in the Service it would send new clients to a pod that is going.
  if (!under && (Math.min(...clients) === 0 || !isUneven(clients))) return new Set();
  const mean = clients.reduce((sum, count) => sum + count, 0) / clients.length;
  const limit = Math.max(mean * CROWDED.factor, mean + CROWDED.clients);
  return new Set(
    staying.flatMap(({ pod, clients: count = 0 }) => (count > (pod.crowded ? mean : limit) ? [pod.uid] : [])),
  );
}

/** While it is told other sizes it is as sound as before. */
function isSound({ phase, reading, unproved }: PodState): boolean {
  const letsIn = reading?.ok === true && reading.userlistProved && reading.serverProof === 'proved';
  return phase === 'Serving' && letsIn && (unproved === undefined || unproved.kind === 'notLoaded');
}
