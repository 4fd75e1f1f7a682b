// PostgreSQL as an operator sees it by itself: the monitor role's readings and the trial logins, with the memory that the real source has.
import type { PoolConfig } from '../../../src/api/poolconfig.gen.ts';
import { monitorLogin, serverPort } from '../../../src/api/poolconfig.ts';
import type { ServerSource } from '../../../src/controller/servers.ts';
import type { LoginTrial, SecretReading } from '../../../src/model/observation.ts';
import type { ServerTrust } from '../../../src/model/server-trust.ts';
import type { ServerView } from '../../../src/model/server-view.ts';
import type { FateOf } from '../contracts.ts';
import type { DataPlane } from './data-plane.ts';
import type { Backend, Login, PostgresModel } from './postgres-model.ts';
import { never } from './sim-console.ts';

const QUERY_TIMEOUT_MS = 3_000;
const TRIAL_RETRY_MS = 2_000;

type Monitor = { readonly server: PostgresModel; readonly backend: Backend };
type KeptTrials = { readonly hash: string; readonly atMs: number; readonly trials: readonly LoginTrial[] };

export class SimServers implements ServerSource {
  readonly #plane: DataPlane;
  readonly #fateOf: FateOf;
  readonly #address: string;
  readonly #monitors = new Map<string, Monitor>();
  readonly #trials = new Map<string, KeptTrials>();

  constructor(plane: DataPlane, fateOf: FateOf, address: string) {
    this.#plane = plane;
    this.#fateOf = fateOf;
    this.#address = address;
  }

  async observe(
    key: string,
    pool: PoolConfig,
    secrets: ReadonlyMap<string, SecretReading>,
    _trust: ServerTrust,
    signal: AbortSignal,
  ): Promise<ServerView | undefined> {
    const login = monitorLogin(pool);
    const reading = login === undefined ? undefined : secrets.get(login.secretName);
    const user = reading?.state === 'present' ? reading.data.get(login?.usernameKey ?? '') : undefined;
    const password = reading?.state === 'present' ? reading.data.get(login?.passwordKey ?? '') : undefined;
    if (login === undefined || user === undefined || password === undefined) {
      await this.forget(key);
      return undefined;
    }
    return this.#ask<ServerView>(
      pool,
      'observe',
      signal,
      (server, nowMs) => {
        const monitor = this.#monitor(key, server, nowMs, {
          ...{
            clientAddress: this.#address,
            user: user.reveal(),
            password: password.reveal(),
            database: login.database,
          },
        });
        if (typeof monitor === 'string') return { reachable: false, fault: monitor };
        return {
          reachable: true,
          limits: server.limits,
          seesOthers: server.monitors.has(user.reveal()),
          backends: server.groups(nowMs, monitor.backend),
        };
      },
      { reachable: false, fault: 'ServerUnreachable' },
    );
  }

  async tryLogins(...args: Parameters<ServerSource['tryLogins']>): Promise<readonly LoginTrial[]> {
    const [key, pool, hash, wishes, , nowMs, signal] = args;
    const kept = this.#trials.get(key);
    const stands =
      kept?.trials.every(({ outcome }) => outcome === 'ok') === true || nowMs - (kept?.atMs ?? 0) < TRIAL_RETRY_MS;
    if (kept?.hash === hash && stands) return kept.trials;
    const trial = (user: string, database: string, outcome: LoginTrial['outcome']): LoginTrial => ({
      user,
      database,
      outcome,
    });
    const unreachable = wishes.slice(0, 1).map(({ user, database }) => trial(user.name, database, 'ServerUnreachable'));
    const trials = await this.#ask<readonly LoginTrial[]>(
      pool,
      'tryLogins',
      signal,
      (server, atMs) => {
        const done: LoginTrial[] = [];
        for (const { user, database } of wishes) {
          const login = { clientAddress: this.#address, user: user.name, password: user.secret.reveal(), database };
          const fault = server.tryLogin(login, atMs);
          done.push(trial(user.name, database, fault ?? 'ok'));
          if (fault === 'ServerUnreachable') break;
        }
        return done;
      },
      unreachable,
    );
    this.#trials.set(key, { hash, atMs: nowMs, trials });
    return trials;
  }

  async forget(key: string): Promise<void> {
    const kept = this.#monitors.get(key);
    this.#monitors.delete(key);
    this.#trials.delete(key);
    kept?.server.end(kept.backend);
    return Promise.resolve();
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#monitors.keys()].map((key) => this.forget(key)));
  }

  crash(): void {
    for (const { server, backend } of this.#monitors.values()) server.end(backend);
    this.#monitors.clear();
  }

  /** A fault of the server or of the way to it is a result; only the signal rejects. */
  async #ask<T>(
    pool: PoolConfig,
    verb: string,
    signal: AbortSignal,
    work: (server: PostgresModel, nowMs: number) => T,
    unreachable: T,
  ): Promise<T> {
    signal.throwIfAborted();
    const { host } = pool.spec.server;
    const { clock } = this.#plane;
    const fate = this.#fateOf({ to: 'server', verb, target: host, writes: false });
    await clock.sleep(Math.min(fate.delayMs, QUERY_TIMEOUT_MS), signal);
    const server = fate.arrives ? this.#plane.postgresAt(host, serverPort(pool)) : undefined;
    const nowMs = clock.monotonicMs();
    const silent = server === undefined || server.isAway(nowMs) || fate.delayMs > QUERY_TIMEOUT_MS;
    const result = silent ? unreachable : work(server, nowMs);
    if (fate.answer === 'never') return never();
    await clock.sleep(silent && fate.answer === 'given' ? QUERY_TIMEOUT_MS : fate.delayMs, signal);
    return fate.answer === 'lost' ? unreachable : result;
  }

  /** The kept connection, or a new one; an error names why there is none. */
  #monitor(key: string, server: PostgresModel, nowMs: number, login: Login) {
    const kept = this.#monitors.get(key);
    if (kept !== undefined) {
      const same =
        kept.server === server && kept.backend.user === login.user && kept.backend.database === login.database;
      if (same && server.isOpen(kept.backend, nowMs)) return kept;
      kept.server.end(kept.backend);
      this.#monitors.delete(key);
    }
    const backend = server.admit(login, nowMs);
    if (backend === 'silent') return 'ServerUnreachable' as const;
    if (typeof backend === 'string') return backend;
    const fault = server.authenticate(backend, login.password, nowMs);
    if (fault !== undefined) return fault;
    const monitor = { server, backend };
    this.#monitors.set(key, monitor);
    return monitor;
  }
}
