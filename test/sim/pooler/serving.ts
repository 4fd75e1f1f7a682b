// Who is served in a simulated PgBouncer: servers handed to clients, transaction after transaction.
import type { Clients } from './clients.ts';
import type { ConfigurationInForce } from './configuration-in-force.ts';
import type { Random } from './draws.ts';
import type { ModelClient, ModelServer, Pool } from './pool-model.ts';
import type { Pools } from './pools.ts';
import { closeAtLifetime, closeServer, isOver } from './server-end.ts';
import type { ServerLogins } from './server-logins.ts';

export type ServingOptions = {
  readonly pools: Pools;
  readonly clients: Clients;
  readonly logins: ServerLogins;
  readonly configuration: ConfigurationInForce;
  readonly random: Random;
  readonly nowMs: () => number;
};

export class Serving {
  readonly #options: ServingOptions;

  constructor(options: ServingOptions) {
    this.#options = options;
  }

  /** Hands idle servers to waiters and opens servers, pool after pool, as each turn of PgBouncer's event loop does. */
  settle(): void {
    const { pools, logins } = this.#options;
    for (let again = true; again;) {
      again = false;
      for (const pool of pools.all) {
        if (pool.database.paused) {
          for (const server of [...pool.idle]) this.#close(server);
          if (pool.login !== undefined) logins.fail(pool.login, 'ServerUnreachable');
        } else if (this.#serveWaiters(pool)) again = true;
      }
    }
  }

  /** A client wants a server for its next transaction: it has one at once, waits, or is turned away. */
  want(client: ModelClient): void {
    const { clients, logins, random, nowMs } = this.#options;
    const { pool } = client;
    const server = pool.database.paused ? undefined : this.#firstIdle(pool);
    if (server !== undefined) {
      pool.assign(server, client, nowMs(), random);
      return;
    }
    if (!pool.database.paused && pool.loginFault !== undefined && pool.connected === 0) {
      // "server login has been failing"
      clients.lose(client, 'server', pool.loginFault);
      logins.launch(pool);
      return;
    }
    pool.enqueue(client, nowMs());
  }

  /** The end of a transaction. */
  release(server: ModelServer): void {
    const { clients, configuration } = this.#options;
    const nowMs = this.#options.nowMs();
    const { pool, postgres, backend } = server;
    const client = pool.unlink(server, nowMs);
    if (postgres === undefined || backend === undefined || !postgres.isOpen(backend, nowMs)) {
      // The server went away under it.
      this.#close(server);
      if (client !== undefined) clients.lose(client, 'server', 'ServerUnreachable', true);
      return;
    }
    if (client !== undefined) noteServed(client);
    if (isOver(server, configuration, nowMs)) closeAtLifetime(server, nowMs);
    else if (server.closeNeeded || pool.database.paused) this.#close(server);
    else this.park(server);
    if (client?.leaving === true) {
      clients.forget(client);
      client.events.onLeft?.(nowMs);
    } else if (client?.kind === 'loop') {
      // Others that the released server concerns come first; it is back a moment later.
      if (server.state === 'idle' && pool.servers.has(server)) this.settle();
      this.want(client);
    }
  }

  /** Its own pool's first waiter has it at once, before any other pool could evict it. */
  park(server: ModelServer): void {
    const { pool } = server;
    pool.park(server);
    const next = pool.waiting[0];
    if (next !== undefined) this.#activate(next, server);
  }

  /** Tells whether anybody was served. */
  #serveWaiters(pool: Pool): boolean {
    const { logins } = this.#options;
    let served = false;
    for (let client = pool.waiting[0]; client !== undefined; client = pool.waiting[0]) {
      const server = this.#firstIdle(pool);
      if (server === undefined || (client.awaitsWelcome && !pool.welcome)) {
        logins.launch(pool);
        break;
      }
      this.#activate(client, server);
      served = true;
    }
    return served;
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
    pool.assign(server, client, this.#options.nowMs(), this.#options.random);
  }

  #firstIdle(pool: Pool): ModelServer | undefined {
    for (;;) {
      const server = pool.idle.at(-1);
      if (server?.closeNeeded !== true) return server;
      this.#close(server);
    }
  }

  #close(server: ModelServer): void {
    closeServer(server, this.#options.nowMs());
  }
}

function noteServed(client: ModelClient): void {
  const { onServed } = client;
  client.onServed = undefined;
  if (client.kind === 'held') client.wantsMs = undefined;
  onServed?.();
}
