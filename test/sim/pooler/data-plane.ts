// The simulated data plane: PgBouncer processes, PostgreSQL servers and clients in one virtual time, and the truth about their connections.
import type { Clock } from '../../../src/runtime/clock.ts';
import type { PoolerStart, RunningPooler, StartPooler } from '../contracts.ts';
import type { Random } from './draws.ts';
import { PgbouncerModel, type PgbouncerOptions } from './pgbouncer-model.ts';
import { PostgresModel, type PostgresOptions } from './postgres-model.ts';
import { ServiceModel, type ServiceOptions } from './service-model.ts';
import type { Endpoint } from '../contracts.ts';
import type { Demand } from './service-model.ts';

export type DataPlaneOptions = {
  readonly clock: Clock;
  readonly random: Random;
  readonly postgres: readonly Omit<PostgresOptions, 'random'>[];
  readonly clientLifetimeMs?: ServiceOptions['lifetimeMs'];
  /** How long a RELOAD takes in this pod; 0 without it. */
  readonly reloadMs?: (pod: string) => number;
} & Pick<PgbouncerOptions, 'bootFile' | 'loginMs' | 'refuseReload'>;

/** Connections that PostgreSQL really has, logins and orphans included. */
export type InForce = {
  /** Undefined for an address that never was a pod's. */
  readonly pod: string | undefined;
  readonly address: string;
  readonly user: string;
  readonly database: string;
  readonly count: number;
  readonly orphans: number;
};

const TICK_MS = 1_000 / 3;

/** Everything that asks or changes something advances it to the clock's time first; the public methods do. */
export class DataPlane {
  readonly postgres: readonly PostgresModel[];
  readonly service: ServiceModel;
  readonly #options: DataPlaneOptions;
  /** By address; the last process of each, ended or not. */
  readonly #processes = new Map<string, PgbouncerModel>();
  readonly #wallZeroMs: number;
  #serial = 0;

  constructor(options: DataPlaneOptions) {
    const { clock, random, clientLifetimeMs } = options;
    this.#options = options;
    this.#wallZeroMs = clock.now() - clock.monotonicMs();
    this.postgres = options.postgres.map((server) => new PostgresModel({ ...server, random }));
    this.service = new ServiceModel({
      random,
      processAt: (ip) => this.#processes.get(ip),
      ...(clientLifetimeMs === undefined ? {} : { lifetimeMs: clientLifetimeMs }),
    });
  }

  get random(): Random {
    return this.#options.random;
  }

  /** How long the RELOAD takes that this pod is about to be told. */
  reloadMs(pod: string): number {
    return this.#options.reloadMs?.(pod) ?? 0;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  /** Moves clients and processes on to the clock's time. */
  advance(): void {
    const nowMs = this.clock.monotonicMs();
    for (let nextMs = this.service.nextMs; nextMs <= nowMs; nextMs = this.service.nextMs) this.service.run(nextMs);
    for (const process of this.#processes.values()) process.advance(nowMs);
    // Clients that were lost on the way may be due to come back already.
    if (this.service.nextMs <= nowMs) this.advance();
  }

  readonly start: StartPooler = (start: PoolerStart): RunningPooler => {
    this.advance();
    const { random, bootFile, loginMs, refuseReload } = this.#options;
    const process = new PgbouncerModel({
      ...start,
      nowMs: this.clock.monotonicMs(),
      wallZeroMs: this.#wallZeroMs,
      random,
      newId: () => `0x${(this.#serial += 1).toString(16)}`,
      postgresAt: (host, port) => this.#postgresAt(host, port),
      ...(bootFile === undefined ? {} : { bootFile }),
      ...(loginMs === undefined ? {} : { loginMs }),
      ...(refuseReload === undefined ? {} : { refuseReload }),
    });
    this.#processes.set(start.ip, process);
    return {
      signal: (name) => {
        this.advance();
        process.signal(name);
        this.#watchEnd(process);
      },
    };
  };

  /** The process at an address; undefined when there never was one. */
  processAt(ip: string): PgbouncerModel | undefined {
    this.advance();
    return this.#processes.get(ip);
  }

  /** Processes that run by their address, whoever still knows of them. */
  running(): readonly (readonly [ip: string, process: PgbouncerModel])[] {
    this.advance();
    return [...this.#processes].filter(([, process]) => !process.exited);
  }

  podAt(ip: string): string {
    return this.#processes.get(ip)?.start.pod ?? ip;
  }

  postgresAt(host: string, port: number): PostgresModel | undefined {
    this.advance();
    return this.#postgresAt(host, port);
  }

  setEndpoints(endpoints: readonly Endpoint[]): void {
    this.advance();
    this.service.setEndpoints(endpoints);
  }

  setDemand(demand: Demand): void {
    this.advance();
    this.service.setDemand(demand, this.clock.monotonicMs());
    this.advance();
  }

  /** Ends every backend of a server, which refuses connections for so long. */
  restartPostgres(server: PostgresModel, downMs: number): void {
    this.advance();
    server.restart(this.clock.monotonicMs(), downMs);
    for (const process of this.#processes.values()) if (!process.exited) process.noticeLostBackends();
  }

  /** What all servers together hold for the fleet, or one of them. */
  serversInForce(server?: PostgresModel): readonly InForce[] {
    this.advance();
    const nowMs = this.clock.monotonicMs();
    const groups: { -readonly [K in keyof InForce]: InForce[K] }[] = [];
    for (const one of server === undefined ? this.postgres : [server])
      for (const { clientAddress: address, user, database, orphan } of one.open(nowMs)) {
        let group = groups.find(
          (known) => known.address === address && known.user === user && known.database === database,
        );
        if (group === undefined) {
          const pod = this.#processes.get(address)?.start.pod;
          group = { pod, address, user, database, count: 0, orphans: 0 };
          groups.push(group);
        }
        group.count += 1;
        group.orphans += orphan ? 1 : 0;
      }
    return groups;
  }

  /** The machine under a pod is lost without a word: PostgreSQL goes on counting its connections for so long. */
  loseMachine(ip: string, lingersMs: number): void {
    this.advance();
    this.#processes.get(ip)?.vanish(this.clock.monotonicMs() + lingersMs);
  }

  /** PostgreSQL connections of one address. */
  backends(address: string): number {
    return this.serversInForce()
      .filter((group) => group.address === address)
      .reduce((sum, { count }) => sum + count, 0);
  }

  /** A process that was told to end looks three times a second whether its last client has gone. */
  #watchEnd(process: PgbouncerModel): void {
    if (process.exited) return;
    this.clock.setTimer(TICK_MS, () => {
      this.advance();
      this.#watchEnd(process);
    });
  }

  #postgresAt(host: string, port: number): PostgresModel | undefined {
    return this.postgres.find((server) => server.port === port && server.hosts.includes(host));
  }
}
