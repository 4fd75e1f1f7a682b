// What operators write, looked at in the moment of each write: may it be, and when was the last that matters.
import type { SimApi, ObjectEvent } from './kube/sim-api.ts';
import { changedFields, onlySaturation } from './object-changes.ts';
import { FOREIGN_LABEL } from './surroundings.ts';
import { Violation, type Watchman } from './watchman.ts';

export type OperatorWritesOptions = {
  readonly api: SimApi;
  readonly watchman: Pick<Watchman, 'checkGrant'>;
  /** The generation that the operator of this epoch last planned for. */
  readonly seen: (epoch: number) => number | undefined;
};

export class OperatorWrites {
  readonly #options: OperatorWritesOptions;
  #lastMs = 0;
  #last: Pick<ObjectEvent, 'former' | 'object'> | undefined;
  #violation: Violation | undefined;

  constructor(options: OperatorWritesOptions) {
    this.#options = options;
    options.api.subscribe((event) => {
      this.#note(event);
    });
  }

  /** On the clock's monotonic time. Told saturation does not count: it comes and goes with the load, at most once in a while. */
  get lastMs(): number {
    return this.#lastMs;
  }

  describeLast(): string {
    if (this.#last === undefined) return 'nothing';
    const { former, object } = this.#last;
    return `${object.kind} ${object.metadata.name}: ${changedFields(former, object)}`;
  }

  /** @throws Violation the first that was written; the store tells its listeners in the middle of a write, which is not the place. */
  check(): void {
    if (this.#violation !== undefined) throw this.#violation;
  }

  #note(event: ObjectEvent): void {
    const { object, former, writer } = event;
    if (object.kind === 'Event' || object.kind === 'Lease') return;
    const epoch = /^operator-(\d+)$/.exec(writer)?.[1];
    if (epoch === undefined) return;
    if (object.kind !== 'PoolConfig' || !onlySaturation(former, object)) this.#lastMs = event.atMs;
    this.#last = { former, object };
    try {
      this.#judge(event, Number(epoch));
    } catch (thrown) {
      if (!(thrown instanceof Violation)) throw thrown;
      this.#violation ??= thrown;
    }
  }

  #judge({ type, object, former }: ObjectEvent, epoch: number): void {
    if (former?.metadata.labels?.[FOREIGN_LABEL] !== undefined)
      throw new Violation(`${object.kind} ${object.metadata.name} belongs to somebody else and was ${type}`);
    if (object.kind === 'Pod' && type !== 'deleted')
      this.#options.watchman.checkGrant(former, object, epoch, this.#options.seen(epoch));
  }
}
