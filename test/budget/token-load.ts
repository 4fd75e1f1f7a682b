// Clients that write tokens: as fast as they can, or by a schedule that asks for half of what the fleet can serve. Two libraries, and both ways to keep a connection.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { ThreadTally } from '../../demo/client/tally.ts';
import { until } from '../cluster/processes.ts';
import { auditOrders } from '../support/load.ts';
import { randomOf } from '../support/random.ts';
import { busyMs, MEAN_MS } from './busy-time.ts';
import { nodePostgresClient } from './node-postgres-client.ts';
import { postgresJsClient } from './postgres-js-client.ts';
import { nowMs, type Attempt, type Library, type Offered, type TokenAudit } from './recording.ts';
import type { Client, ClientOptions, Result } from './transaction.ts';

export type LoadAddress = Omit<ClientOptions, 'maxLifetimeMs'>;

export type LoadShape = Readonly<{ offered: Offered; budget: number; seed: number }>;

/** Clients for each connection of the budget. */
const CLIENTS_PER_CONNECTION = 2;
/** Mean time from one due transaction of a client to the next: with it half of the budget's connections are busy. */
const HALF_CYCLE_MS = 2 * CLIENTS_PER_CONNECTION * MEAN_MS;

/** With a transaction of 2 s and the wait for a server still within a drain window of 5 s. */
const LIFETIME_MS = 2_000;
/** How soon a failed transaction is tried again. */
const RETRY_MS = 200;
const STOP_LIMIT_MS = 30_000;

/** Runs from `start` to `stop`. Every fourth client each: library × kept for ever or renewed. */
export class TokenLoad implements AsyncDisposable {
  readonly #clients: readonly Client[];
  readonly #tokens: Record<string, ThreadTally> = {};
  readonly #attempts: Attempt[] = [];
  readonly #errors: Record<string, number> = {};
  readonly #stopping = new AbortController();
  readonly #running: Promise<unknown>;
  readonly #offered: Offered;
  #unfinished: number;

  private constructor(address: LoadAddress, { offered, budget, seed }: LoadShape) {
    const random = randomOf(seed);
    const count = clientsOf(budget);
    this.#offered = offered;
    const run = randomBytes(4).toString('hex');
    const members = Array.from({ length: count }, (_, index) => {
      const library: Library = index % 2 === 0 ? 'node-postgres' : 'postgres.js';
      const recycles = index % 4 < 2;
      // One after the other, not all at once.
      const options = { ...address, maxLifetimeMs: recycles ? LIFETIME_MS * (0.7 + 0.3 * random()) : undefined };
      const client = library === 'node-postgres' ? nodePostgresClient(options) : postgresJsClient(options);
      return { name: `${run}/${index + 1}`, library, recycles, client };
    });
    this.#unfinished = count;
    this.#clients = members.map(({ client }) => client);
    this.#running = Promise.all(members.map((member) => this.#work(member, random)));
  }

  /** Resolves once every client has done a transaction. @throws with the errors when they do not within `timeoutMs`. */
  static async start(address: LoadAddress, shape: LoadShape, timeoutMs = 30_000): Promise<TokenLoad> {
    const load = new TokenLoad(address, shape);
    const clients = clientsOf(shape.budget);
    const working = (): number => Object.values(load.#tokens).filter(({ acknowledged }) => acknowledged > 0).length;
    try {
      await until(`a transaction of each of ${clients} clients`, () => working() === clients || undefined, timeoutMs);
    } catch (error) {
      await load.stop();
      throw new Error(`${(error as Error).message}: ${JSON.stringify(load.#errors)}`, { cause: error });
    }
    return load;
  }

  get attempts(): readonly Attempt[] {
    return this.#attempts;
  }

  get errors(): Readonly<Record<string, number>> {
    return this.#errors;
  }

  /** Ends every client after its transaction. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const timeout = new AbortController();
    const late = sleep(STOP_LIMIT_MS, undefined, { signal: timeout.signal }).then(() => {
      throw new Error(`${this.#unfinished} clients did not end their transaction within ${STOP_LIMIT_MS / 1000} s`);
    });
    try {
      await Promise.race([this.#running, late]);
    } finally {
      timeout.abort();
      late.catch(() => undefined);
    }
    await Promise.all(this.#clients.map((client) => client.end().catch(() => undefined)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** After `stop`: asks every PostgreSQL that it wrote to (`direct`: past the fleet) about every token. */
  async audit(direct: readonly pg.Client[]): Promise<TokenAudit> {
    const { acknowledged, lost, double, unknown } = await auditOrders(direct, this.#tokens);
    return { acknowledged, lost, double, unknown };
  }

  /** False when it is over. Arrivals know nothing of each other, and one that is late does not put off the next. */
  async #isDue(dueMs: number): Promise<boolean> {
    const { signal } = this.#stopping;
    const restMs = dueMs - nowMs();
    if (restMs > 0) await sleep(restMs, undefined, { signal }).catch(() => undefined);
    return !signal.aborted;
  }

  async #work(
    member: Readonly<{ name: string; library: Library; recycles: boolean; client: Client }>,
    random: () => number,
  ): Promise<void> {
    const { signal } = this.#stopping;
    const { name, library, recycles, client } = member;
    const own = { lastSeq: 0, acknowledged: 0, unknown: [] as number[] };
    this.#tokens[name] = own;
    let seq = 1;
    let dueMs = nowMs() + (this.#offered === 'half' ? HALF_CYCLE_MS * random() : 0);
    while (await this.#isDue(dueMs)) {
      const insideMs = busyMs(random());
      const startedMs = nowMs();
      const result = await client.transact({ client: name, seq, acknowledged: own.acknowledged }, insideMs);
      const endedMs = nowMs();
      const outcome = outcomeOf(result, recycles);
      this.#attempts.push({
        dueMs,
        endedMs,
        insideMs,
        addedMs: endedMs - startedMs - insideMs,
        library,
        recycles,
        outcome,
      });
      dueMs = this.#offered === 'all' ? nowMs() : dueMs - HALF_CYCLE_MS * Math.log(1 - random());
      if (result.isDone) {
        own.acknowledged += 1;
        own.lastSeq = seq;
        seq += 1;
        continue;
      }
      const half = recycles ? 'renews its connection' : 'keeps its connection';
      const errorClass = `${library}, ${half}: ${result.errorClass}`;
      this.#errors[errorClass] = (this.#errors[errorClass] ?? 0) + 1;
      if (result.stage === 'committing') {
        // Writing it again could write it twice; only the table knows.
        own.lastSeq = seq;
        own.unknown.push(seq);
        seq += 1;
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
    this.#unfinished -= 1;
  }
}

export function clientsOf(budget: number): number {
  return CLIENTS_PER_CONNECTION * budget;
}

function outcomeOf(result: Result, recycles: boolean): Attempt['outcome'] {
  if (result.isDone) return 'done';
  return !recycles && result.stage === 'before' && result.isClosed ? 'closedBetween' : 'failed';
}
