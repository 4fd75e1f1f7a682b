// One pool of a simulated PgBouncer, a (database, user): its servers, its clients, and the rules by which the ones serve the others.
import type { ServerFault } from '../../../src/model/server-view.ts';
import { MEAN_TRANSACTION_MS, residualMs, transactionMs, type Random } from './draws.ts';
import type { Backend, PostgresModel } from './postgres-model.ts';

export type ModelDatabase = {
  readonly name: string;
  host: string | undefined;
  port: number;
  dbname: string;
  poolSize: number | undefined;
  maxConnections: number | undefined;
  /** Its own, in whole seconds; 0 and undefined mean the process's. */
  lifetimeSeconds: number | undefined;
  poolMode: 'transaction' | 'session' | 'statement' | undefined;
  connectQuery: string | undefined;
  paused: boolean;
};

/** Why a client lost its connection without wanting to. */
export type LostBy = 'KILL_CLIENT' | 'SIGTERM' | 'SIGKILL' | 'timeout' | 'server' | 'database removed';

export type ClientEvents = {
  readonly onLost: (by: LostBy, inTransaction: boolean, atMs: number, fault?: ServerFault) => void;
  readonly onLeft?: (atMs: number) => void;
};

export type ModelClient = {
  readonly id: string;
  readonly pool: Pool;
  readonly events: ClientEvents;
  readonly connectMs: number;
  readonly applicationName: string;
  /** `loop`: always wants a server, one transaction after the other. `held`: begins and ends transactions when it is told to. */
  readonly kind: 'loop' | 'held';
  state: 'idle' | 'waiting' | 'active';
  server: ModelServer | undefined;
  waitSinceMs: number;
  /** Its login waits for the pool's first server. */
  awaitsWelcome: boolean;
  /** Leaves when its transaction ends. */
  leaving: boolean;
  /** Of a held one: how long its transaction works once it has a server; Infinity: until it is told to end. */
  wantsMs: number | undefined;
  /** Called when its present transaction has ended well. */
  onServed: (() => void) | undefined;
};

export type ModelServer = {
  readonly id: string;
  readonly pool: Pool;
  readonly connectMs: number;
  /** End of its last use. */
  requestMs: number;
  state: 'login' | 'active' | 'idle';
  closeNeeded: boolean;
  /** When its login or its transaction ends. */
  untilMs: number;
  client: ModelClient | undefined;
  backend: Backend | undefined;
  readonly postgres: PostgresModel | undefined;
  /** How its login is going to fail, when that is known already. */
  loginFault: ServerFault | undefined;
};

export type PoolCounters = { assignments: number; transactions: number; transactionUs: number; waitUs: number };

/** Only state and the moves that concern one pool; what concerns several is the process's. */
export class Pool {
  readonly database: ModelDatabase;
  readonly user: string;
  /** All servers, logins included. */
  readonly servers = new Set<ModelServer>();
  /** The last one released is at the end, and is the first to be used again. */
  readonly idle: ModelServer[] = [];
  readonly waiting: ModelClient[] = [];
  readonly clients = new Set<ModelClient>();
  readonly counters: PoolCounters = { assignments: 0, transactions: 0, transactionUs: 0, waitUs: 0 };
  login: ModelServer | undefined;
  /** A server has logged in since the way to it was changed last. */
  welcome = false;
  connectFailed = false;
  loginFault: ServerFault | undefined;
  lastConnectMs = -Infinity;
  lastLifetimeCloseMs = -Infinity;

  constructor(database: ModelDatabase, user: string) {
    this.database = database;
    this.user = user;
  }

  get connected(): number {
    return this.servers.size - (this.login === undefined ? 0 : 1);
  }

  get active(): number {
    return this.connected - this.idle.length;
  }

  /** Gives an idle server to a client for its next transaction. */
  assign(server: ModelServer, client: ModelClient, nowMs: number, random: Random): void {
    const waited = this.waiting.indexOf(client);
    if (waited >= 0) {
      this.waiting.splice(waited, 1);
      this.counters.waitUs += (nowMs - client.waitSinceMs) * 1_000;
    }
    const position = this.idle.indexOf(server);
    if (position >= 0) this.idle.splice(position, 1);
    this.counters.assignments += 1;
    client.awaitsWelcome = false;
    client.state = 'active';
    client.server = server;
    server.state = 'active';
    server.client = client;
    server.requestMs = nowMs;
    server.untilMs = nowMs + (client.kind === 'loop' ? transactionMs(random) : (client.wantsMs ?? Infinity));
  }

  enqueue(client: ModelClient, nowMs: number): void {
    client.state = 'waiting';
    client.waitSinceMs = nowMs;
    this.waiting.push(client);
  }

  /** Parts a server from its client at the end of a transaction. */
  unlink(server: ModelServer, nowMs: number): ModelClient | undefined {
    const { client } = server;
    server.client = undefined;
    if (client === undefined) return undefined;
    client.server = undefined;
    client.state = 'idle';
    this.counters.transactions += 1;
    this.counters.transactionUs += (nowMs - server.requestMs) * 1_000;
    server.requestMs = nowMs;
    return client;
  }

  park(server: ModelServer): void {
    server.state = 'idle';
    server.untilMs = Infinity;
    this.idle.push(server);
  }

  drop(server: ModelServer): void {
    this.servers.delete(server);
    if (this.login === server) this.login = undefined;
    const position = this.idle.indexOf(server);
    if (position >= 0) this.idle.splice(position, 1);
  }

  /**
   * A stretch of time in which releases change nothing but who is served: transactions are counted, not played, and the one that the server is
   * found in at its end is drawn.
   */
  skip(server: ModelServer, nowMs: number, random: Random): void {
    const skippedMs = nowMs - server.untilMs;
    const passed = 1 + Math.floor(skippedMs / MEAN_TRANSACTION_MS);
    const { counters, waiting } = this;
    counters.transactions += passed;
    counters.assignments += passed;
    counters.transactionUs += (nowMs - server.requestMs) * 1_000;
    server.requestMs = nowMs;
    server.untilMs = nowMs + residualMs(random);
    const next = waiting[0];
    const { client } = server;
    if (next === undefined || client === undefined || next.kind !== 'loop' || next.awaitsWelcome) return;
    waiting.shift();
    counters.waitUs += (nowMs - next.waitSinceMs) * 1_000;
    next.state = 'active';
    next.server = server;
    server.client = next;
    client.server = undefined;
    this.enqueue(client, nowMs - Math.min(skippedMs, residualMs(random)));
  }
}
