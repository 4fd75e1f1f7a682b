// Finds backends that outlived their pooler or client: PostgreSQL runs them, the pod's PgBouncer has no such connection, and that for some time.
import type { Observation, PodFacts } from '../model/observation.ts';
import { establishedServers } from '../model/pooler-view.ts';
import type { ServerRow } from '../pgbouncer/show.ts';
import { backendsFrom, seenBackends } from '../plan/backends.ts';
import { AdminError } from '../pgbouncer/errors.ts';
import type { Servers } from './servers.ts';

/** A login tells PgBouncer its process id at its end; younger backends may just not have done so. */
const LOGIN_MS = 5_000;
/** A backend whose connection was closed ends by itself in milliseconds; one that is still there after so long does not. */
const LASTING_MS = 3_000;

type ServerList = { readonly servers: (signal?: AbortSignal) => Promise<readonly ServerRow[]> };

/**
 * Compares backend by backend, not by number: the two views are read at different moments, so their numbers differ all the time in a busy pool. The
 * memory holds what the last look found; it decides nothing but when the same backend was seen twice.
 */
export class OrphanWatch {
  readonly #servers: Pick<Servers, 'backendsFrom'>;
  /** Pod uid → backend → when it was first found without a connection. */
  readonly #found = new Map<string, ReadonlyMap<string, number>>();

  constructor(servers: Pick<Servers, 'backendsFrom'>) {
    this.#servers = servers;
  }

  /** Orphans by pod uid; undefined where PostgreSQL's view can't be had. PgBouncer is asked only where the numbers differ. */
  async look(
    key: string,
    observation: Observation,
    consoleOf: (pod: PodFacts) => ServerList | undefined,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, number> | undefined> {
    const backends = seenBackends(observation);
    if (backends === undefined) return undefined;
    const suspects = observation.pods.filter((pod) => {
      const reading = observation.poolers.get(pod.uid);
      if (reading?.ok !== true) return false;
      return backendsFrom(backends, pod.ip) > establishedServers(reading.view.pools) || this.#found.has(pod.uid);
    });
    const counts = await Promise.all(
      suspects.map(async (pod) => [pod.uid, await this.#orphansOf(key, pod, observation, consoleOf, signal)] as const),
    );
    return new Map(counts.filter(([, count]) => count > 0));
  }

  async #orphansOf(
    key: string,
    pod: PodFacts,
    observation: Observation,
    consoleOf: (pod: PodFacts) => ServerList | undefined,
    signal: AbortSignal,
  ): Promise<number> {
    const { nowMs, pool } = observation;
    const told = (pool.status?.pods ?? []).some((entry) => entry.uid === pod.uid && (entry.orphans ?? 0) > 0);
    const former = this.#found.get(pod.uid);
    const unknown = await this.#withoutConnection(key, pod, consoleOf(pod), signal);
    // Nobody could be asked: what was found stands.
    if (unknown === undefined) return former === undefined ? 0 : lasting(former, nowMs, told);
    if (unknown.length === 0) {
      this.#found.delete(pod.uid);
      return 0;
    }
    const found = new Map(unknown.map((id) => [id, former?.get(id) ?? nowMs]));
    this.#found.set(pod.uid, found);
    // An operator that starts anew goes on with what was told; it does not take it back for one look.
    return lasting(found, nowMs, told && former === undefined);
  }

  /** PostgreSQL first: a connection made after that is in PgBouncer's list and in no other. */
  async #withoutConnection(
    key: string,
    pod: PodFacts,
    console: ServerList | undefined,
    signal: AbortSignal,
  ): Promise<readonly string[] | undefined> {
    if (pod.ip === undefined || console === undefined) return undefined;
    const running = await this.#servers.backendsFrom(key, pod.ip, LOGIN_MS, signal);
    if (running === undefined) return undefined;
    if (running.length === 0) return [];
    try {
      const known = new Set((await console.servers(signal)).map((row) => row.backendPid));
      return running.filter(({ pid }) => !known.has(pid)).map(({ id }) => id);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof AdminError) return undefined;
      throw error;
    }
  }

  forgetPod(uid: string): void {
    this.#found.delete(uid);
  }
}

function lasting(found: ReadonlyMap<string, number>, nowMs: number, atOnce: boolean): number {
  return [...found.values()].filter((sinceMs) => atOnce || nowMs - sinceMs >= LASTING_MS).length;
}
