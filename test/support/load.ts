// Load from this machine through the pod network: many clients placing orders under tokens, and the check that none was lost or doubled.
import { randomBytes } from 'node:crypto';
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import { ORDER_TABLES } from '../../demo/client/order.ts';
import { emptyTally, type Second, type Tally, type ThreadTally } from '../../demo/client/tally.ts';
import { runThread } from '../../demo/client/thread.ts';
import { until } from '../cluster/processes.ts';

export { ORDER_TABLES };

export type LoadOptions = Readonly<{
  host: string;
  port?: number;
  database: string;
  user: string;
  password: string;
  ssl?: ConnectionOptions;
  /** Clients busy at once, each on a connection of its own. Default 10. */
  clients?: number;
  /** Connections are given up after this time, less up to 30 % at random; never when left out. */
  maxLifetimeSeconds?: number;
  /** Mean time between two transactions of one client. Default 20. */
  pauseMs?: number;
  /** Think time inside each transaction: keeps a server connection busy. Default 0. */
  holdMs?: number;
  connectTimeoutMs?: number;
}>;

/** What became of the acknowledged transactions, as PostgreSQL tells it. */
export type Audit = Readonly<{
  acknowledged: number;
  found: number;
  /** Acknowledged, but not in the table. */
  lost: number;
  /** In the table more than once. */
  double: number;
  /** Cut at COMMIT; may be there or not. */
  unknown: number;
  /** Transactions of which only a part is there. */
  torn: number;
}>;

/** Runs from `start` to `stop`. */
export class Load implements AsyncDisposable {
  readonly #pools: readonly pg.Pool[];
  readonly #tally: Tally = emptyTally();
  readonly #stopping = new AbortController();
  readonly #running: Promise<unknown>;

  private constructor(options: LoadOptions) {
    const { clients = 10, maxLifetimeSeconds = 0, pauseMs = 20, holdMs = 0, connectTimeoutMs = 5_000 } = options;
    const { host, port = 5432, database, user, password, ssl } = options;
    const address = { host, port, database, user, password, ...(ssl === undefined ? {} : { ssl }) };
    const name = `load-${randomBytes(4).toString('hex')}`;
    this.#pools = Array.from({ length: clients }, () => {
      const pool = new pg.Pool({
        ...address,
        max: 1,
        // One after the other, not all at once; 0 means no limit.
        maxLifetimeSeconds: maxLifetimeSeconds * (0.7 + 0.3 * Math.random()),
        connectionTimeoutMillis: connectTimeoutMs,
        idleTimeoutMillis: 0,
      });
      pool.on('error', () => undefined);
      return pool;
    });
    const threads = this.#pools.map((pool, index) =>
      runThread(pool, this.#tally, { name: `${name}/${index + 1}`, pauseMs, holdMs }, this.#stopping.signal),
    );
    this.#running = Promise.all(threads);
  }

  /** Resolves once every client has done a transaction. @throws with the errors when they do not within `timeoutMs`. */
  static async start(options: LoadOptions, timeoutMs = 15_000): Promise<Load> {
    const load = new Load(options);
    const clients = options.clients ?? 10;
    const allDone = (): true | undefined =>
      Object.values(load.#tally.threads).filter((thread) => thread.acknowledged > 0).length === clients || undefined;
    try {
      await until(`the first transaction of ${clients} clients`, allDone, timeoutMs);
    } catch (error) {
      await load.stop();
      throw new Error(`${(error as Error).message}: ${JSON.stringify(load.#tally.errors)}`, { cause: error });
    }
    return load;
  }

  /** The counters so far; they keep moving. */
  get tally(): Readonly<Tally> {
    return this.#tally;
  }

  /** The last two minutes, second by second; the present one is incomplete. */
  get seconds(): readonly Readonly<Second>[] {
    return this.#tally.seconds;
  }

  /** A copy of the counters, to subtract later. */
  mark(): LoadMark {
    const { done, failed, retried, unknown } = this.#tally;
    return { done, failed, retried, unknown, atMs: performance.now(), atEpochSecond: Math.floor(Date.now() / 1000) };
  }

  /** What happened since the mark; the longest latency among the seconds kept. */
  since(mark: LoadMark): LoadDifference {
    const { done, failed, retried, unknown, seconds } = this.#tally;
    const tookMs = performance.now() - mark.atMs;
    return {
      done: done - mark.done,
      failed: failed - mark.failed,
      retried: retried - mark.retried,
      unknown: unknown - mark.unknown,
      perSecond: ((done - mark.done) * 1000) / tookMs,
      longestMs: Math.max(0, ...seconds.filter((s) => s.epochSecond >= mark.atEpochSecond).map((s) => s.longestMs)),
    };
  }

  /** Waits until `count` more transactions are done. */
  async done(count: number, timeoutMs = 30_000): Promise<void> {
    const target = this.#tally.done + count;
    await until(`${count} transactions`, () => this.#tally.done >= target || undefined, timeoutMs, 20);
  }

  /** Waits until for so long nothing has succeeded or failed. */
  async quiet(forMs: number, timeoutMs = 30_000): Promise<void> {
    const count = (): number => this.#tally.done + this.#tally.failed;
    let last = { count: count(), atMs: performance.now() };
    const isQuiet = (): true | undefined => {
      if (count() !== last.count) last = { count: count(), atMs: performance.now() };
      return performance.now() - last.atMs >= forMs || undefined;
    };
    await until(`${forMs} ms in which nothing happens`, isQuiet, timeoutMs, 20);
  }

  /** Ends every client after its transaction; answers the final counters. */
  async stop(): Promise<Readonly<Tally>> {
    this.#stopping.abort();
    await this.#running;
    await Promise.all(this.#pools.filter((pool) => !pool.ending).map((pool) => pool.end()));
    return this.#tally;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop().then(() => undefined);
  }

  /** Stops, then asks PostgreSQL (`direct`: past the fleet) about every token; all servers that it wrote to, where there were several. */
  async audit(...direct: readonly pg.Client[]): Promise<Audit> {
    await this.stop();
    return await auditOrders(direct, this.#tally.threads);
  }
}

export type LoadMark = Readonly<{
  done: number;
  failed: number;
  retried: number;
  unknown: number;
  atMs: number;
  atEpochSecond: number;
}>;

export type LoadDifference = Readonly<{
  done: number;
  failed: number;
  retried: number;
  unknown: number;
  perSecond: number;
  longestMs: number;
}>;

/** Compares what threads were told with what the table holds. Threads that are not named are left out, but for `torn`. */
export async function auditOrders(
  direct: readonly pg.Client[],
  threads: Readonly<Record<string, ThreadTally>>,
): Promise<Audit> {
  const found = new Map<string, number>();
  let torn = 0;
  for (const server of direct) {
    const { rows } = await server.query<{ client: string; seq: string; copies: number }>(
      'SELECT client, seq, count(*)::int AS copies FROM placed WHERE client = ANY ($1) GROUP BY client, seq',
      [Object.keys(threads)],
    );
    for (const { client, seq, copies } of rows)
      found.set(`${client} ${seq}`, (found.get(`${client} ${seq}`) ?? 0) + copies);
    const { rows: sums } = await server.query<{ torn: string }>(
      'SELECT abs((SELECT count(*) FROM placed) - (SELECT coalesce(sum(sold), 0) FROM stock)) AS torn',
    );
    torn += Number(sums[0]?.torn ?? 0);
  }
  let acknowledged = 0;
  let lost = 0;
  let unknown = 0;
  for (const [client, thread] of Object.entries(threads)) {
    acknowledged += thread.acknowledged;
    unknown += thread.unknown.length;
    for (let seq = 1; seq <= thread.lastSeq; seq += 1) {
      if (!thread.unknown.includes(seq) && !found.has(`${client} ${seq}`)) lost += 1;
    }
  }
  const double = [...found.values()].filter((copies) => copies > 1).length;
  return { acknowledged, found: found.size, lost, double, unknown, torn };
}
