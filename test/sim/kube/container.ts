// The one container of a pod: its process, the end of it, the next one, and what status tells of all that.
import type { Pod } from '../../../src/kube/resources.ts';
import { isoTime } from '../../../src/model/iso-time.ts';
import { CONTAINER } from '../../../src/model/names.ts';
import type { PoolerStart, RunningPooler, StartPooler } from '../contracts.ts';

export type ContainerStatus = NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number];

type Terminated = {
  readonly containerID: string;
  readonly exitCode: number;
  readonly reason: string;
  readonly startedAt: string;
  readonly finishedAt: string;
};
type State =
  | { readonly waiting: { readonly reason: string; readonly message?: string } }
  | { readonly running: { readonly startedAt: string } }
  | { readonly terminated: Terminated };

/** Between two processes it keeps what is known of the last one. */
export class Container {
  readonly #image: string;
  #state: State = { waiting: { reason: 'ContainerCreating' } };
  #last: Terminated | undefined;
  #id: string | undefined;
  #startedAtMs = 0;
  #process: RunningPooler | undefined;
  #starts = 0;
  ready = false;

  constructor(image: string) {
    this.#image = image;
  }

  get running(): boolean {
    return this.#process !== undefined;
  }

  get restartCount(): number {
    return Math.max(0, this.#starts - 1);
  }

  /** `onEnd` is told once, also when the process could not even start. */
  start(
    start: StartPooler,
    facts: Omit<PoolerStart, 'onExit'>,
    nowMs: number,
    onEnd: (exitCode: number) => void,
  ): void {
    this.#starts += 1;
    this.#id = facts.containerId;
    this.#startedAtMs = nowMs;
    this.#state = { running: { startedAt: isoTime(nowMs) } };
    const life = { over: false };
    const onExit = (exitCode: number): void => {
      if (life.over) return;
      life.over = true;
      this.#process = undefined;
      onEnd(exitCode);
    };
    try {
      const process = start({ ...facts, onExit });
      if (!life.over) this.#process = process;
    } catch {
      onExit(1);
    }
  }

  signal(name: 'SIGTERM' | 'SIGKILL'): void {
    this.#process?.signal(name);
  }

  /** Status takes note that the process has ended. */
  noteEnd(exitCode: number, endedAtMs: number): void {
    this.ready = false;
    const terminated = {
      containerID: this.#id ?? '',
      exitCode,
      reason: exitCode === 0 ? 'Completed' : 'Error',
      startedAt: isoTime(this.#startedAtMs),
      finishedAt: isoTime(endedAtMs),
    };
    this.#last = terminated;
    this.#state = { terminated };
  }

  wait(reason: string, message?: string): void {
    this.#state = { waiting: { reason, ...(message === undefined ? {} : { message }) } };
  }

  status(): ContainerStatus {
    const running = 'running' in this.#state;
    const ended = 'terminated' in this.#state;
    return {
      name: CONTAINER,
      image: this.#image,
      imageID: '',
      ...(this.#id === undefined ? {} : { containerID: this.#id }),
      state: this.#state,
      // The end of the present container stands in `state` until the next one begins.
      ...(this.#last === undefined || ended ? {} : { lastState: { terminated: this.#last } }),
      ready: this.ready,
      started: running,
      restartCount: this.restartCount,
    };
  }
}
