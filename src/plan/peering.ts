// Who each pod's fellows are: a number of its own for every pod, and where a cancel request goes whose key names another one.
import type { Peering, Peers } from '../model/pooler-model.ts';
import type { PodState } from './pod-state.ts';

/** For every pod by uid: its own number and the addresses of all others. A pod keeps its number; a new one gets the lowest that is free. */
export function planPeering(states: readonly PodState[]): ReadonlyMap<string, Peering> {
  const ids = peerIds(states);
  return new Map(
    states.flatMap(({ pod }) => {
      const id = ids.get(pod.uid);
      return id === undefined ? [] : [[pod.uid, { id, peers: peersOf(pod.uid, states, ids) }] as const];
    }),
  );
}

/**
 * Whether what a pod was told will do: it has its number, and knows everyone who may have to be reached. Entries of pods that are gone or on
 * their way out do no harm, and are no reason for another write and RELOAD.
 */
export function isUpToDate(told: Peering | undefined, wanted: Peering, states: readonly PodState[]): boolean {
  if (told?.id !== wanted.id) return false;
  const leaving = new Set(states.filter(({ phase }) => phase === 'Terminating').map(({ pod }) => pod.ip));
  return Object.entries(wanted.peers).every(([id, host]) => told.peers[id] === host || leaving.has(host));
}

/** Where two carry the same number, as after two leaders, the older pod keeps it. */
function peerIds(states: readonly PodState[]): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  const taken = new Set<number>();
  for (const { pod } of states) {
    const id = pod.grant?.peering?.id;
    if (id === undefined || taken.has(id)) continue;
    taken.add(id);
    ids.set(pod.uid, id);
  }
  let free = 1;
  for (const { pod, phase } of states) {
    if (ids.has(pod.uid) || phase === 'Terminating') continue;
    while (taken.has(free)) free += 1;
    taken.add(free);
    ids.set(pod.uid, free);
  }
  return ids;
}

function peersOf(uid: string, states: readonly PodState[], ids: ReadonlyMap<string, number>): Peers {
  return Object.fromEntries(
    states.flatMap(({ pod, phase }) => {
      const id = ids.get(pod.uid);
      // One that never served has no query; one that can't start must not have the others write and RELOAD for it.
      return phase === 'Starting' || pod.uid === uid || pod.finished || pod.ip === undefined || id === undefined
        ? []
        : [[id, pod.ip]];
    }),
  );
}
