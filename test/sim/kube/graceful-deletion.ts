// Deletion in two steps: marked with a time, and gone when that has passed or nothing holds the object any more.
import { isoTime, parseIso } from '../../../src/model/iso-time.ts';
import { at } from './json.ts';
import type { SimObject } from './object-store.ts';

const DEFAULT_GRACE_SECONDS = 30;

/** A pod that no node has taken, or that has finished, goes at once. */
export function podGraceSeconds(pod: SimObject, asked: number | undefined): number {
  const phase = at(pod, 'status', 'phase');
  if (at(pod, 'spec', 'nodeName') === undefined || phase === 'Failed' || phase === 'Succeeded') return 0;
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
  if (asked === undefined && deletionTimestamp !== undefined) return deletionGracePeriodSeconds ?? 0;
  const own = at(pod, 'spec', 'terminationGracePeriodSeconds');
  return asked ?? (typeof own === 'number' ? own : DEFAULT_GRACE_SECONDS);
}

/** The object marked as going; undefined when it is so already: a second deletion may only shorten the grace period. */
export function marked(object: SimObject, graceSeconds: number, nowMs: number): SimObject | undefined {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, generation } = object.metadata;
  if (deletionTimestamp !== undefined && graceSeconds >= deletionGracePeriodSeconds) return undefined;
  const sinceMs =
    deletionTimestamp === undefined ? nowMs : parseIso(deletionTimestamp) - deletionGracePeriodSeconds * 1000;
  const metadata = {
    ...object.metadata,
    deletionTimestamp: isoTime(sinceMs + graceSeconds * 1000),
    deletionGracePeriodSeconds: graceSeconds,
    ...(generation === undefined ? {} : { generation: generation + 1 }),
  };
  return { ...object, metadata };
}
