// One connection that speaks the PostgreSQL protocol, with a deadline on everything; PgBouncer's console and PostgreSQL are both reached through it.
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import type { SecretText } from '../model/secret-text.ts';
import type { AddressGuard } from './address-guard.ts';
import { GuardedSocket } from './guarded-socket.ts';

export type WireTarget = {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: SecretText;
  readonly database: string;
  readonly applicationName: string;
  readonly tls: false | ConnectionOptions;
  readonly guard?: AddressGuard;
  /** Name to resolve in place of `host`, which stays the name that a certificate must show. */
  readonly lookupName?: string;
};

/** `command` is the first word of the command tag; every value is text as it came, or null. */
export type WireAnswer = { readonly command: string; readonly rows: readonly Readonly<Record<string, unknown>>[] };

/** The other side did not answer in time. The connection is gone: its state is unknown. */
export class WireTimeout extends Error {
  constructor(doing: string, timeoutMs: number) {
    super(`no answer within ${timeoutMs} ms while ${doing}`);
    this.name = 'WireTimeout';
  }
}

const RAW_TEXT = { getTypeParser: () => (value: string) => value } as pg.CustomTypesConfig;
const GOODBYE_MS = 300;

/** States: open until the first loss, deadline or abort; then `alive` is false for ever and every query rejects. */
export class WireClient {
  readonly #client: pg.Client;
  readonly #socket: GuardedSocket;
  readonly #ended = Promise.withResolvers<undefined>();
  #alive = true;

  private constructor(client: pg.Client, socket: GuardedSocket) {
    this.#client = client;
    this.#socket = socket;
    // Without a listener a lost connection would end the process.
    client.on('error', () => {
      this.destroy();
    });
    client.on('end', () => {
      this.#alive = false;
      this.#ended.resolve(undefined);
    });
  }

  /** Logs in. Rejects with the driver's own error, WireTimeout, or the signal's reason. */
  static async open(target: WireTarget, timeoutMs: number, signal?: AbortSignal): Promise<WireClient> {
    signal?.throwIfAborted();
    const socket = new GuardedSocket(target.guard, target.lookupName);
    const client = new pg.Client({
      host: target.host,
      port: target.port,
      user: target.user,
      // A function, because the driver would look an empty password up in its environment.
      password: () => target.password.reveal(),
      database: target.database,
      application_name: target.applicationName,
      ssl: target.tls,
      stream: () => socket,
      keepAlive: true,
      types: RAW_TEXT,
    });
    const wire = new WireClient(client, socket);
    try {
      await wire.#within(client.connect(), timeoutMs, 'logging in', signal);
    } catch (error) {
      wire.destroy();
      throw error;
    }
    return wire;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Resolves when the connection is gone, whoever ended it. */
  get ended(): Promise<unknown> {
    return this.#ended.promise;
  }

  /** Sends one statement by the simple protocol. An answer that is an error leaves the connection usable. */
  async query(text: string, timeoutMs: number, doing: string, signal?: AbortSignal): Promise<WireAnswer> {
    signal?.throwIfAborted();
    const result = await this.#within(this.#client.query<Record<string, unknown>>(text), timeoutMs, doing, signal);
    return { command: result.command, rows: result.rows };
  }

  /** Says goodbye and waits shortly for the end; never rejects. */
  async close(): Promise<void> {
    if (this.#alive) {
      await this.#within(this.#client.end(), GOODBYE_MS, 'closing', undefined).catch(() => undefined);
    }
    this.destroy();
  }

  destroy(): void {
    this.#alive = false;
    this.#ended.resolve(undefined);
    this.#socket.destroy();
  }

  async #within<T>(work: Promise<T>, timeoutMs: number, doing: string, signal: AbortSignal | undefined): Promise<T> {
    const { promise: interrupted, reject } = Promise.withResolvers<never>();
    const interrupt = (reason: unknown): void => {
      reject(reason);
      this.destroy();
    };
    const timer = setTimeout(() => {
      interrupt(new WireTimeout(doing, timeoutMs));
    }, timeoutMs);
    const onAbort = (): void => {
      interrupt(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    // Whichever of the two loses the race rejects later, unheard.
    work.catch(() => undefined);
    interrupted.catch(() => undefined);
    try {
      return await Promise.race([work, interrupted]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }
}
