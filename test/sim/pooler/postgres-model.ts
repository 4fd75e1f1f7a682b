// A model of one PostgreSQL server: who holds its connections, whom it lets in, and when it can be reached.
import type { BackendGroup, ServerFault, ServerLimits } from '../../../src/model/server-view.ts';
import { between, type Random } from './draws.ts';

export type Backend = {
  readonly clientAddress: string;
  readonly user: string;
  readonly database: string;
  readonly sinceMs: number;
  /** Its slot is taken from the start; pg_stat_activity shows it once it has logged in. */
  loggedIn: boolean;
  /** Infinity while its client lives. */
  endsMs: number;
  /** Its client has gone; it ends with its transaction. */
  orphan: boolean;
};

export type PostgresOptions = {
  /** Names and addresses that lead here. */
  readonly hosts: readonly string[];
  readonly port?: number;
  readonly maxConnections?: number;
  readonly superuserReserved?: number;
  readonly reserved?: number;
  readonly databases: readonly string[];
  /** User → password. */
  readonly users: Readonly<Record<string, string>>;
  readonly monitors?: readonly string[];
  /** Longest that an orphan's transaction goes on, in milliseconds. */
  readonly orphanMs?: number;
  readonly random: Random;
};

export type Login = {
  readonly clientAddress: string;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
};

const VERSION_NUMBER = 150_018;

/** Knobs are plain fields; whoever turns one advances the data plane first. */
export class PostgresModel {
  readonly hosts: readonly string[];
  readonly port: number;
  readonly databases: Set<string>;
  readonly users: Map<string, string>;
  readonly monitors: Set<string>;
  maxConnections: number;
  orphanMs: number;
  /** New connections are refused at once. */
  refusesUntilMs = -Infinity;
  /** New connections meet silence; those that exist stay. */
  readonly #away: { readonly fromMs: number; readonly untilMs: number }[] = [];
  readonly #superuserReserved: number;
  readonly #reserved: number;
  readonly #random: Random;
  readonly #backends = new Set<Backend>();
  #others: Backend[] = [];

  constructor(options: PostgresOptions) {
    this.hosts = options.hosts;
    this.port = options.port ?? 5432;
    this.maxConnections = options.maxConnections ?? 100;
    this.#superuserReserved = options.superuserReserved ?? 3;
    this.#reserved = options.reserved ?? 0;
    this.databases = new Set(['postgres', ...options.databases]);
    this.users = new Map(Object.entries(options.users));
    this.monitors = new Set(options.monitors ?? []);
    this.orphanMs = options.orphanMs ?? 5_000;
    this.#random = options.random;
  }

  get limits(): ServerLimits {
    const { maxConnections } = this;
    return {
      versionNumber: VERSION_NUMBER,
      maxConnections,
      superuserReserved: this.#superuserReserved,
      reserved: this.#reserved,
    };
  }

  away(fromMs: number, untilMs: number): void {
    this.#away.push({ fromMs, untilMs });
  }

  isAway(nowMs: number): boolean {
    return this.#away.some(({ fromMs, untilMs }) => fromMs <= nowMs && nowMs < untilMs);
  }

  /** Ends every backend and refuses connections for so long. */
  restart(nowMs: number, downMs: number): void {
    for (const backend of this.#backends) backend.endsMs = Math.min(backend.endsMs, nowMs);
    this.#backends.clear();
    this.#others = [];
    this.refusesUntilMs = nowMs + downMs;
  }

  /** Connections of programs that have nothing to do with the fleet. */
  setOthers(count: number, nowMs: number, clientAddress = '10.200.0.1', user = 'somebody'): void {
    while (this.#others.length > count) this.end(this.#others.pop());
    while (this.#others.length < count) {
      const backend = newBackend({ clientAddress, user, database: 'postgres' }, nowMs);
      backend.loggedIn = true;
      this.#backends.add(backend);
      this.#others.push(backend);
    }
  }

  /** All connections, those that are still logging in included. */
  open(nowMs: number): ReadonlySet<Backend> {
    this.#endDue(nowMs);
    return this.#backends;
  }

  /** Takes a slot for a connection that is about to log in, or says why there is none. `silent`: nobody answers at all. */
  admit(login: Omit<Login, 'password'>, nowMs: number): Backend | ServerFault | 'silent' {
    if (this.isAway(nowMs)) return 'silent';
    if (nowMs < this.refusesUntilMs) return 'ServerUnreachable';
    const free = this.maxConnections - this.#superuserReserved - this.#reserved;
    if (this.count(nowMs) >= free) return 'TooManyConnections';
    const backend = newBackend(login, nowMs);
    this.#backends.add(backend);
    return backend;
  }

  /** The end of a login: undefined when it has succeeded; else its backend has ended. */
  authenticate(backend: Backend, password: string | undefined, nowMs: number): ServerFault | undefined {
    const fault = this.#loginFault(backend, password, nowMs);
    if (fault === undefined) backend.loggedIn = true;
    else this.end(backend);
    return fault;
  }

  /** A login and its end in one moment, for trials. */
  tryLogin(login: Login, nowMs: number): ServerFault | undefined {
    const backend = this.admit(login, nowMs);
    if (backend === 'silent') return 'ServerUnreachable';
    if (typeof backend === 'string') return backend;
    const fault = this.authenticate(backend, login.password, nowMs);
    this.end(backend);
    return fault;
  }

  /** Its client said goodbye, or was idle when it died. */
  end(backend: Backend | undefined): void {
    if (backend === undefined) return;
    backend.endsMs = -Infinity;
    this.#backends.delete(backend);
  }

  /**
   * Its client died. One that waits for its client's next word (`untilMs` Infinity) notices at once; one that works goes on to the end of its
   * transaction, which is drawn anew, because what was left of it is for the adversary to say.
   */
  orphan(backend: Backend, nowMs: number, untilMs: number): void {
    if (!Number.isFinite(untilMs)) {
      this.end(backend);
      return;
    }
    backend.orphan = true;
    const drawnMs = nowMs + between(this.#random, 0, this.orphanMs);
    backend.endsMs = Math.min(nowMs + this.orphanMs, Math.max(drawnMs, untilMs));
  }

  isOpen(backend: Backend, nowMs: number): boolean {
    return backend.endsMs > nowMs;
  }

  count(nowMs: number): number {
    this.#endDue(nowMs);
    return this.#backends.size;
  }

  /** What pg_stat_activity shows, but for the connection that asks. */
  groups(nowMs: number, asking?: Backend): readonly BackendGroup[] {
    const groups = new Map<string, { -readonly [K in keyof BackendGroup]: BackendGroup[K] }>();
    for (const backend of this.open(nowMs)) {
      if (!backend.loggedIn || backend === asking) continue;
      const { clientAddress, user, database } = backend;
      const key = JSON.stringify([clientAddress, user, database]);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { clientAddress, user, database, count: 1 });
      else group.count += 1;
    }
    return [...groups.values()];
  }

  #loginFault({ user, database, endsMs }: Backend, password: string | undefined, nowMs: number) {
    if (endsMs <= nowMs || this.isAway(nowMs) || nowMs < this.refusesUntilMs) return 'ServerUnreachable';
    if (password === undefined || this.users.get(user) !== password) return 'PasswordRefused';
    return this.databases.has(database) ? undefined : 'DatabaseMissing';
  }

  #endDue(nowMs: number): void {
    for (const backend of this.#backends) if (backend.endsMs <= nowMs) this.#backends.delete(backend);
  }
}

function newBackend(login: Omit<Login, 'password'>, sinceMs: number): Backend {
  const { clientAddress, user, database } = login;
  return { clientAddress, user, database, sinceMs, loggedIn: false, endsMs: Infinity, orphan: false };
}
