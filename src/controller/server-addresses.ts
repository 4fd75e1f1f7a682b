// Where the names of servers lead: looked up every second, because a failover that moves a DNS record tells nobody.
import { lookup } from 'node:dns/promises';
import { lookupName } from './servers.ts';
import type { PoolConfig } from '../api/poolconfig.gen.ts';
import type { ServerAddress } from '../model/observation.ts';
import type { Clock } from '../runtime/clock.ts';

const LOOK_MS = 1_000;
/** One answer may come from a resolver that is behind. */
const MOVED_ANSWERS = 3;
/** An operator that has just started knows no former address; a name that answers in turns would look like one that moved. */
const FIRST_ANSWERS = 30;
/** A name that comes back to its former address so soon answers in turns, and says nothing about which server is the right one. */
const TURNS_WITHIN_MS = 60_000;

type Watched = {
  keys: Set<string>;
  /** The address of the last answer, since when it has been the only one, and how many answers said so. */
  last: { address: string; sinceMs: number; answers: number } | undefined;
  /** Address → when it was answered last before another one was. */
  left: Map<string, number>;
  /** It has moved here from elsewhere, and does not answer in turns. */
  moved: boolean;
  known: ServerAddress | undefined;
};

export type Resolve = (name: string) => Promise<readonly string[]>;

/** Only a name with one address is followed: behind several PgBouncer takes them in turn, and each of them is right. */
export class ServerAddresses {
  readonly #clock: Clock;
  readonly #onMoved: (key: string) => void;
  readonly #resolve: Resolve;
  readonly #watched = new Map<string, Watched>();
  readonly #tried = new Map<string, { readonly sinceMs: number; readonly count: number }>();
  readonly #stopping = new AbortController();
  #tail: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock, onMoved: (key: string) => void, resolve: Resolve = systemResolve) {
    this.#clock = clock;
    this.#onMoved = onMoved;
    this.#resolve = resolve;
  }

  /** Where the server's name leads; undefined for an IP address, and while that is not certain. Asking keeps the name watched. */
  look(key: string, pool: PoolConfig): ServerAddress | undefined {
    const name = lookupName(pool);
    for (const [other, { keys }] of this.#watched) if (other !== name) keys.delete(key);
    if (name === undefined) return undefined;
    const watched = this.#watched.get(name);
    if (watched !== undefined) {
      watched.keys.add(key);
      return watched.known;
    }
    const fresh: Watched = { keys: new Set([key]), last: undefined, left: new Map(), moved: false, known: undefined };
    this.#watched.set(name, fresh);
    void this.#watch(name, fresh);
    return undefined;
  }

  /** A pod was told to connect anew for the move of that time. */
  tried(podUid: string, sinceMs: number): void {
    const former = this.#tried.get(podUid);
    this.#tried.set(podUid, { sinceMs, count: former?.sinceMs === sinceMs ? former.count + 1 : 1 });
  }

  /** How often it was. */
  tries(podUid: string, leadsTo: ServerAddress | undefined): number {
    const tried = this.#tried.get(podUid);
    return tried !== undefined && tried.sinceMs === leadsTo?.sinceMs ? tried.count : 0;
  }

  forgetPod(uid: string): void {
    this.#tried.delete(uid);
  }

  forget(key: string): void {
    for (const { keys } of this.#watched.values()) keys.delete(key);
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #watch(name: string, watched: Watched): Promise<void> {
    const { signal } = this.#stopping;
    while (watched.keys.size > 0 && !signal.aborted) {
      // No answer says nothing about where the server is.
      const answer = await this.#inTurn(() => this.#resolve(name)).catch(() => undefined);
      if (answer !== undefined) this.#note(watched, answer);
      await this.#clock.sleep(LOOK_MS, signal).catch(() => undefined);
    }
    this.#watched.delete(name);
  }

  /** One lookup at a time: a resolver that does not answer would else hold every thread that logins need, too. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(work);
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  #note(watched: Watched, answer: readonly string[]): void {
    const nowMs = this.#clock.now();
    const [address, ...more] = answer;
    const { last } = watched;
    if (address === undefined || more.length > 0) {
      Object.assign(watched, { last: undefined, known: undefined });
      return;
    }
    if (last?.address !== address) {
      if (last !== undefined) watched.left.set(last.address, nowMs);
      for (const [other, leftMs] of watched.left) if (nowMs - leftMs > TURNS_WITHIN_MS) watched.left.delete(other);
      watched.moved = last !== undefined && !watched.left.has(address);
      watched.last = { address, sinceMs: nowMs, answers: 1 };
      watched.known = undefined;
      return;
    }
    last.answers += 1;
    if (watched.known !== undefined || last.answers < (watched.moved ? MOVED_ANSWERS : FIRST_ANSWERS)) return;
    watched.known = { address, sinceMs: last.sinceMs };
    if (watched.moved) for (const key of watched.keys) this.#onMoved(key);
  }
}

async function systemResolve(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}
