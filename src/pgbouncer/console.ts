// One pooler's admin console over one kept connection: typed readings and commands, one at a time, each with a deadline.
import type { PoolerView } from '../model/pooler-view.ts';
import type { SecretText } from '../model/secret-text.ts';
import type { WireAnswer, WireClient } from '../postgres/wire-client.ts';
import { AdminError, DecodeError } from './errors.ts';
import { expectTag, reloadWithoutLogins } from './quiet-reload.ts';
import type { Ask } from './quiet-reload.ts';
import { adminErrorOf, LOGGING_IN, openSession } from './session.ts';
import type { ConsoleAddress } from './session.ts';
import {
  decodeClients,
  decodeConfig,
  decodeDatabases,
  decodePeers,
  decodePools,
  decodeServers,
  decodeStatsTotals,
  decodeUsers,
  decodeVersion,
} from './show.ts';
import type { ClientRow, ServerRow, ShowRow } from './show.ts';
import { databaseStatement, killClientStatement, setStatement } from './statements.ts';

export type { ConsoleAddress } from './session.ts';
export type { ClientRow, ServerRow } from './show.ts';

export type AdminConsoleOptions = {
  readonly address: ConsoleAddress;
  readonly user: string;
  readonly password: SecretText;
  readonly connectTimeoutMs?: number;
  readonly commandTimeoutMs?: number;
};

/** The database that is the console itself; readings leave its rows out. */
export const CONSOLE_DATABASE = 'pgbouncer';

/**
 * Invariants: at most one connection; at most one command on it at a time, in the order of the calls; a command that times out or is aborted
 * takes the connection with it, because its answer could be taken for the next one's. A lost connection is replaced by the next command.
 */
export class AdminConsole {
  readonly #options: AdminConsoleOptions;
  readonly #connectTimeoutMs: number;
  readonly #commandTimeoutMs: number;
  #wire: WireClient | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: AdminConsoleOptions) {
    this.#options = options;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? 1500;
    this.#commandTimeoutMs = options.commandTimeoutMs ?? 3000;
  }

  /** Another console of the same pooler, with a connection of its own; its user closes it. */
  fork(): AdminConsole {
    return new AdminConsole(this.#options);
  }

  /** One complete reading, without the console's own database, pool and clients. */
  async read(signal?: AbortSignal): Promise<PoolerView> {
    return this.#show(signal, async (ask) => {
      const version = decodeVersion(await ask('SHOW VERSION'));
      const config = decodeConfig(await ask('SHOW CONFIG'));
      const databases = decodeDatabases(await ask('SHOW DATABASES')).filter(({ name }) => name !== CONSOLE_DATABASE);
      const pools = decodePools(await ask('SHOW POOLS')).filter(({ database }) => database !== CONSOLE_DATABASE);
      const stats = decodeStatsTotals(await ask('SHOW STATS_TOTALS'));
      const peers = decodePeers(await ask('SHOW PEERS'));
      return {
        version,
        config,
        databases,
        pools,
        stats: stats.filter(({ database }) => database !== CONSOLE_DATABASE),
        peers,
        clients: databases.reduce((sum, { currentClientConnections }) => sum + currentClientConnections, 0),
      };
    });
  }

  /** SHOW POOLS alone, for loops that poll. */
  async pools(signal?: AbortSignal): Promise<PoolerView['pools']> {
    return this.#show(signal, async (ask) =>
      decodePools(await ask('SHOW POOLS')).filter(({ database }) => database !== CONSOLE_DATABASE),
    );
  }

  /** SHOW DATABASES alone. */
  async databases(signal?: AbortSignal): Promise<PoolerView['databases']> {
    return this.#show(signal, async (ask) =>
      decodeDatabases(await ask('SHOW DATABASES')).filter(({ name }) => name !== CONSOLE_DATABASE),
    );
  }

  /** Clients other than admin consoles. Blocks PgBouncer for about 4 µs a client. */
  async clients(signal?: AbortSignal): Promise<readonly ClientRow[]> {
    return this.#show(signal, async (ask) =>
      decodeClients(await ask('SHOW CLIENTS')).filter(({ database }) => database !== CONSOLE_DATABASE),
    );
  }

  /** Clients of each user that PgBouncer has ever known; cheap, however many clients there are. */
  async clientsByUser(signal?: AbortSignal): Promise<ReadonlyMap<string, number>> {
    return this.#show(signal, async (ask) => decodeUsers(await ask('SHOW USERS')));
  }

  async servers(signal?: AbortSignal): Promise<readonly ServerRow[]> {
    return this.#show(signal, async (ask) => decodeServers(await ask('SHOW SERVERS')));
  }

  /**
   * Makes a file the configuration and loads it. An answer of OK proves nothing yet: read back. A refusal (kind `refused`) may have applied
   * the part above the bad line, and the file stays the one that the next RELOAD reads.
   *
   * A RELOAD that changes how servers are reached (host, port, dbname, server TLS, connect_query) drops a server login that is under way, and
   * PgBouncer then fails clients for server_login_retry. For such a change give `quietWithinMs`: new logins are held back and those under way
   * are waited for, at most so long.
   */
  async loadFile(
    conffile: string,
    { quietWithinMs = 0, signal }: { readonly quietWithinMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const set = setStatement('conffile', conffile);
    await this.#turn(signal, async (ask) => {
      expectTag(await ask(set), 'SET');
      if (quietWithinMs === 0) {
        expectTag(await ask('RELOAD'), 'RELOAD');
      } else {
        await reloadWithoutLogins(ask, quietWithinMs);
      }
    });
  }

  /** Loads the present configuration file again; undoes every `set`. */
  async reload(signal?: AbortSignal): Promise<void> {
    await this.#turn(signal, async (ask) => {
      expectTag(await ask('RELOAD'), 'RELOAD');
    });
  }

  /** In force at once and until the next RELOAD. PgBouncer accepts restart-only keys too and ignores them. */
  async set(key: string, value: string, signal?: AbortSignal): Promise<void> {
    const statement = setStatement(key, value);
    await this.#turn(signal, async (ask) => {
      expectTag(await ask(statement), 'SET');
    });
  }

  /**
   * Stops handing out servers of a database and waits until none is in use, at most `timeoutMs` (default: the command time-out). Also after a
   * time-out the database stays paused: `resume` it, or go on waiting by `pools`.
   */
  async pause(
    database: string,
    timing: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const statement = databaseStatement('PAUSE', database);
    await this.#turn(timing.signal, async (ask) => {
      // After a WAIT_CLOSE in the life of the process PAUSE answers at once with that tag, whatever still runs (bug in 1.24–1.26).
      expectTag(await ask(statement, timing.timeoutMs === undefined ? {} : { timeoutMs: timing.timeoutMs }), 'PAUSE');
    });
  }

  async resume(database: string, signal?: AbortSignal): Promise<void> {
    const statement = databaseStatement('RESUME', database);
    await this.#turn(signal, async (ask) => {
      expectTag(await ask(statement), 'RESUME');
    });
  }

  /**
   * Every server connection of the database closes when it is released, and the next login looks the host up again. A login under way is dropped,
   * and PgBouncer then fails clients for server_login_retry: call it when there is none.
   */
  async reconnect(database: string, signal?: AbortSignal): Promise<void> {
    const statement = databaseStatement('RECONNECT', database);
    await this.#turn(signal, async (ask) => {
      expectTag(await ask(statement), 'RECONNECT');
    });
  }

  /** Closes one client. False when it had gone by itself. */
  async killClient(id: string, signal?: AbortSignal): Promise<boolean> {
    const statement = killClientStatement(id);
    return this.#turn(signal, async (ask) => {
      try {
        await ask(statement);
        return true;
      } catch (error) {
        if (
          error instanceof AdminError &&
          error.kind === 'refused' &&
          /client not found|invalid client pointer/.test(error.message)
        ) {
          return false;
        }
        throw error;
      }
    });
  }

  /** Ends the connection after the commands already given; the next command opens another. */
  async disconnect(): Promise<void> {
    await this.#tail;
    await this.#wire?.close();
    this.#wire = undefined;
  }

  /** Ends the connection after the commands already given; later commands reject. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.disconnect();
  }

  /** A reading may be repeated, so a kept connection that turns out to be dead costs nothing but a new one. */
  async #show<T>(signal: AbortSignal | undefined, work: (ask: Rows) => Promise<T>): Promise<T> {
    return this.#turn(signal, async (ask, kept) => {
      const rows: Rows = async (statement) => (await ask(statement)).rows;
      try {
        return await work(rows);
      } catch (error) {
        if (kept && error instanceof AdminError && error.kind === 'unreachable') {
          return work(rows);
        }
        throw error;
      }
    });
  }

  async #turn<T>(signal: AbortSignal | undefined, work: (ask: Ask, kept: boolean) => Promise<T>): Promise<T> {
    const turn = this.#tail.then(async () => {
      signal?.throwIfAborted();
      const kept = this.#wire?.alive === true;
      const ask: Ask = async (statement, { timeoutMs = this.#commandTimeoutMs, evenIfAborted = false } = {}) =>
        this.#ask(statement, timeoutMs, evenIfAborted ? undefined : signal);
      try {
        return await work(ask, kept);
      } catch (error) {
        throw error instanceof DecodeError ? new AdminError('protocol', error.message) : error;
      }
    });
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  async #ask(statement: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<WireAnswer> {
    const wire = await this.#connected(signal);
    // The command's words only: values of SET may be secret.
    const doing = `asking for ${/^[A-Z_]+(?: [A-Z_]+(?![^ ]))?/.exec(statement)?.[0] ?? 'a command'}`;
    try {
      return await wire.query(statement, timeoutMs, doing, signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw adminErrorOf(error, doing, this.#options.password);
    }
  }

  async #connected(signal: AbortSignal | undefined): Promise<WireClient> {
    if (this.#wire?.alive === true) {
      return this.#wire;
    }
    if (this.#closed) {
      throw new AdminError('unreachable', 'this console was closed');
    }
    const { address, user, password } = this.#options;
    try {
      this.#wire = await openSession(
        { address, user, password, database: CONSOLE_DATABASE },
        this.#connectTimeoutMs,
        signal,
      );
      return this.#wire;
    } catch (error) {
      signal?.throwIfAborted();
      throw adminErrorOf(error, LOGGING_IN, password);
    }
  }
}

/** The console as the rest of the program knows it; a simulated pooler's stands in for it in tests of whole histories. */
export type PoolerConsole = Pick<AdminConsole, Exclude<keyof AdminConsole, 'fork'>> & { fork(): PoolerConsole };

type Rows = (statement: string) => Promise<readonly ShowRow[]>;
