// The clients of one simulated PgBouncer: who is there, and who goes, by itself or not.
import type { ServerFault } from '../../../src/model/server-view.ts';
import type { ClientEvents, LostBy, ModelClient, Pool } from './pool-model.ts';
import { closeServer } from './server-end.ts';

export type NewClient = {
  readonly database: string;
  readonly user: string;
  readonly password: string;
  readonly kind: 'loop' | 'held';
  readonly applicationName?: string;
  readonly events: ClientEvents;
};

export class Clients {
  readonly #nowMs: () => number;
  readonly #byId = new Map<string, ModelClient>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get count(): number {
    return this.#byId.size;
  }

  get(id: string): ModelClient | undefined {
    return this.#byId.get(id);
  }

  add(id: string, pool: Pool, { events, kind, applicationName = '' }: NewClient): ModelClient {
    const nowMs = this.#nowMs();
    const client: ModelClient = {
      id,
      pool,
      events,
      connectMs: nowMs,
      applicationName,
      kind,
      state: 'idle',
      server: undefined,
      waitSinceMs: nowMs,
      awaitsWelcome: false,
      leaving: false,
      wantsMs: undefined,
      onServed: undefined,
    };
    this.#byId.set(id, client);
    pool.clients.add(client);
    return client;
  }

  forget(client: ModelClient): void {
    const { pool } = client;
    this.#byId.delete(client.id);
    pool.clients.delete(client);
    const position = pool.waiting.indexOf(client);
    if (position >= 0) pool.waiting.splice(position, 1);
  }

  /** Ends a client's connection; the server that serves it goes with it. */
  lose(client: ModelClient, by: LostBy, fault?: ServerFault, wasActive = false): void {
    if (!this.#byId.has(client.id)) return;
    const { server } = client;
    this.forget(client);
    if (server !== undefined) closeServer(server, this.#nowMs());
    client.server = undefined;
    client.events.onLost(by, wasActive || server !== undefined, this.#nowMs(), fault);
  }

  loseAll(by: LostBy): void {
    for (const client of [...this.#byId.values()]) this.lose(client, by);
  }
}
