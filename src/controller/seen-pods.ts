// Pods that were seen and are gone before status could say so: what they held is remembered until it does.
import type { PodStatus } from '../api/poolconfig.gen.ts';
import { isoTime } from '../model/iso-time.ts';
import type { Observation, PodFacts } from '../model/observation.ts';
import type { Sizes } from '../model/pooler-model.ts';
import { largerSizes, sumOf } from '../sizing/sizes.ts';

type Seen = { readonly entry: PodStatus; readonly goneSinceMs: number | undefined };

/** Much longer than any backend is reckoned with after its pod; without an end a status that can't be written would be kept in memory for ever. */
const REMEMBERED_MS = 600_000;

/**
 * Status is the ledger's memory of pods that are gone. Where it could not be written for a while (conflicts of a watch that lags, an API server that is
 * away) a pod may have come, been granted a share, and gone without standing there, and its backends would be nobody's. This memory adds to what is
 * observed, and only what makes the ledger more careful; a new leader has none, and relies on status alone.
 */
export class SeenPods {
  readonly #byPool = new Map<string, ReadonlyMap<string, Seen>>();

  /** The observation with the pods that its status has missed, or of which it knows a smaller share than they had. */
  recall(key: string, observation: Observation): Observation {
    const { pods, pool, nowMs } = observation;
    const former = this.#byPool.get(key) ?? new Map<string, Seen>();
    const present = new Set(pods.map(({ uid }) => uid));
    const told = new Map((pool.status?.pods ?? []).map((entry) => [entry.uid ?? '', entry]));
    const gone = [...former]
      .filter(([uid]) => !present.has(uid) && told.get(uid)?.state !== 'Gone')
      .map(([uid, { entry, goneSinceMs = nowMs }]): [string, Seen] => [uid, { entry, goneSinceMs }])
      .filter(([, { goneSinceMs = nowMs }]) => nowMs - goneSinceMs < REMEMBERED_MS);
    const seen = pods.flatMap((pod): readonly [string, Seen][] =>
      pod.grant === undefined ? [] : [[pod.uid, { entry: entryOf(pod, nowMs), goneSinceMs: undefined }]],
    );
    this.#byPool.set(key, new Map([...gone, ...seen]));
    if (gone.length === 0) return observation;
    const missed = new Map(gone.map(([uid, { entry }]) => [uid, larger(told.get(uid), entry)]));
    const entries = [...[...told].filter(([uid]) => !missed.has(uid)).map(([, entry]) => entry), ...missed.values()];
    return { ...observation, pool: { ...pool, status: { ...pool.status, pods: entries } } };
  }

  forget(key: string): void {
    this.#byPool.delete(key);
  }
}

function entryOf({ name, uid, ip, grant, terminatingSinceMs }: PodFacts, nowMs: number): PodStatus {
  const sizes = grant?.sizes ?? {};
  return {
    name,
    uid,
    ...(ip === undefined ? {} : { ip }),
    state: terminatingSinceMs === undefined ? 'Serving' : 'Terminating',
    since: isoTime(nowMs),
    ...cells(sizes, sumOf(largerSizes(sizes, grant?.unsettled ?? {}))),
  };
}

function cells(sizes: Sizes, mayHold: number): Pick<PodStatus, 'sizes' | 'mayHold'> {
  return {
    ...(mayHold > sumOf(sizes) ? { mayHold } : {}),
    sizes: Object.entries(sizes).map(([database, size]) => ({ database, size })),
  };
}

/** What status has said, with the larger share of the two. */
function larger(told: PodStatus | undefined, seen: PodStatus): PodStatus {
  if (told === undefined) return seen;
  const sizes = largerSizes(sizesOf(told), sizesOf(seen));
  return {
    ...told,
    ...(told.ip === undefined && seen.ip !== undefined ? { ip: seen.ip } : {}),
    ...cells(sizes, Math.max(told.mayHold ?? 0, seen.mayHold ?? 0)),
  };
}

function sizesOf({ sizes = [] }: PodStatus): Sizes {
  return Object.fromEntries(sizes.map(({ database, size }) => [database, size]));
}
