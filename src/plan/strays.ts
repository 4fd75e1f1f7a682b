// The server's host leads elsewhere now: connections to where it led before are brought over, between two transactions.
import { SETTINGS } from '../model/settings/table.ts';
import type { Observation } from '../model/observation.ts';
import type { Action } from '../model/plan.ts';
import { pausedOf } from '../model/pooler-view.ts';
import type { PodState } from './pod-state.ts';

/** PgBouncer's clock and ours are not in step. */
const AFTER_CACHE_MS = 300;
/** Busy connections move at the end of their transaction, and nobody tells of that; and the pod's resolver may still be behind. */
const FIRST_GAP_MS = 1_000;

export type Strays = { readonly actions: readonly Action[]; readonly waitMs: number | undefined };

/**
 * No sooner than PgBouncer's own memory of the name is over: before that a new connection would go to the former address again. PgBouncer by itself moves
 * only when it happens to need a new connection, which in a quiet pool is after server_lifetime, an hour.
 */
export function planStrays({ leadsSinceMs, nowMs }: Observation, states: readonly PodState[]): Strays {
  if (leadsSinceMs === undefined) return { actions: [], waitMs: undefined };
  const waits: number[] = [];
  const actions = states.flatMap(({ pod, reading, phase }): readonly Action[] => {
    if (phase === 'Terminating' || reading?.ok !== true || reading.strays === undefined) return [];
    const { name, uid } = pod;
    const { config, databases } = reading.view;
    const cacheMs = 1_000 * Number(config.get('dns_max_ttl') ?? SETTINGS.get('dns_max_ttl')?.default);
    const gapsMs = FIRST_GAP_MS * (2 ** reading.strays.tries - 1);
    const restMs = leadsSinceMs + cacheMs + AFTER_CACHE_MS + gapsMs - nowMs;
    waits.push(restMs > 0 ? restMs : FIRST_GAP_MS);
    // What is paused has no connection to bring over but those that end by themselves.
    const paused = new Set(pausedOf(databases));
    const strays = reading.strays.databases.filter((database) => !paused.has(database));
    if (restMs > 0 || strays.length === 0) return [];
    const why = `the server's host leads elsewhere now, and ${name} still has connections to where it led before`;
    return [{ kind: 'reconnectPools', pod: name, uid, databases: strays, sinceMs: leadsSinceMs, why }];
  });
  return { actions, waitMs: waits.length === 0 ? undefined : Math.min(...waits) };
}
