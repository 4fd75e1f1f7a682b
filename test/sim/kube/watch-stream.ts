// One open watch: frames reach the reader in order, each after the lag of its kind, until it ends, breaks or is aborted.
import { ApiError } from '../../../src/kube/errors.ts';
import type { WatchFrame } from '../../../src/kube/watch-frames.ts';
import type { Clock, Timer } from '../../../src/runtime/clock.ts';
import { toError } from '../../../src/runtime/errors.ts';
import { frozen } from './json.ts';
import type { ObjectEvent, SimObject } from './object-store.ts';
import type { Matches } from './selectors.ts';

type Reader = {
  readonly resolve: (result: IteratorResult<WatchFrame, void>) => void;
  readonly reject: (error: ApiError) => void;
};

export type WatchStreamOptions = {
  readonly clock: Clock;
  readonly matches: Matches;
  readonly bookmarks: boolean;
  /** Asked for each event: how long it takes to the reader. */
  readonly lagMs: () => number;
};

export class WatchStream implements AsyncGenerator<WatchFrame, void, undefined> {
  readonly #options: WatchStreamOptions;
  /** On their way; the first is due first. */
  readonly #frames: { readonly dueMs: number; readonly frame: WatchFrame }[] = [];
  #timer: Timer | undefined;
  #reader: Reader | undefined;
  #ending: ApiError | 'done' | undefined;
  /** So many more events are lost to this reader, and then the connection breaks. */
  #losing: number | undefined;
  #dead = false;
  readonly #closers: (() => void)[] = [];

  constructor(options: WatchStreamOptions) {
    this.#options = options;
  }

  /** Called once, when it has ended in whatever way. */
  onClosed(closer: () => void): void {
    if (this.#ending === undefined) this.#closers.push(closer);
    else closer();
  }

  /** Takes an event of the watched collection. */
  push(event: ObjectEvent): void {
    const frame = frameOf(event, this.#options.matches);
    if (frame !== undefined) this.#send(frame);
  }

  bookmark(version: number): void {
    const { bookmarks } = this.#options;
    if (bookmarks) this.#send({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(version) } } });
  }

  /** What comes next never arrives; after so many events the connection breaks. */
  lose(count: number): void {
    this.#losing = count;
  }

  /** As by a connection that breaks: what is on its way is lost. */
  break(): void {
    this.#end(new ApiError({ kind: 'unavailable', message: 'while watching: ECONNRESET: the connection broke' }));
  }

  abort(reason: unknown): void {
    this.#end(new ApiError({ kind: 'cancelled', message: 'while watching: cancelled', cause: reason }));
  }

  /** As the server ends a watch at its time-out. */
  end(): void {
    this.#end('done');
  }

  /** Nobody reads any more, and nothing is ever answered. */
  die(): void {
    this.#dead = true;
    this.#end('done');
  }

  next(): Promise<IteratorResult<WatchFrame, void>> {
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
      this.#deliver();
    });
  }

  return(): Promise<IteratorResult<WatchFrame, void>> {
    this.#end('done');
    return Promise.resolve({ done: true, value: undefined });
  }

  throw(error: unknown): Promise<IteratorResult<WatchFrame, void>> {
    this.#end('done');
    return Promise.reject(toError(error));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #send(frame: WatchFrame): void {
    if (this.#ending !== undefined) return;
    if (this.#losing !== undefined) {
      if (frame.type !== 'BOOKMARK') this.#losing -= 1;
      if (this.#losing <= 0) this.break();
      return;
    }
    const { clock, lagMs } = this.#options;
    const last = this.#frames.at(-1)?.dueMs ?? 0;
    this.#frames.push({ dueMs: Math.max(last, clock.monotonicMs() + lagMs()), frame });
    if (this.#frames.length === 1) this.#deliver();
  }

  #deliver(): void {
    const first = this.#frames[0];
    const { clock } = this.#options;
    if (first !== undefined && this.#ending === undefined) {
      const waitMs = first.dueMs - clock.monotonicMs();
      if (waitMs > 0) {
        this.#timer ??= clock.setTimer(waitMs, () => {
          this.#timer = undefined;
          this.#deliver();
        });
        return;
      }
      if (this.#reader === undefined) return;
      this.#frames.shift();
      this.#answer({ done: false, value: first.frame });
      return;
    }
    if (this.#ending === undefined) return;
    if (this.#ending === 'done') this.#answer({ done: true, value: undefined });
    else this.#answer(this.#ending);
  }

  #answer(result: IteratorResult<WatchFrame, void> | ApiError): void {
    const reader = this.#reader;
    if (reader === undefined || this.#dead) return;
    this.#reader = undefined;
    if (result instanceof ApiError) reader.reject(result);
    else reader.resolve(result);
  }

  #end(ending: ApiError | 'done'): void {
    if (this.#ending !== undefined) return;
    this.#ending = ending;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#frames.length = 0;
    for (const closer of this.#closers) closer();
    this.#deliver();
  }
}

/** To a reader with a selector, an object appears when it begins to match and is deleted when it no longer does. */
export function frameOf({ object, former, type }: ObjectEvent, matches: Matches): WatchFrame | undefined {
  const was = former !== undefined && matches(former);
  const is = type !== 'deleted' && matches(object);
  if (is) return { type: was ? 'MODIFIED' : 'ADDED', object };
  if (!was) return undefined;
  return { type: 'DELETED', object: type === 'deleted' ? object : underVersionOf(former, object) };
}

/** The state that the reader knew, under the version at which it left. */
function underVersionOf(former: SimObject, { metadata: { resourceVersion } }: SimObject): SimObject {
  return frozen({ ...former, metadata: { ...former.metadata, resourceVersion } });
}
