// Clients that always want a server, so that no pool ever has one to spare: most with quick transactions, a few with long ones.
import { connectApp, type AppClient } from '../test/parts/stage.ts';

/** How many clients a database has; those with transactions of 1 to 2 s are among them, the others have 1 to 50 ms. */
export type Clients = Readonly<{ all: number; slow: number }>;

export class SaturatingLoad {
  readonly failures: string[] = [];
  /** By database, when quick transactions ended. */
  readonly #endedMs = new Map<string, number[]>();
  readonly #loops: Promise<void>[] = [];
  #stopped = false;

  async start(port: number, database: string, { all, slow }: Clients): Promise<void> {
    this.#endedMs.set(database, []);
    for (let n = 0; n < all; n += 1) {
      this.#loops.push(this.#work(await connectApp(port, database), database, n < slow));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  perSecond(database: string, fromMs: number, toMs: number): number {
    return (this.#ended(database, fromMs, toMs).length * 1000) / (toMs - fromMs);
  }

  /** The longest time in which no quick transaction ended. */
  longestGapMs(database: string, fromMs: number, toMs: number): number {
    const ends = [fromMs, ...this.#ended(database, fromMs, toMs), toMs];
    return Math.round(Math.max(...ends.slice(1).map((at, index) => at - (ends[index] ?? at))));
  }

  #ended(database: string, fromMs: number, toMs: number): readonly number[] {
    return (this.#endedMs.get(database) ?? []).filter((at) => at >= fromMs && at < toMs);
  }

  async #work(client: AppClient, database: string, slow: boolean): Promise<void> {
    while (!this.#stopped) {
      const seconds = slow ? 1 + Math.random() : 0.001 + Math.random() * 0.049;
      try {
        await client.pg.query(`begin; select pg_sleep(${seconds.toFixed(4)}); commit`);
        if (!slow) this.#endedMs.get(database)?.push(performance.now());
      } catch (error) {
        this.failures.push(`${database}: ${String(error)}`);
        return;
      }
    }
    await client.end();
  }
}
