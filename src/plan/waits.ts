// When to look again at a fleet that is on its way: soon where something is about to happen, seldom where others must act first.
import type { Observation } from '../model/observation.ts';
import type { Action } from '../model/plan.ts';
import type { Sizes } from '../model/pooler-model.ts';
import { sizeOf } from '../sizing/sizes.ts';
import type { Chosen } from './basis.ts';
import { storedFiles } from './children.ts';
import { drainEndsAtMs, type DrainTimes } from './drain.ts';
import { CHANGE_INTERVAL_MS } from './cells.ts';
import type { GrantStep } from './grants.ts';
import { isRebalancing } from './rebalance.ts';
import { reloadAgainAtMs, SECRET_LEAD_MS } from './pod-config.ts';

/** How long until something that is under way is worth another look; undefined at rest. */
export function waitsMs(
  observation: Observation,
  { states, basis, targets, fleet, follow }: Chosen,
  grants: GrantStep,
  drain: DrainTimes,
): number | undefined {
  const waits: number[] = [];
  for (const state of states) {
    if (state.phase === 'Draining' || isRebalancing(state)) waits.push(500);
    // Until the file that lowers it is there nothing shrinks.
    if (state.pod.grant?.unsettled !== undefined && state.unproved?.kind !== 'notLoaded') waits.push(150);
    if (state.phase === 'Terminating') {
      const dueMs = drainEndsAtMs(state, drain);
      const waiting = dueMs !== undefined && state.clients !== undefined && state.clients > 0;
      waits.push(waiting ? Math.min(2_000, Math.max(200, dueMs - observation.nowMs)) : 2_000);
      continue;
    }
    const { unproved, pod } = state;
    if (pod.grant !== undefined && isSizedOtherwise(pod.grant.sizes, targets.perPod.get(pod.uid))) {
      const restMs = pod.grant.atMs + CHANGE_INTERVAL_MS - observation.nowMs;
      // Later than that it waits for others to give room, which nothing here can hasten.
      waits.push(restMs > 0 ? Math.max(80, restMs) : 1_000);
    }
    if (unproved === undefined) continue;
    if (unproved.kind === 'unreachable' || unproved.kind === 'noGrant') waits.push(pod.container.running ? 150 : 1_000);
    else if (unproved.kind === 'refused')
      waits.push(Math.max(80, reloadAgainAtMs(unproved.atMs, pod.grant?.atMs ?? 0) - observation.nowMs));
    else if (unproved.kind === 'server') waits.push(1_000);
    else {
      const sinceMs = Math.max(pod.grant?.atMs ?? 0, pod.container.startedAtMs ?? 0);
      waits.push(arrivalLookMs(observation.nowMs - sinceMs));
    }
  }
  // Clients come and go without an event.
  if (fleet.uneven && follow !== 'end') waits.push(1_000);
  if (states.length !== basis.replicas) waits.push(1_000);
  if (grants.ledger.changes.length > 0) waits.push(300);
  const leadMs = storedFiles(observation).writtenAtMs + SECRET_LEAD_MS - observation.nowMs;
  if (leadMs > 0) waits.push(leadMs);
  const present = new Set(observation.pods.map((pod) => pod.uid));
  if ((observation.pool.status?.pods ?? []).some((entry) => !present.has(entry.uid ?? ''))) waits.push(1_000);
  return waits.length === 0 ? undefined : Math.min(...waits);
}

/** A file arrives in a fraction of a second as a rule; the longer it has not, the less soon it is looked for again. */
function arrivalLookMs(ageMs: number): number {
  return Math.min(1_000, Math.max(80, ageMs / 20));
}

/** Also a pod that was told something a moment ago, and may be told the next size only when that has been projected. */
function isSizedOtherwise(sizes: Sizes, target: Sizes | undefined): boolean {
  return Object.entries(target ?? {}).some(([database, size]) => sizeOf(sizes, database) !== Math.max(1, size));
}

/** The next look after these actions; undefined when there is neither an action nor anything to wait for. */
export function nextLook(actions: readonly Action[], pendingMs: number | undefined): number | undefined {
  if (actions.length === 0) return pendingMs;
  // A load is asked for again at every look until its file is there, so the looks are its pace.
  if (actions.every((action) => action.kind === 'loadLive')) return pendingMs ?? 80;
  return Math.min(pendingMs ?? 1_000, 60);
}
