// What most scenarios stand on: a namespace with a PostgreSQL of its own, Secrets for its roles, and what it takes to look at a fleet there.
import pg from 'pg';
import { POOLER_PORT } from '../../src/model/names.ts';
import { BackendSampler } from './backends.ts';
import { startClusterPostgres, SUPERUSER, type ClusterPostgres, type Role } from './cluster-postgres.ts';
import { closeCluster } from './kubectl.ts';
import { Load, ORDER_TABLES, type LoadOptions } from './load.ts';
import { createNamespace, type TestNamespace } from './namespace.ts';
import { applyBasicAuth, applyPool, conditionOf, poolConfig, waitForCondition, waitForPool } from './pool.ts';
import type { LivePool, PoolConfigBuilder } from './pool.ts';
import { poolAddress, poolPods } from './pool-children.ts';

export const APP: Role = { name: 'orders_app', password: 'app-password' };
export const MONITOR: Role = { name: 'monitor', password: 'monitor-password', memberOf: ['pg_monitor'] };
export const DATABASE = 'orders';
export const POOL = 'orders';

export type StageOptions = Readonly<{
  prefix: string;
  maxConnections?: number;
  /** Of PostgreSQL, as in ClusterPostgresOptions. */
  cpuRequest?: string;
  /** Besides APP and MONITOR, which have the Secrets orders-app and monitor. */
  roles?: readonly Role[];
  /** Besides DATABASE. */
  databases?: readonly string[];
  enforceRestricted?: boolean;
}>;

/** Ends with its namespace. */
export class Stage implements AsyncDisposable {
  readonly namespace: string;
  readonly postgres: ClusterPostgres;
  readonly #space: TestNamespace;

  private constructor(space: TestNamespace, postgres: ClusterPostgres) {
    this.#space = space;
    this.namespace = space.name;
    this.postgres = postgres;
  }

  static async set(options: StageOptions): Promise<Stage> {
    const { prefix, maxConnections = 100, cpuRequest, roles = [], databases = [], enforceRestricted = false } = options;
    const space = await createNamespace({ prefix, enforceRestricted });
    const namespace = space.name;
    const postgres = await startClusterPostgres({
      namespace,
      maxConnections,
      ...(cpuRequest === undefined ? {} : { cpuRequest }),
      roles: [APP, MONITOR, ...roles],
      databases: [DATABASE, ...databases],
      sql: ORDER_TABLES,
    });
    await applyBasicAuth(namespace, 'orders-app', APP.name, APP.password);
    await applyBasicAuth(namespace, 'monitor', MONITOR.name, MONITOR.password);
    return new Stage(space, postgres);
  }

  /** A monitored fleet of two on this server, with more clients declared than its 16 connections serve. */
  pool(name = POOL): PoolConfigBuilder {
    return poolConfig(name)
      .in(this.namespace)
      .onServer(this.postgres.host)
      .withMonitor('monitor')
      .withBudget(16)
      .withDrain('5s', '20s')
      .forClients('load', 60);
  }

  /** Applies it and waits until it is proved; answers it, and how long that took. */
  async prove(pool: PoolConfigBuilder, timeoutMs = 60_000): Promise<Readonly<{ live: LivePool; tookMs: number }>> {
    const startedMs = performance.now();
    const { metadata } = await applyPool(pool);
    const { name, generation } = metadata;
    const live = await waitForCondition(this.namespace, name, 'Ready', 'True', { generation, timeoutMs });
    return { live, tookMs: performance.now() - startedMs };
  }

  /** As `prove`, and until nothing is under way any more: what was lowered is given back, too. */
  async settle(pool: PoolConfigBuilder, timeoutMs = 60_000): Promise<Readonly<{ live: LivePool; tookMs: number }>> {
    const startedMs = performance.now();
    const { metadata } = await applyPool(pool);
    const isSettled = (live: LivePool): boolean =>
      live.status?.observedGeneration === metadata.generation &&
      conditionOf(live, 'Ready')?.status === 'True' &&
      conditionOf(live, 'BudgetSatisfied')?.status === 'True' &&
      conditionOf(live, 'Reconciling') === undefined;
    const live = await waitForPool(this.namespace, metadata.name, 'Ready and nothing under way', isSettled, timeoutMs);
    return { live, tookMs: performance.now() - startedMs };
  }

  /** Clients that give up their connections after 2 s at most: well within the drain window, also where transactions are slow. */
  async load(options: Partial<LoadOptions> = {}, name = POOL): Promise<Load> {
    const { name: user, password } = APP;
    const where = { ...(await poolAddress(this.namespace, name)), database: DATABASE, user, password };
    return await Load.start({ ...where, clients: 8, maxLifetimeSeconds: 2, ...options });
  }

  /** Counts every backend but the superuser's and the monitor role's. */
  async sampler(): Promise<BackendSampler> {
    const ignoreRoles = [SUPERUSER.name, MONITOR.name];
    return await BackendSampler.start(await this.postgres.address(), { everyMs: 30, ignoreRoles });
  }

  /** A client of the fleet, through its Service; the caller ends it. @throws when it is not let in. */
  async client(role: Role = APP, database = DATABASE, name = POOL): Promise<pg.Client> {
    return await connected({ ...(await poolAddress(this.namespace, name)), ...login(role, database) });
  }

  /** A client of each pod, past the Service; the caller ends them. @throws when one is not let in. */
  async clientsOfEachPod(role: Role = APP, database = DATABASE, name = POOL): Promise<readonly pg.Client[]> {
    const addresses = await this.podAddresses(name);
    return await Promise.all(addresses.map((host) => connected({ host, port: POOLER_PORT, ...login(role, database) })));
  }

  /** How each pod answers this login: `let in`, or with which words it refused. */
  async letIn(role: Role, database = DATABASE, name = POOL): Promise<readonly string[]> {
    const answers = (await this.podAddresses(name)).map(async (host) => {
      try {
        await (await connected({ host, port: POOLER_PORT, ...login(role, database) })).end();
        return 'let in';
      } catch (error) {
        return (error as Error).message;
      }
    });
    return await Promise.all(answers);
  }

  async podAddresses(name = POOL): Promise<readonly string[]> {
    const pods = await poolPods(this.namespace, name);
    return pods.flatMap(({ metadata, status }) =>
      metadata.deletionTimestamp === undefined && status?.podIP !== undefined ? [status.podIP] : [],
    );
  }

  /** Runs SQL past the fleet, as the superuser. */
  async sql(text: string, database = DATABASE): Promise<readonly Record<string, unknown>[]> {
    const direct = await this.postgres.connect(database);
    try {
      return (await direct.query<Record<string, unknown>>(text)).rows;
    } finally {
      await direct.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#space[Symbol.asyncDispose]();
    await closeCluster();
  }
}

type Login = Readonly<{ database: string; user: string; password: string }>;

function login({ name, password }: Role, database: string): Login {
  return { database, user: name, password };
}

async function connected(address: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client({ ...address, connectionTimeoutMillis: 5_000, query_timeout: 10_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

/** Ends the connection at the end of its block. */
export function closing(client: pg.Client): AsyncDisposable & { readonly client: pg.Client } {
  return { client, [Symbol.asyncDispose]: () => client.end() };
}

/** Prints a measured figure under the test that measured it. */
export function measured(text: string): void {
  console.log(`      measured: ${text}`);
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
