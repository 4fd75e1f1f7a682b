// Samples of PostgreSQL's backends by client address, taken on a thread of their own.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type pg from 'pg';
import { until } from '../cluster/processes.ts';
import { nowMs, type Sample } from './recording.ts';
import type { SamplerInput, SamplerOrder } from './sampler-worker.ts';

const EVERY_MS = 35;
const FIRST_LIMIT_MS = 10_000;

/** Runs from `start` to `stop`; survives a server that goes away and comes back. */
export class Sampler implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #samples: Sample[] = [];
  #failure: Error | undefined;

  private constructor(input: SamplerInput) {
    this.#worker = new Worker(new URL('./sampler-worker.ts', import.meta.url), { workerData: input });
    this.#worker.on('message', (sample: Sample) => {
      this.#samples.push(sample);
    });
    this.#worker.on('error', (error: Error) => {
      this.#failure = error;
    });
  }

  /** Resolves with the first sample taken. `address` is PostgreSQL itself, as a role with pg_monitor; roles that are not the fleet's are left out. */
  static async start(address: pg.ClientConfig, ignoreRoles: readonly string[]): Promise<Sampler> {
    const sampler = new Sampler({ address, ignoreRoles, everyMs: EVERY_MS });
    const first = (): true | undefined => {
      sampler.#throwIfFailed();
      return sampler.#samples.length > 0 || undefined;
    };
    await until('the first sample of backends', first, FIRST_LIMIT_MS);
    return sampler;
  }

  get samples(): readonly Sample[] {
    this.#throwIfFailed();
    return this.#samples;
  }

  /** From now on the backends that this address has already are told apart: their PgBouncer was killed. */
  lost(address: string): void {
    this.#worker.postMessage({ kind: 'lost', address, beforeMs: nowMs() } satisfies SamplerOrder);
  }

  async stop(): Promise<void> {
    const ended = once(this.#worker, 'exit');
    this.#worker.postMessage({ kind: 'stop' } satisfies SamplerOrder);
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw new Error('the sampler ended by itself', { cause: this.#failure });
  }
}
