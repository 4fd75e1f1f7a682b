// Remembers which pods had server connections a moment ago: that they all went at once is a witness of a lost server.
import type { PoolRow } from '../model/pooler-view.ts';

/** A little more than the time between two looks at rest; a pool that lost its last one to idleness longer ago says nothing. */
const MOMENT_MS = 15_000;

export class LostServers {
  readonly #hadAtMs = new Map<string, number>();

  /** Whether this pod, which was last seen with an established server connection less than a moment ago, has none. */
  look(podUid: string, pools: readonly Pick<PoolRow, 'servers' | 'serversLogin'>[], nowMs: number): boolean {
    const established = pools.reduce((sum, { servers, serversLogin }) => sum + servers - serversLogin, 0);
    if (established > 0) {
      this.#hadAtMs.set(podUid, nowMs);
      return false;
    }
    return nowMs - (this.#hadAtMs.get(podUid) ?? Number.NEGATIVE_INFINITY) <= MOMENT_MS;
  }

  forget(stillThere: ReadonlySet<string>, mine: (uid: string) => boolean): void {
    for (const uid of this.#hadAtMs.keys()) if (mine(uid) && !stillThere.has(uid)) this.#hadAtMs.delete(uid);
  }
}
