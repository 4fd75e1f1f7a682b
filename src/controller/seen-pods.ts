// Pods that were seen and are gone before status could say so: what they held is remembered until it does.
import type { PodStatus } from '../api/poolconfig.gen.ts';
import { isoTime } from '../model/iso-time.ts';
import type { Observation, PodFacts } from '../model/observation.ts';
import type { Sizes } from '../model/pooler-model.ts';
import { grantEntry } from '../plan/summary.ts';
import { largerSizes, sumOf } from '../sizing/sizes.ts';

/**
 * Status is the ledger's memory of pods that are gone. Where it could not be written for a while (conflicts of a watch that lags, an API server that is
 * away) a pod may have come, been granted a share, and gone without standing there, and its backends would be nobody's. This memory adds to what is
 * observed, and only what makes the ledger more careful; a new leader has none, and relies on status alone.
 */
export class SeenPods {
  /** Pool → uid → what status would say of it. */
  readonly #byPool = new Map<string, ReadonlyMap<string, PodStatus>>();

  /** The observation with the pods that its status has missed, or of which it knows a smaller share than they had. */
  recall(key: string, observation: Observation): Observation {
    const { pods, pool, nowMs } = observation;
    const present = new Set(pods.map(({ uid }) => uid));
    const gone = [...(this.#byPool.get(key) ?? [])].filter(([uid]) => !present.has(uid));
    const seen = pods.flatMap((pod) => (pod.grant === undefined ? [] : [[pod.uid, entryOf(pod, nowMs)] as const]));
    this.#byPool.set(key, new Map([...gone, ...seen]));
    const told = new Map((pool.status?.pods ?? []).map((entry) => [entry.uid ?? '', entry]));
    const missed = new Map(
      gone.flatMap(([uid, entry]) => {
        const former = told.get(uid);
        return former?.state === 'Gone' ? [] : [[uid, larger(former, entry)] as const];
      }),
    );
    if (missed.size === 0) return observation;
    const entries = [...[...told].filter(([uid]) => !missed.has(uid)).map(([, entry]) => entry), ...missed.values()];
    return { ...observation, pool: { ...pool, status: { ...pool.status, pods: entries } } };
  }

  /** Status as it was planned from the last recall is stored: it says of every pod that is gone what there is to say. */
  written(key: string, { pods }: Observation): void {
    const present = new Set(pods.map(({ uid }) => uid));
    this.#byPool.set(key, new Map([...(this.#byPool.get(key) ?? [])].filter(([uid]) => present.has(uid))));
  }

  forget(key: string): void {
    this.#byPool.delete(key);
  }
}

function entryOf({ name, uid, ip, grant, terminatingSinceMs }: PodFacts, nowMs: number): PodStatus {
  return {
    name,
    uid,
    ...(ip === undefined ? {} : { ip }),
    state: terminatingSinceMs === undefined ? 'Serving' : 'Terminating',
    since: isoTime(nowMs),
    ...grantEntry(grant),
  };
}

/** What status has said, with the larger share of the two. */
function larger(told: PodStatus | undefined, seen: PodStatus): PodStatus {
  if (told === undefined) return seen;
  const sizes = largerSizes(sizesOf(told), sizesOf(seen));
  const mayHold = Math.max(told.mayHold ?? 0, seen.mayHold ?? 0);
  return {
    ...told,
    ...(told.ip === undefined && seen.ip !== undefined ? { ip: seen.ip } : {}),
    ...(mayHold > sumOf(sizes) ? { mayHold } : {}),
    sizes: Object.entries(sizes).map(([database, size]) => ({ database, size })),
  };
}

function sizesOf({ sizes = [] }: PodStatus): Sizes {
  return Object.fromEntries(sizes.map(({ database, size }) => [database, size]));
}
