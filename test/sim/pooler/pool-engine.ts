// Servers and clients of all pools of one simulated PgBouncer in virtual time: who is served, what opens, what closes.
import type { ServerFault } from '../../../src/model/server-view.ts';
import type { ConfigurationInForce } from './configuration-in-force.ts';
import { between, type Random } from './draws.ts';
import {
  Pool,
  type ClientEvents,
  type LostBy,
  type ModelClient,
  type ModelDatabase,
  type ModelServer,
} from './pool-model.ts';
import type { PostgresModel } from './postgres-model.ts';
import { isQuiet, maintenanceDueMs, maySkip, nextActMs } from './schedule.ts';
import { order } from './show-answers.ts';
import type { UsersInForce } from './users-in-force.ts';

export type NewClient = {
  readonly database: string;
  readonly user: string;
  readonly password: string;
  readonly kind: 'loop' | 'held';
  readonly applicationName?: string;
  readonly events: ClientEvents;
};

export type EngineOptions = {
  readonly ip: string;
  readonly nowMs: number;
  readonly configuration: ConfigurationInForce;
  readonly users: UsersInForce;
  readonly random: Random;
  /** Of a client or server, as SHOW prints it; never the same twice. */
  readonly newId: () => string;
  /** Undefined: the name leads nowhere. */
  readonly postgresAt: (host: string, port: number) => PostgresModel | undefined;
  readonly loginMs?: (random: Random) => number;
  /** The process would end at the next maintenance tick. */
  readonly isToEnd: () => boolean;
  readonly onTick: () => void;
};

const TICK_MS = 1_000 / 3;
const QUICK_MS = 3;

/**
 * Time moves in `advance`, lazily: nothing happens between two calls but what has to be known at the second. Whoever asks or tells anything
 * advances first.
 */
export class PoolEngine {
  readonly #options: EngineOptions;
  readonly #configuration: ConfigurationInForce;
  readonly #random: Random;
  /** In the order of (database, user), as PgBouncer keeps them. */
  #pools: Pool[] = [];
  readonly #clients = new Map<string, ModelClient>();
  #atMs: number;
  #tick = 0;
  #stopped = false;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#configuration = options.configuration;
    this.#random = options.random;
    this.#atMs = options.nowMs;
  }

  get atMs(): number {
    return this.#atMs;
  }

  get pools(): readonly Pool[] {
    return this.#pools;
  }

  get clientCount(): number {
    return this.#clients.size;
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
    for (const client of [...this.#clients.values()]) this.lose(client, by);
    for (const pool of this.#pools) for (const server of [...pool.servers]) this.#close(server);
    this.#stopped = true;
  }

  /** Its machine is gone without a word: PostgreSQL keeps every one of its connections until then. */
  vanish(untilMs: number): void {
    for (const pool of this.#pools)
      for (const server of [...pool.servers]) {
        const { backend, client } = server;
        pool.drop(server);
        if (backend !== undefined && backend.endsMs > this.#atMs)
          Object.assign(backend, { orphan: true, endsMs: untilMs });
        if (client === undefined) continue;
        client.server = undefined;
        this.lose(client, 'SIGKILL', undefined, true);
      }
    for (const client of [...this.#clients.values()]) this.lose(client, 'SIGKILL');
  }

  #isStopped(): boolean {
    return this.#stopped;
  }

  #nextMs(horizonMs: number): number {
    const schedule = { pools: this.#pools, configuration: this.#configuration, nowMs: this.#atMs, horizonMs };
    const maintenanceMs = this.#options.isToEnd() ? this.#atMs : maintenanceDueMs(schedule);
    return Math.min(nextActMs(schedule), this.#tickAtOrAfter(maintenanceMs));
  }

  #tickAtOrAfter(ms: number): number {
    if (ms === Infinity) return ms;
    const tick = Math.max(this.#tick + 1, Math.ceil((ms - this.#options.nowMs) / TICK_MS));
    return this.#options.nowMs + tick * TICK_MS;
  }

  #skipAhead(): void {
    for (const pool of this.#pools) {
      const lifetimeMs = this.#configuration.lifetimeMs(pool.database);
      if (!isQuiet(pool, this.#pools, this.#configuration.limits.userMost)) continue;
      for (const server of pool.servers)
        if (server.state === 'active' && server.untilMs < this.#atMs && maySkip(server, this.#atMs, lifetimeMs))
          pool.skip(server, this.#atMs, this.#random);
    }
  }

  #runDue(horizonMs: number): void {
    const nowMs = this.#atMs;
    for (const pool of this.#pools) {
      const quiet = isQuiet(pool, this.#pools, this.#configuration.limits.userMost);
      const lifetimeMs = this.#configuration.lifetimeMs(pool.database);
      for (const server of [...pool.servers]) {
        if (server.state === 'idle' || server.untilMs > nowMs || !pool.servers.has(server)) continue;
        if (server.state === 'login') this.#endLogin(server);
        else if (!quiet || !maySkip(server, horizonMs, lifetimeMs)) this.#release(server);
      }
    }
    const tick = Math.floor((nowMs - this.#options.nowMs) / TICK_MS + 1e-9);
    if (tick <= this.#tick) return;
    this.#tick = tick;
    this.#maintain();
    this.#options.onTick();
  }

  /** Hands idle servers to waiters and opens servers, pool after pool, as each turn of PgBouncer's event loop does. */
  settle(): void {
    for (let again = true; again;) {
      again = false;
      for (const pool of this.#pools) {
        if (pool.database.paused) {
          for (const server of [...pool.idle]) this.#close(server);
          if (pool.login !== undefined) this.#failLogin(pool.login, 'ServerUnreachable');
          continue;
        }
        for (let client = pool.waiting[0]; client !== undefined; client = pool.waiting[0]) {
          const server = this.#firstIdle(pool);
          if (server === undefined) {
            this.#launch(pool);
            break;
          }
          if (client.awaitsWelcome && !pool.welcome) {
            this.#launch(pool);
            break;
          }
          this.#activate(client, server);
          again = true;
        }
      }
    }
  }

  /** The end of a transaction. */
  #served(client: ModelClient): void {
    const { onServed } = client;
    client.onServed = undefined;
    if (client.kind === 'held') client.wantsMs = undefined;
    onServed?.();
  }

  #activate(client: ModelClient, server: ModelServer): void {
    const { pool } = client;
    if (client.kind === 'held' && client.wantsMs === undefined) {
      // It only waited for its login.
      pool.waiting.splice(pool.waiting.indexOf(client), 1);
      client.state = 'idle';
      client.awaitsWelcome = false;
      return;
    }
    pool.assign(server, client, this.#atMs, this.#random);
  }

  #firstIdle(pool: Pool): ModelServer | undefined {
    for (;;) {
      const server = pool.idle.at(-1);
      if (server?.closeNeeded !== true) return server;
      this.#close(server);
    }
  }

  #launch(pool: Pool): void {
    const nowMs = this.#atMs;
    const { database } = pool;
    if (pool.login !== undefined) return;
    if (pool.connectFailed && nowMs - pool.lastConnectMs < this.#configuration.limits.retryMs) return;
    const size = this.#configuration.poolSize(database);
    if (size > 0 && pool.servers.size >= size && pool.welcome) return;
    const most = this.#configuration.maxConnections(database);
    const ofDatabase = (other: Pool): boolean => other.database === database;
    if (most > 0 && !this.#makeRoom(ofDatabase, most)) return;
    const mostOfUser = this.#configuration.limits.userMost;
    if (mostOfUser > 0 && !this.#makeRoom((other) => other.user === pool.user, mostOfUser)) return;
    this.#open(pool);
  }

  /** Evicts idle servers, the longest idle first, until there is room for one more among these pools. */
  #makeRoom(belongs: (pool: Pool) => boolean, most: number): boolean {
    const pools = this.#pools.filter(belongs);
    const count = (): number => pools.reduce((sum, { servers }) => sum + servers.size, 0);
    while (count() >= most) {
      const oldest = pools
        .flatMap(({ idle }) => idle.slice(0, 1))
        .reduce<ModelServer | undefined>((a, b) => (a === undefined || b.requestMs < a.requestMs ? b : a), undefined);
      if (oldest === undefined) return false;
      this.#close(oldest);
    }
    return true;
  }

  #open(pool: Pool): void {
    const nowMs = this.#atMs;
    const { host = '', port, dbname } = pool.database;
    const postgres = this.#options.postgresAt(host, port);
    const login = { clientAddress: this.#options.ip, user: pool.user, database: dbname };
    const answer = postgres?.admit(login, nowMs) ?? 'ServerUnreachable';
    const loginMs = this.#options.loginMs?.(this.#random) ?? between(this.#random, 2, 15);
    const server: ModelServer = {
      id: this.#options.newId(),
      pool,
      connectMs: nowMs,
      requestMs: nowMs,
      state: 'login',
      closeNeeded: false,
      untilMs:
        nowMs +
        (answer === 'silent'
          ? this.#configuration.settings.number('server_connect_timeout') * 1_000
          : typeof answer === 'string'
            ? QUICK_MS
            : loginMs),
      client: undefined,
      backend: typeof answer === 'string' ? undefined : answer,
      postgres,
      loginFault: answer === 'silent' ? 'ServerUnreachable' : typeof answer === 'string' ? answer : undefined,
    };
    pool.lastConnectMs = nowMs;
    pool.servers.add(server);
    pool.login = server;
  }

  #endLogin(server: ModelServer): void {
    const { pool, backend, postgres } = server;
    const nowMs = this.#atMs;
    const fault =
      server.loginFault ??
      (backend === undefined
        ? 'ServerUnreachable'
        : postgres?.authenticate(backend, this.#options.users.password(pool.user), nowMs));
    if (fault !== undefined) {
      this.#failLogin(server, fault);
      return;
    }
    pool.login = undefined;
    pool.connectFailed = false;
    pool.loginFault = undefined;
    pool.welcome = true;
    for (const client of [...pool.waiting]) {
      client.awaitsWelcome = false;
      if (client.kind === 'held' && client.wantsMs === undefined) {
        pool.waiting.splice(pool.waiting.indexOf(client), 1);
        client.state = 'idle';
      }
    }
    server.requestMs = nowMs;
    if (server.closeNeeded) this.#close(server);
    else this.#park(server);
  }

  #failLogin(server: ModelServer, fault: ServerFault): void {
    const { pool } = server;
    this.#close(server);
    pool.connectFailed = true;
    pool.loginFault = fault;
    // PostgreSQL's own words end the clients that log in; that nobody answers is kept from them for client_login_timeout.
    if (fault !== 'ServerUnreachable')
      for (const client of [...pool.waiting]) if (client.awaitsWelcome) this.lose(client, 'server', fault);
  }

  /** Its own pool's first waiter has it at once, before any other pool could evict it. */
  #park(server: ModelServer): void {
    const { pool } = server;
    pool.park(server);
    const next = pool.waiting[0];
    if (next !== undefined) this.#activate(next, server);
  }

  /** The end of a transaction. */
  #release(server: ModelServer): void {
    const { pool } = server;
    const nowMs = this.#atMs;
    const client = pool.unlink(server, nowMs);
    if (
      server.postgres === undefined ||
      server.backend === undefined ||
      !server.postgres.isOpen(server.backend, nowMs)
    ) {
      // The server went away under it.
      this.#close(server);
      if (client !== undefined) this.lose(client, 'server', 'ServerUnreachable', true);
      return;
    }
    if (client !== undefined) this.#served(client);
    if (this.#isOver(server)) {
      this.#close(server);
      pool.lastLifetimeCloseMs = nowMs;
    } else if (server.closeNeeded) {
      this.#close(server);
    } else if (pool.database.paused) {
      this.#close(server);
    } else {
      this.#park(server);
    }
    if (client?.leaving === true) {
      this.#forget(client);
      client.events.onLeft?.(nowMs);
    } else if (client?.kind === 'loop') {
      // Others that the released server concerns come first; it is back a moment later.
      if (server.state === 'idle' && pool.servers.has(server)) this.settle();
      this.#want(client);
    }
  }

  #want(client: ModelClient): void {
    const { pool } = client;
    const server = pool.database.paused ? undefined : this.#firstIdle(pool);
    if (server !== undefined) {
      pool.assign(server, client, this.#atMs, this.#random);
      return;
    }
    if (!pool.database.paused && pool.loginFault !== undefined && pool.connected === 0) {
      // "server login has been failing"
      const fault = pool.loginFault;
      this.lose(client, 'server', fault);
      this.#launch(pool);
      return;
    }
    pool.enqueue(client, this.#atMs);
  }

  #isOver(server: ModelServer): boolean {
    const { pool } = server;
    const nowMs = this.#atMs;
    if (nowMs - server.connectMs < this.#configuration.lifetimeMs(pool.database)) return false;
    return nowMs - pool.lastLifetimeCloseMs >= this.#configuration.lifetimeGapMs(pool.database);
  }

  /** Closes a server connection properly: its backend ends, unless it is in the middle of something. */
  #close(server: ModelServer): void {
    const { pool, backend, postgres, state, untilMs, client } = server;
    pool.drop(server);
    if (state === 'login' && server.loginFault === undefined) {
      pool.connectFailed = true;
      pool.loginFault ??= 'ServerUnreachable';
    }
    if (backend === undefined || postgres === undefined) return;
    if (client !== undefined && state === 'active' && postgres.isOpen(backend, this.#atMs))
      postgres.orphan(backend, this.#atMs, untilMs);
    else postgres.end(backend);
  }

  #maintain(): void {
    const nowMs = this.#atMs;
    const { idleMs, waitMs, loginMs } = this.#configuration.limits;
    for (const pool of this.#pools) {
      for (const server of [...pool.idle].reverse()) {
        if (server.closeNeeded || (idleMs > 0 && nowMs - server.requestMs > idleMs)) this.#close(server);
        else if (this.#isOver(server)) {
          this.#close(server);
          pool.lastLifetimeCloseMs = nowMs;
        }
      }
      const size = this.#configuration.poolSize(pool.database);
      for (let many = size > 0 ? pool.connected - size : 0; many > 0; many -= 1) {
        const server = pool.idle.at(-1);
        if (server === undefined) break;
        this.#close(server);
      }
      for (const client of [...pool.waiting]) {
        const tooLong = waitMs > 0 && nowMs - client.waitSinceMs > waitMs;
        const noLogin = loginMs > 0 && !pool.welcome && client.awaitsWelcome && nowMs - client.connectMs > loginMs;
        if (tooLong || noLogin) this.lose(client, 'timeout');
      }
    }
  }

  /** PostgreSQL has ended these connections; PgBouncer notices idle ones at once and busy ones with their transaction. */
  noticeLostBackends(): void {
    for (const pool of this.#pools) {
      for (const server of [...pool.servers]) {
        const { backend, postgres, client, state } = server;
        if (state === 'login' || (backend !== undefined && postgres?.isOpen(backend, this.#atMs) === true)) continue;
        this.#close(server);
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
    const client: ModelClient = {
      id: this.#options.newId(),
      pool,
      events: login.events,
      connectMs: this.#atMs,
      applicationName: login.applicationName ?? '',
      kind: login.kind,
      state: 'idle',
      server: undefined,
      waitSinceMs: this.#atMs,
      awaitsWelcome: false,
      leaving: false,
      wantsMs: undefined,
      onServed: undefined,
    };
    this.#clients.set(client.id, client);
    pool.clients.add(client);
    if (!pool.welcome) {
      client.awaitsWelcome = true;
      pool.enqueue(client, this.#atMs);
    } else if (client.kind === 'loop') this.#want(client);
    this.settle();
    return client;
  }

  /** Of a held client: the next transaction, which works for so long once it has a server, or waits for `finish` (Infinity). */
  begin(client: ModelClient, worksMs = Infinity, onServed?: () => void): void {
    client.wantsMs = worksMs;
    client.onServed = onServed;
    if (client.state === 'idle') this.#want(client);
    this.settle();
  }

  finish(client: ModelClient): void {
    client.wantsMs = undefined;
    if (client.server !== undefined) this.#release(client.server);
    this.settle();
  }

  /** The client goes by itself: at once, or at the end of its transaction. */
  leave(client: ModelClient): void {
    if (!this.#clients.has(client.id)) return;
    if (client.state === 'active' && client.kind === 'loop') {
      client.leaving = true;
      return;
    }
    const { server } = client;
    this.#forget(client);
    if (server !== undefined) this.#close(server);
    this.settle();
    client.events.onLeft?.(this.#atMs);
  }

  #forget(client: ModelClient): void {
    const { pool } = client;
    this.#clients.delete(client.id);
    pool.clients.delete(client);
    const position = pool.waiting.indexOf(client);
    if (position >= 0) pool.waiting.splice(position, 1);
  }

  /** Ends a client's connection; the server that serves it goes with it. */
  lose(client: ModelClient, by: LostBy, fault?: ServerFault, wasActive = false): void {
    if (!this.#clients.has(client.id)) return;
    const { server } = client;
    this.#forget(client);
    if (server !== undefined) this.#close(server);
    client.server = undefined;
    client.events.onLost(by, wasActive || server !== undefined, this.#atMs, fault);
  }

  poolOf(database: ModelDatabase, user: string): Pool {
    const known = this.#pools.find((pool) => pool.database === database && pool.user === user);
    if (known !== undefined) return known;
    const pool = new Pool(database, user);
    this.#pools.push(pool);
    this.#pools.sort((a, b) => order(a.database.name, b.database.name) || order(a.user, b.user));
    return pool;
  }

  /** Its servers close when they are released; a login under way is dropped, and counts as failed. */
  markDirty(pool: Pool): void {
    pool.welcome = false;
    for (const server of [...pool.servers]) {
      if (server === pool.login) this.#failLogin(server, 'ServerUnreachable');
      else server.closeNeeded = true;
    }
  }

  /** Cuts its clients and forgets its pools. */
  removeDatabase(database: ModelDatabase): void {
    for (const pool of this.#pools.filter((candidate) => candidate.database === database)) {
      for (const client of [...pool.clients]) this.lose(client, 'database removed');
      for (const server of [...pool.servers]) this.#close(server);
    }
    this.#pools = this.#pools.filter((pool) => pool.database !== database);
  }
}
