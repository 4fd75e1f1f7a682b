// Remembers which pods had server connections a moment ago: that they all went at once is a witness of a lost server.
import { establishedServers, type PoolRow } from '../model/pooler-view.ts';

/** A little more than the time between two looks at rest; a pool that lost its last one to idleness longer ago says nothing. */
const MOMENT_MS = 15_000;

export class LostServers {
  readonly #hadAtMs = new Map<string, number>();

  /** Whether this pod, which was last seen with an established server connection less than a moment ago, has none. */
  look(podUid: string, pools: readonly Pick<PoolRow, 'servers' | 'serversLogin'>[], nowMs: number): boolean {
    if (establishedServers(pools) > 0) {
      this.#hadAtMs.set(podUid, nowMs);
      return false;
    }
    return nowMs - (this.#hadAtMs.get(podUid) ?? Number.NEGATIVE_INFINITY) <= MOMENT_MS;
  }

  forgetPod(uid: string): void {
    this.#hadAtMs.delete(uid);
  }
}
