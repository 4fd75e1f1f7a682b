// How a simulated PgBouncer opens servers: when a pool may have one more, whom it evicts for room, and how the login ends.
import type { ServerFault } from '../../../src/model/server-view.ts';
import type { Clients } from './clients.ts';
import type { ConfigurationInForce } from './configuration-in-force.ts';
import { between, type Random } from './draws.ts';
import type { ModelServer, Pool } from './pool-model.ts';
import type { Pools } from './pools.ts';
import type { PostgresModel } from './postgres-model.ts';
import { closeServer } from './server-end.ts';
import type { UsersInForce } from './users-in-force.ts';

export type ServerLoginsOptions = {
  /** The pooler's own. */
  readonly ip: string;
  readonly configuration: ConfigurationInForce;
  readonly users: UsersInForce;
  readonly random: Random;
  /** Of a client or server, as SHOW prints it; never the same twice. */
  readonly newId: () => string;
  /** Undefined: the name leads nowhere. */
  readonly postgresAt: (host: string, port: number) => PostgresModel | undefined;
  readonly loginMs?: (random: Random) => number;
};

/** Until PostgreSQL has said no. */
const QUICK_MS = 3;

export class ServerLogins {
  readonly #options: ServerLoginsOptions;
  readonly #pools: Pools;
  readonly #clients: Clients;
  readonly #nowMs: () => number;

  constructor(options: ServerLoginsOptions, pools: Pools, clients: Clients, nowMs: () => number) {
    this.#options = options;
    this.#pools = pools;
    this.#clients = clients;
    this.#nowMs = nowMs;
  }

  /** Begins to open one more server, where nothing forbids it. */
  launch(pool: Pool): void {
    const { configuration } = this.#options;
    const { database } = pool;
    if (pool.login !== undefined) return;
    if (pool.connectFailed && this.#nowMs() - pool.lastConnectMs < configuration.limits.retryMs) return;
    const size = configuration.poolSize(database);
    if (size > 0 && pool.servers.size >= size && pool.welcome) return;
    const most = configuration.maxConnections(database);
    if (most > 0 && !this.#makeRoom((other) => other.database === database, most)) return;
    const mostOfUser = configuration.limits.userMost;
    if (mostOfUser > 0 && !this.#makeRoom((other) => other.user === pool.user, mostOfUser)) return;
    this.#open(pool);
  }

  /** The time of a login is up. Tells whether the server is there to be used. */
  end(server: ModelServer): boolean {
    const { pool, backend, postgres } = server;
    const nowMs = this.#nowMs();
    const fault =
      server.loginFault ??
      (backend === undefined
        ? 'ServerUnreachable'
        : postgres?.authenticate(backend, this.#options.users.password(pool.user), nowMs));
    if (fault !== undefined) {
      this.fail(server, fault);
      return false;
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
    if (server.closeNeeded) closeServer(server, nowMs);
    return !server.closeNeeded;
  }

  fail(server: ModelServer, fault: ServerFault): void {
    const { pool } = server;
    closeServer(server, this.#nowMs());
    pool.connectFailed = true;
    pool.loginFault = fault;
    // PostgreSQL's own words end the clients that log in; that nobody answers is kept from them for client_login_timeout.
    if (fault !== 'ServerUnreachable')
      for (const client of [...pool.waiting]) if (client.awaitsWelcome) this.#clients.lose(client, 'server', fault);
  }

  /** Evicts idle servers, the longest idle first, until there is room for one more among these pools. */
  #makeRoom(belongs: (pool: Pool) => boolean, most: number): boolean {
    const pools = this.#pools.all.filter(belongs);
    const count = (): number => pools.reduce((sum, { servers }) => sum + servers.size, 0);
    while (count() >= most) {
      const oldest = pools
        .flatMap(({ idle }) => idle.slice(0, 1))
        .reduce<ModelServer | undefined>((a, b) => (a === undefined || b.requestMs < a.requestMs ? b : a), undefined);
      if (oldest === undefined) return false;
      closeServer(oldest, this.#nowMs());
    }
    return true;
  }

  #open(pool: Pool): void {
    const { ip, newId, postgresAt, configuration, random, loginMs: drawnMs } = this.#options;
    const nowMs = this.#nowMs();
    const { host = '', port, dbname } = pool.database;
    const postgres = postgresAt(host, port);
    const answer =
      postgres?.admit({ clientAddress: ip, user: pool.user, database: dbname }, nowMs) ?? 'ServerUnreachable';
    const loginMs = drawnMs?.(random) ?? between(random, 2, 15);
    const silentMs = configuration.settings.number('server_connect_timeout') * 1_000;
    const refused = typeof answer === 'string';
    const server: ModelServer = {
      id: newId(),
      pool,
      connectMs: nowMs,
      requestMs: nowMs,
      state: 'login',
      closeNeeded: false,
      untilMs: nowMs + (answer === 'silent' ? silentMs : refused ? QUICK_MS : loginMs),
      client: undefined,
      backend: refused ? undefined : answer,
      postgres,
      loginFault: answer === 'silent' ? 'ServerUnreachable' : refused ? answer : undefined,
    };
    pool.lastConnectMs = nowMs;
    pool.servers.add(server);
    pool.login = server;
  }
}
