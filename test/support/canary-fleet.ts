// A fleet whose every secret is a canary: it keeps each that ever was, whoever made it.
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { Reason } from '../../src/api/reasons.ts';
import { childNames } from '../../src/model/names.ts';
import type { Canary, Place } from './canary.ts';
import { makeAuthority, type Authority } from './certificates.ts';
import { applyBasicAuth, conditionOf, readPool, waitForPool, type LivePool, type PoolConfigBuilder } from './pool.ts';
import { secretValues, valuesIn } from './secret-values.ts';
import { APP, MONITOR, POOL, Stage } from './stage.ts';
import { applyTlsSecret } from './tls-secret.ts';

/** Secrets of users and the monitor role, and whose they are. */
export const USER_OF = { 'orders-app': APP.name, monitor: MONITOR.name, second: 'second', scram: 'scram' } as const;
export type UserSecret = keyof typeof USER_OF;

const TLS_SECRET = 'orders-tls';
const HOST = `${childNames(POOL).service}.shop.svc`;

export const word = (): string => randomBytes(12).toString('base64url');
/** What goes wrong where somebody quotes, expands or cuts a text. */
export const nasty = (): string => `it's "${word()}" für \${HOME} %s %n <b>&amp; \\n $1 \u2019${word()}`;

/** Ends with its stage. */
export class CanaryFleet implements AsyncDisposable {
  readonly stage: Stage;
  readonly namespace: string;
  readonly #authority: Authority;
  readonly #canaries = new Map<string, Canary>();
  readonly #passwords = new Map<UserSecret, string>();
  readonly #versions = new Map<string, LivePool>();

  private constructor(stage: Stage, authority: Authority) {
    this.stage = stage;
    this.namespace = stage.namespace;
    this.#authority = authority;
  }

  /** `folder` is for certificates. */
  static async prove(folder: string): Promise<CanaryFleet> {
    const authority = await makeAuthority(folder);
    const fleet = new CanaryFleet(await Stage.set({ prefix: 'leaks' }), authority);
    const { stage } = fleet;
    await stage.sql(`CREATE ROLE ${USER_OF.second} LOGIN; CREATE ROLE ${USER_OF.scram} LOGIN`);
    await fleet.givePassword('orders-app', `plain-${word()}`);
    await fleet.givePassword('monitor', `monitor-${word()}`);
    await fleet.givePassword('second', nasty());
    await fleet.givePassword('scram', `scram-${word()}`);
    const [role] = await stage.sql(`SELECT rolpassword FROM pg_authid WHERE rolname = '${USER_OF.scram}'`);
    await fleet.giveSecret('scram', String(role?.['rolpassword']));
    await fleet.giveCertificate();
    await stage.prove(fleet.pool());
    await fleet.isWell();
    return fleet;
  }

  pool(...users: readonly UserSecret[]): PoolConfigBuilder {
    const tls = { mode: 'prefer', certSecretRef: { name: TLS_SECRET } } as const;
    return this.stage
      .pool()
      .with({ pooler: { tls } })
      .withUsers(...(users.length === 0 ? ['orders-app', 'second', 'scram'] : users));
  }

  /** All that there were so far. */
  get canaries(): readonly Canary[] {
    return [...this.#canaries.values()];
  }

  /** As the Secret has it now. */
  passwordOf(secret: UserSecret): string {
    return this.#passwords.get(secret) ?? '';
  }

  keep(...canaries: readonly Canary[]): void {
    for (const canary of canaries) if (!this.#canaries.has(canary.text)) this.#canaries.set(canary.text, canary);
  }

  /** Keeps what the Secrets hold by now, those that the operator made among them. */
  async learn(): Promise<void> {
    this.keep(...(await secretValues(this.namespace)));
  }

  /** PostgreSQL is told nothing of it. */
  async giveSecret(secret: UserSecret, password: string): Promise<void> {
    this.keep(...valuesIn(`${secret}/password`, password));
    this.#passwords.set(secret, password);
    await applyBasicAuth(this.namespace, secret, USER_OF[secret], password);
  }

  async givePassword(secret: UserSecret, password: string): Promise<void> {
    await this.stage.sql(`ALTER ROLE ${USER_OF[secret]} PASSWORD ${pg.escapeLiteral(password)}`);
    await this.giveSecret(secret, password);
  }

  /** With the key of another certificate where that is said. */
  async giveCertificate(whose: 'own key' | 'key of another' = 'own key'): Promise<void> {
    const { certificate, key } = await this.#authority.issue({ commonName: 'pooler', hosts: [HOST] });
    const other = whose === 'own key' ? key : (await this.#authority.issue({ commonName: 'another' })).key;
    for (const one of [key, other]) this.keep(...valuesIn('a certificate', one));
    await applyTlsSecret(this.namespace, TLS_SECRET, { certificate, key: other });
  }

  /** The PoolConfig as it was at each look: what a condition says while something is wrong is gone later. */
  get versions(): Place {
    const text = [...this.#versions.values()].map((live) => JSON.stringify(live)).join('\n');
    return { name: `the PoolConfig in ${this.#versions.size} versions`, text };
  }

  /** Waits until a condition of the spec as it stands gives this reason. */
  async tells(reason: Reason): Promise<void> {
    await this.#is(reason, ({ metadata, status }) =>
      (status?.conditions ?? []).some((one) => one.reason === reason && one.observedGeneration === metadata.generation),
    );
  }

  /** Waits until all is well, with another configuration than `former`; keeps the secrets of it. */
  async isWell(former?: string): Promise<void> {
    await this.#is('all being well', (live) => {
      const { configHash, pods = [] } = live.status ?? {};
      const areTrue = (['Ready', 'ConfigApplied', 'ServerReachable'] as const).every((type) => {
        const { status, observedGeneration } = conditionOf(live, type) ?? {};
        return status === 'True' && observedGeneration === live.metadata.generation;
      });
      return areTrue && configHash !== former && pods.length === 2 && pods.every(({ state }) => state === 'Serving');
    });
    await this.learn();
  }

  async #is(what: string, holds: (live: LivePool) => boolean): Promise<void> {
    const look = (live: LivePool): boolean => {
      this.#versions.set(live.metadata.resourceVersion, live);
      return holds(live);
    };
    await waitForPool(this.namespace, POOL, what, look, 90_000);
  }

  /** Does what changes the configuration, and waits until it is in force. */
  async changes(what: () => Promise<unknown>): Promise<void> {
    const former = (await readPool(this.namespace, POOL)).status?.configHash;
    await what();
    await this.isWell(former);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage[Symbol.asyncDispose]();
  }
}
