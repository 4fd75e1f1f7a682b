// Samples of PostgreSQL's backends by client address, taken by a process of their own.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type pg from 'pg';
import { until } from '../cluster/processes.ts';
import { nowMs, type Sample } from './recording.ts';
import type { SamplerOrder } from './sampler-process.ts';

const EVERY_MS = 35;
const FIRST_LIMIT_MS = 20_000;

/** Runs from `start` to `stop`; survives a server that goes away and comes back. */
export class Sampler implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #samples: Sample[] = [];
  #isStopping = false;
  #hasEnded = false;

  private constructor() {
    this.#process = fork(join(import.meta.dirname, 'sampler-process.ts'));
    this.#process.on('message', (sample) => {
      this.#samples.push(sample as Sample);
    });
    this.#process.on('exit', () => {
      this.#hasEnded = true;
    });
  }

  /** Resolves with the first sample taken. `addresses` are PostgreSQL itself, as a role with pg_monitor; of several servers the sum is taken. Roles that are not the fleet's are left out. */
  static async start(addresses: readonly pg.ClientConfig[], ignoreRoles: readonly string[]): Promise<Sampler> {
    const sampler = new Sampler();
    sampler.#order({ kind: 'start', addresses, ignoreRoles, everyMs: EVERY_MS });
    const first = (): true | undefined => sampler.samples.length > 0 || undefined;
    await until('the first sample of backends', first, FIRST_LIMIT_MS);
    return sampler;
  }

  /** @throws when the sampler has ended by itself. */
  get samples(): readonly Sample[] {
    if (this.#hasEnded && !this.#isStopping) throw new Error('the sampler ended by itself');
    return this.#samples;
  }

  /** From now on the backends that this address has already are told apart: their PgBouncer was killed. */
  lost(address: string): void {
    this.#order({ kind: 'lost', address, beforeMs: nowMs() });
  }

  async stop(): Promise<void> {
    if (this.#hasEnded) return;
    this.#isStopping = true;
    const ended = once(this.#process, 'exit');
    this.#order({ kind: 'stop' });
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #order(order: SamplerOrder): void {
    this.#process.send(order);
  }
}
