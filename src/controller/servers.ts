// The PostgreSQL side of observing: one monitor connection per PoolConfig that names a monitor role, and trial logins with memory.
import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import type { PoolConfig } from '../api/poolconfig.gen.ts';
import { monitorLogin, serverPort } from '../api/poolconfig.ts';
import type { LoginTrial, SecretReading } from '../model/observation.ts';
import type { ServerTrust } from '../model/server-trust.ts';
import type { ServerView } from '../model/server-view.ts';
import type { TrialWish } from '../plan/server-hash.ts';
import { foreignAddressesOnly, type AddressGuard } from '../postgres/address-guard.ts';
import { tryLogin } from '../postgres/login-trial.ts';
import { ServerMonitor, type Backend } from '../postgres/server-monitor.ts';

type KeptMonitor = {
  readonly version: string;
  readonly monitor: ServerMonitor;
  /** Where the host led when that was known last. */
  leadsTo: string | undefined;
};
type KeptTrials = { readonly hash: string; readonly atMs: number; readonly trials: readonly LoginTrial[] };

/** After a failed trial the server is asked again no sooner than this; a good one stands while nothing changes. */
const TRIAL_RETRY_MS = 2_000;
const TRIAL_TIMEOUT_MS = 3_000;

/**
 * The name of the server as it is to be looked up here; undefined for an IP address. A name without a dot means the PoolConfig's namespace, as it
 * does for the pods; here it would mean the operator's own.
 */
export function lookupName(pool: PoolConfig): string | undefined {
  const { host } = pool.spec.server;
  if (isIP(host) !== 0) return undefined;
  return host.includes('.') ? host : `${host}.${pool.metadata.namespace}.svc`;
}

function address(pool: PoolConfig): { readonly host: string; readonly port: number; readonly lookupName?: string } {
  const { host } = pool.spec.server;
  const name = lookupName(pool);
  return { host, port: serverPort(pool), ...(name === undefined || name === host ? {} : { lookupName: name }) };
}

/** What observing needs of it; a simulated server stands in for it in tests of whole histories. */
export type ServerSource = Pick<Servers, 'observe' | 'tryLogins' | 'forget' | 'closeAll'>;

export class Servers {
  readonly #monitors = new Map<string, KeptMonitor>();
  readonly #trials = new Map<string, KeptTrials>();
  readonly #onLost: (key: string) => void;
  readonly #guard: AddressGuard;

  /** `onLost`: the connection to the server of this PoolConfig has ended by itself; a look tells why. `guard`: where nobody may have the operator connect to. */
  constructor(onLost: (key: string) => void = () => undefined, guard: AddressGuard = foreignAddressesOnly) {
    this.#onLost = onLost;
    this.#guard = guard;
  }

  /** One reading through the monitor role; undefined where none is declared or its Secret is unusable. `leadsTo`: the address of the host now, where that is known. */
  async observe(
    key: string,
    pool: PoolConfig,
    secrets: ReadonlyMap<string, SecretReading>,
    trust: ServerTrust,
    signal: AbortSignal,
    leadsTo?: string,
  ): Promise<ServerView | undefined> {
    const login = monitorLogin(pool);
    const reading = login === undefined ? undefined : secrets.get(login.secretName);
    const user = reading?.state === 'present' ? reading.data.get(login?.usernameKey ?? '') : undefined;
    const password = reading?.state === 'present' ? reading.data.get(login?.passwordKey ?? '') : undefined;
    if (login === undefined || user === undefined || password === undefined) {
      await this.forget(key);
      return undefined;
    }
    const { mode, caPem, certPem, keyPem } = trust;
    const way = [pool.spec.server.host, serverPort(pool), mode, caPem, certPem, keyPem?.reveal()];
    const version = createHash('sha256')
      .update(JSON.stringify([...way, login.database, user.reveal(), password.reveal()]))
      .digest('hex');
    let kept = this.#monitors.get(key);
    const hasMoved = leadsTo !== undefined && kept?.leadsTo !== undefined && kept.leadsTo !== leadsTo;
    if (kept?.version !== version || hasMoved) {
      await kept?.monitor.close();
      const monitor = new ServerMonitor({
        ...address(pool),
        tls: trust,
        guard: this.#guard,
        user: user.reveal(),
        password,
        database: login.database,
        onLost: () => {
          this.#onLost(key);
        },
      });
      kept = { version, monitor, leadsTo };
      this.#monitors.set(key, kept);
    }
    kept.leadsTo = leadsTo ?? kept.leadsTo;
    return kept.monitor.observe(signal);
  }

  /** Backends from one address, through the monitor that `observe` keeps; undefined where there is none. */
  async backendsFrom(
    key: string,
    address: string,
    olderThanMs: number,
    signal: AbortSignal,
  ): Promise<readonly Backend[] | undefined> {
    return this.#monitors.get(key)?.monitor.backendsFrom(address, olderThanMs, signal);
  }

  /** Trial logins for a configuration that no pod has proved yet. */
  async tryLogins(
    key: string,
    pool: PoolConfig,
    hash: string,
    wishes: readonly TrialWish[],
    trust: ServerTrust,
    nowMs: number,
    signal: AbortSignal,
  ): Promise<readonly LoginTrial[]> {
    const kept = this.#trials.get(key);
    if (
      kept?.hash === hash &&
      (kept.trials.every((trial) => trial.outcome === 'ok') || nowMs - kept.atMs < TRIAL_RETRY_MS)
    ) {
      return kept.trials;
    }
    const trials: LoginTrial[] = [];
    for (const { user, database } of wishes) {
      const result = await tryLogin({
        ...address(pool),
        tls: trust,
        guard: this.#guard,
        user: user.name,
        password: user.secret,
        database,
        timeoutMs: TRIAL_TIMEOUT_MS,
        signal,
      });
      trials.push({ user: user.name, database, outcome: result.ok ? 'ok' : result.fault });
      // The other logins would meet the same wall, each after its own time-out.
      if (!result.ok && result.fault === 'ServerUnreachable') break;
    }
    this.#trials.set(key, { hash, atMs: nowMs, trials });
    return trials;
  }

  async forget(key: string): Promise<void> {
    const kept = this.#monitors.get(key);
    this.#monitors.delete(key);
    this.#trials.delete(key);
    await kept?.monitor.close();
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#monitors.keys()].map((key) => this.forget(key)));
  }
}
