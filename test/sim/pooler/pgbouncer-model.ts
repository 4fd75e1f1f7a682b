// A model of one PgBouncer 1.26.1 process: whom it lets in, what its console answers and does, and how it ends.
import type { PoolerView, DatabaseRow, PoolRow } from '../../../src/model/pooler-view.ts';
import { PLACE } from '../../../src/model/names.ts';
import type { ClientRow, ServerRow } from '../../../src/pgbouncer/show.ts';
import type { PoolerStart } from '../contracts.ts';
import { ConfigurationInForce } from './configuration-in-force.ts';
import type { NewClient } from './clients.ts';
import { PoolEngine, type EngineOptions } from './pool-engine.ts';
import type { ModelClient, Pool } from './pool-model.ts';
import { clientRows, databaseRows, poolRows, serverRows, statsRows } from './show-answers.ts';
import { UsersInForce } from './users-in-force.ts';

export type RefusedReload = { readonly message: string; readonly atLine?: number };

export type PgbouncerOptions = PoolerStart &
  Pick<EngineOptions, 'nowMs' | 'random' | 'newId' | 'postgresAt' | 'loginMs'> & {
    /** Wall-clock time of monotonic zero, for the times that SHOW prints. */
    readonly wallZeroMs: number;
    readonly bootFile?: string;
    /** Asked at each RELOAD. `atLine` counts from 1; without it nothing of the file is applied. */
    readonly refuseReload?: (reload: {
      readonly pod: string;
      readonly file: string;
      readonly text: string;
    }) => RefusedReload | undefined;
  };

/** Why a connection was not let in. */
export type TurnedAway = 'gone' | 'shutting down' | 'password' | 'no such database' | 'max_client_conn';

/** A change of one of them makes PgBouncer log every server in anew. */
const TLS_KEYS = [
  ...['server_tls_sslmode', 'server_tls_ca_file', 'server_tls_key_file', 'server_tls_cert_file'],
  ...['server_tls_protocols', 'server_tls_ciphers', 'server_tls13_ciphers'],
];

/** Whoever asks or tells it anything advances it to the present first. */
export class PgbouncerModel {
  readonly start: PoolerStart;
  /** Open console sessions; each keeps a process alive that was told to end when its clients have gone. */
  sessions = 0;
  exited = false;
  shuttingDown = false;
  readonly #options: PgbouncerOptions;
  readonly #configuration = new ConfigurationInForce();
  readonly #users = new UsersInForce();
  readonly #engine: PoolEngine;

  constructor(options: PgbouncerOptions) {
    this.start = options;
    this.#options = options;
    this.#engine = new PoolEngine({
      ...options,
      configuration: this.#configuration,
      users: this.#users,
      isToEnd: () => this.#isToEnd(),
      onTick: () => {
        if (this.#isToEnd()) this.#exit(0);
      },
    });
    const file = options.bootFile ?? PLACE.bootFile;
    this.#configuration.settings.load('conffile', file, true);
    const text = options.disk.read(file);
    if (text === undefined || !this.#configuration.load(text, true).taken)
      throw new Error(`${options.pod}: PgBouncer exits: cannot load config file`);
    this.#loadUsers();
  }

  get pools(): readonly Pool[] {
    return this.#engine.pools;
  }

  advance(nowMs: number): void {
    if (!this.exited) this.#engine.advance(nowMs);
  }

  /** PostgreSQL has ended connections, and this process is told by the network. */
  noticeLostBackends(): void {
    this.#engine.noticeLostBackends();
  }

  // Clients

  /** A client's login: it is in, perhaps waiting for the pool's first server, or it was turned away. */
  accept(login: NewClient): ModelClient | TurnedAway {
    if (this.exited) return 'gone';
    if (this.shuttingDown) return 'shutting down';
    const database = this.#configuration.databases.get(login.database);
    // The pool is there before the password is looked at.
    if (database !== undefined && this.#users.has(login.user)) this.#engine.poolOf(database, login.user);
    if (!this.letsIn(login.user, login.password)) return 'password';
    if (database === undefined) return 'no such database';
    if (this.#engine.clientCount >= this.#configuration.settings.number('max_client_conn')) return 'max_client_conn';
    return this.#engine.admit(login, database);
  }

  begin(...args: Parameters<PoolEngine['begin']>): void {
    this.#engine.begin(...args);
  }

  finish(client: ModelClient): void {
    this.#engine.finish(client);
  }

  leave(client: ModelClient): void {
    this.#engine.leave(client);
  }

  // Logins

  /** Whether this user with this password is let in, by the users that are loaded. */
  letsIn(user: string, password: string): boolean {
    return this.#users.letsIn(user, password);
  }

  isAdmin(user: string): boolean {
    return this.#listed('admin_users', user);
  }

  mayShow(user: string): boolean {
    return this.isAdmin(user) || this.#listed('stats_users', user);
  }

  #listed(setting: string, user: string): boolean {
    return this.#configuration.settings
      .text(setting)
      .split(',')
      .some((name) => name.trim() === user);
  }

  /** A missing file leaves the users as they are. */
  #loadUsers(): void {
    const text = this.start.disk.read(this.#configuration.settings.text('auth_file'));
    if (text !== undefined) this.#users.load(text);
  }

  // Console

  get config(): ReadonlyMap<string, string> {
    return this.#configuration.settings.view;
  }

  set(key: string, value: string): boolean {
    const taken = this.#configuration.settings.set(key, value);
    this.#engine.settle();
    return taken;
  }

  /** False when PgBouncer answers `RELOAD failed`; what came before the bad line is then in force, and the defaults behind it. */
  reload(): boolean {
    const { settings } = this.#configuration;
    const file = settings.text('conffile');
    const text = this.start.disk.read(file);
    if (text === undefined) return false;
    const refused = this.#options.refuseReload?.({ pod: this.start.pod, file, text });
    if (refused !== undefined && refused.atLine === undefined) return false;
    const tls = (): string => TLS_KEYS.map((key) => settings.text(key)).join('\n');
    const former = tls();
    const { taken, moved, removed } = this.#configuration.load(text, false, refused?.atLine);
    const changedTls = tls() !== former;
    for (const pool of this.pools) if (changedTls || moved.includes(pool.database)) this.#engine.markDirty(pool);
    for (const database of removed) this.#engine.removeDatabase(database);
    if (taken) this.#loadUsers();
    this.#engine.settle();
    return taken;
  }

  /** Puts a database out of use for new transactions; true when none is running, so that PAUSE answers at once. Undefined: no such database. */
  pause(name: string): boolean | undefined {
    const database = this.#configuration.databases.get(name);
    if (database === undefined) return undefined;
    database.paused = true;
    const mine = this.pools.filter((pool) => pool.database === database);
    const active = mine.reduce((sum, pool) => sum + pool.active, 0);
    this.#engine.settle();
    return active === 0;
  }

  /** What a PAUSE that could not answer at once waits for: no transaction in any database that is paused. */
  get pausesAreOver(): boolean {
    const paused = this.pools.filter(({ database }) => database.paused);
    return paused.length > 0 && paused.every(({ active }) => active === 0);
  }

  /** False: no such database, or one that is not paused. */
  resume(name: string): boolean {
    const database = this.#configuration.databases.get(name);
    if (database?.paused !== true) return false;
    database.paused = false;
    this.#engine.settle();
    return true;
  }

  /** Its servers close when they are released. False: no such database. */
  reconnect(name: string): boolean {
    const database = this.#configuration.databases.get(name);
    if (database === undefined) return false;
    for (const pool of this.pools) if (pool.database === database) this.#engine.markDirty(pool);
    this.#engine.settle();
    return true;
  }

  /** False when there is no such client. */
  killClient(id: string): boolean {
    const client = this.#engine.client(id);
    if (client === undefined) return false;
    this.#engine.lose(client, 'KILL_CLIENT');
    this.#engine.settle();
    return true;
  }

  showDatabases(): readonly DatabaseRow[] {
    return databaseRows(this.pools, this.#configuration);
  }

  showPools(): readonly PoolRow[] {
    return poolRows(this.pools, this.#engine.atMs);
  }

  showClients(): readonly ClientRow[] {
    return clientRows(this.pools, (ms) => this.#timeText(ms));
  }

  showServers(): readonly ServerRow[] {
    return serverRows(this.pools, (ms) => this.#timeText(ms));
  }

  read(): PoolerView {
    const databases = this.showDatabases();
    return {
      version: '1.26.1',
      config: this.config,
      databases,
      pools: this.showPools(),
      stats: statsRows(this.pools),
      peers: this.#configuration.peers,
      clients: databases.reduce((sum, { currentClientConnections }) => sum + currentClientConnections, 0),
    };
  }

  #timeText(ms: number): string {
    return new Date(this.#options.wallZeroMs + ms).toISOString().slice(0, 19).replace('T', ' ').concat(' UTC');
  }

  // End

  /** The first SIGTERM waits for the clients, the second does not. */
  signal(name: 'SIGTERM' | 'SIGKILL'): void {
    if (this.exited) return;
    if (name === 'SIGTERM' && !this.shuttingDown) this.shuttingDown = true;
    else this.#exit(name === 'SIGKILL' ? 137 : 0, name);
  }

  /** Its machine is gone without a word: PostgreSQL keeps every one of its connections until then. */
  vanish(untilMs: number): void {
    if (this.exited) return;
    this.#engine.vanish(untilMs);
    this.#exit(137, 'SIGKILL');
  }

  #isToEnd(): boolean {
    return this.shuttingDown && this.#engine.clientCount === 0 && this.sessions === 0;
  }

  #exit(code: number, by: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): void {
    this.exited = true;
    this.#engine.stop(by);
    this.sessions = 0;
    this.start.onExit(code);
  }
}
