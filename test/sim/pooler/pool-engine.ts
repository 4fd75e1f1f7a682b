// All pools of one simulated PgBouncer in virtual time: what happens by itself as time passes, and what is done to clients, servers and databases.
import { Clients, type NewClient } from './clients.ts';
import type { ConfigurationInForce } from './configuration-in-force.ts';
import { maintain } from './maintenance.ts';
import type { ModelClient, ModelDatabase, Pool } from './pool-model.ts';
import { Pools } from './pools.ts';
import { isQuiet, maintenanceDueMs, maySkip, nextActMs } from './schedule.ts';
import { closeServer } from './server-end.ts';
import { ServerLogins, type ServerLoginsOptions } from './server-logins.ts';
import { Serving } from './serving.ts';

export type EngineOptions = ServerLoginsOptions & {
  readonly nowMs: number;
  /** The process would end at the next maintenance tick. */
  readonly isToEnd: () => boolean;
  readonly onTick: () => void;
};

const TICK_MS = 1_000 / 3;

/**
 * Time moves in `advance`, lazily: nothing happens between two calls but what has to be known at the second. Whoever asks or tells anything
 * advances first.
 */
export class PoolEngine {
  readonly #options: EngineOptions;
  readonly #configuration: ConfigurationInForce;
  readonly #pools = new Pools();
  readonly #clients: Clients;
  readonly #logins: ServerLogins;
  readonly #serving: Serving;
  #atMs: number;
  #tick = 0;
  #stopped = false;

  constructor(options: EngineOptions) {
    const { configuration, random } = options;
    const pools = this.#pools;
    const nowMs = (): number => this.#atMs;
    const clients = new Clients(nowMs);
    const logins = new ServerLogins(options, pools, clients, nowMs);
    this.#options = options;
    this.#configuration = configuration;
    this.#clients = clients;
    this.#logins = logins;
    this.#serving = new Serving({ pools, clients, logins, configuration, random, nowMs });
    this.#atMs = options.nowMs;
  }

  get atMs(): number {
    return this.#atMs;
  }

  get pools(): readonly Pool[] {
    return this.#pools.all;
  }

  get clientCount(): number {
    return this.#clients.count;
  }

  client(id: string): ModelClient | undefined {
    return this.#clients.get(id);
  }

  advance(nowMs: number): void {
    if (nowMs <= this.#atMs) return;
    while (!this.#stopped) {
      const nextMs = this.#nextMs(nowMs);
      if (nextMs > nowMs) break;
      this.#atMs = Math.max(this.#atMs, nextMs);
      this.#runDue(nowMs);
      if (!this.#isStopped()) this.settle();
    }
    if (this.#stopped) return;
    this.#atMs = nowMs;
    this.#skipAhead();
  }

  /** The end of the process: every client is cut, every server connection closed. */
  stop(by: 'SIGTERM' | 'SIGKILL'): void {
    this.#clients.loseAll(by);
    for (const pool of this.pools) for (const server of [...pool.servers]) closeServer(server, this.#atMs);
    this.#stopped = true;
  }

  /** Its machine is gone without a word: PostgreSQL keeps every one of its connections until then. */
  vanish(untilMs: number): void {
    for (const pool of this.pools)
      for (const server of [...pool.servers]) {
        const { backend, client } = server;
        pool.drop(server);
        if (backend !== undefined && backend.endsMs > this.#atMs)
          Object.assign(backend, { orphan: true, endsMs: untilMs });
        if (client === undefined) continue;
        client.server = undefined;
        this.lose(client, 'SIGKILL', undefined, true);
      }
    this.#clients.loseAll('SIGKILL');
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  #nextMs(horizonMs: number): number {
    const schedule = { pools: this.pools, configuration: this.#configuration, nowMs: this.#atMs, horizonMs };
    const maintenanceMs = this.#options.isToEnd() ? this.#atMs : maintenanceDueMs(schedule);
    return Math.min(nextActMs(schedule), this.#tickAtOrAfter(maintenanceMs));
  }

  #tickAtOrAfter(ms: number): number {
    if (ms === Infinity) return ms;
    const tick = Math.max(this.#tick + 1, Math.ceil((ms - this.#options.nowMs) / TICK_MS));
    return this.#options.nowMs + tick * TICK_MS;
  }

  #skipAhead(): void {
    for (const pool of this.pools) {
      const lifetimeMs = this.#configuration.lifetimeMs(pool.database);
      if (!isQuiet(pool, this.pools, this.#configuration.limits.userMost)) continue;
      for (const server of pool.servers)
        if (server.state === 'active' && server.untilMs < this.#atMs && maySkip(server, this.#atMs, lifetimeMs))
          pool.skip(server, this.#atMs, this.#options.random);
    }
  }

  #runDue(horizonMs: number): void {
    const nowMs = this.#atMs;
    for (const pool of this.pools) {
      const quiet = isQuiet(pool, this.pools, this.#configuration.limits.userMost);
      const lifetimeMs = this.#configuration.lifetimeMs(pool.database);
      for (const server of [...pool.servers]) {
        if (server.state === 'idle' || server.untilMs > nowMs || !pool.servers.has(server)) continue;
        if (server.state === 'login') {
          if (this.#logins.end(server)) this.#serving.park(server);
        } else if (!quiet || !maySkip(server, horizonMs, lifetimeMs)) this.#serving.release(server);
      }
    }
    const tick = Math.floor((nowMs - this.#options.nowMs) / TICK_MS + 1e-9);
    if (tick <= this.#tick) return;
    this.#tick = tick;
    maintain(this.pools, this.#clients, this.#configuration, nowMs);
    this.#options.onTick();
  }

  settle(): void {
    this.#serving.settle();
  }

  /** PostgreSQL has ended these connections; PgBouncer notices idle ones at once and busy ones with their transaction. */
  noticeLostBackends(): void {
    for (const pool of this.pools) {
      for (const server of [...pool.servers]) {
        const { backend, postgres, client, state } = server;
        if (state === 'login' || (backend !== undefined && postgres?.isOpen(backend, this.#atMs) === true)) continue;
        closeServer(server, this.#atMs);
        if (client !== undefined) {
          client.server = undefined;
          server.client = undefined;
          this.lose(client, 'server', 'ServerUnreachable', true);
        }
      }
    }
    this.settle();
  }

  /** A client that was let in; perhaps its login goes on until the pool has its first server. */
  admit(login: NewClient, database: ModelDatabase): ModelClient {
    const pool = this.poolOf(database, login.user);
    const client = this.#clients.add(this.#options.newId(), pool, login);
    if (!pool.welcome) {
      client.awaitsWelcome = true;
      pool.enqueue(client, this.#atMs);
    } else if (client.kind === 'loop') this.#serving.want(client);
    this.settle();
    return client;
  }

  /** Of a held client: the next transaction, which works for so long once it has a server, or waits for `finish` (Infinity). */
  begin(client: ModelClient, worksMs = Infinity, onServed?: () => void): void {
    client.wantsMs = worksMs;
    client.onServed = onServed;
    if (client.state === 'idle') this.#serving.want(client);
    this.settle();
  }

  finish(client: ModelClient): void {
    client.wantsMs = undefined;
    if (client.server !== undefined) this.#serving.release(client.server);
    this.settle();
  }

  /** The client goes by itself: at once, or at the end of its transaction. */
  leave(client: ModelClient): void {
    if (this.#clients.get(client.id) === undefined) return;
    if (client.state === 'active' && client.kind === 'loop') {
      client.leaving = true;
      return;
    }
    const { server } = client;
    this.#clients.forget(client);
    if (server !== undefined) closeServer(server, this.#atMs);
    this.settle();
    client.events.onLeft?.(this.#atMs);
  }

  /** Ends a client's connection; the server that serves it goes with it. */
  lose(...args: Parameters<Clients['lose']>): void {
    this.#clients.lose(...args);
  }

  poolOf(database: ModelDatabase, user: string): Pool {
    return this.#pools.of(database, user);
  }

  /** Its servers close when they are released; a login under way is dropped, and counts as failed. */
  markDirty(pool: Pool): void {
    pool.welcome = false;
    for (const server of [...pool.servers]) {
      if (server === pool.login) this.#logins.fail(server, 'ServerUnreachable');
      else server.closeNeeded = true;
    }
  }

  /** Cuts its clients and forgets its pools. */
  removeDatabase(database: ModelDatabase): void {
    for (const pool of this.#pools.ofDatabase(database)) {
      for (const client of [...pool.clients]) this.lose(client, 'database removed');
      for (const server of [...pool.servers]) closeServer(server, this.#atMs);
    }
    this.#pools.forget(database);
  }
}
