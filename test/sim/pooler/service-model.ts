// Clients behind a Service: persistent connections of drawn lifetimes, spread over the pods that take new ones, and what became of each.
import type { Endpoint } from '../contracts.ts';
import { between, type Random } from './draws.ts';
import type { PgbouncerModel, TurnedAway } from './pgbouncer-model.ts';
import type { LostBy, ModelClient } from './pool-model.ts';

export type Demand = {
  readonly database: string;
  readonly user: string;
  readonly password: string;
  /** Clients that always want a server. */
  readonly clients: number;
  /** Clients that are connected and want nothing. */
  readonly idle?: number;
};

/** Connections that ended against the client's will, and those that did not come about. */
export type Tally = {
  /** By cause, in the middle of a transaction. */
  readonly cut: Record<LostBy, number>;
  /** By cause, between two transactions. */
  readonly closed: Record<LostBy, number>;
  readonly turnedAway: Record<TurnedAway, number>;
  /** Attempts while there was no pod to connect to. */
  noEndpoint: number;
  connected: number;
};

type Seat = {
  readonly demand: Demand;
  readonly busy: boolean;
  at: PgbouncerModel | undefined;
  client: ModelClient | undefined;
  /** When it leaves the pod it is at, or tries to connect again. */
  nextMs: number;
  gone: boolean;
};

export type ServiceOptions = {
  readonly random: Random;
  readonly processAt: (ip: string) => PgbouncerModel | undefined;
  /** How long a client keeps a connection, in milliseconds. */
  readonly lifetimeMs?: (random: Random) => number;
};

/** A pooled connection lives from 5 s to 2 min; Infinity never comes back by itself. */
function usualLifetimeMs(random: Random): number {
  return 5_000 * Math.exp(random() * Math.log(24));
}

/** Driven by the data plane, in the order of time. */
export class ServiceModel {
  readonly tally: Tally = {
    cut: noLosses(),
    closed: noLosses(),
    turnedAway: { gone: 0, 'shutting down': 0, password: 0, 'no such database': 0, max_client_conn: 0 },
    noEndpoint: 0,
    connected: 0,
  };
  readonly #options: ServiceOptions;
  #endpoints: readonly Endpoint[] = [];
  #seats: Seat[] = [];

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  setEndpoints(endpoints: readonly Endpoint[]): void {
    this.#endpoints = endpoints;
  }

  /** Replaces what this user wants of this database. Clients that are too many leave between two transactions. */
  setDemand(demand: Demand, nowMs: number): void {
    for (const busy of [true, false]) {
      const wanted = busy ? demand.clients : (demand.idle ?? 0);
      const mine = this.#seats.filter(
        (seat) => seat.busy === busy && seat.demand.database === demand.database && seat.demand.user === demand.user,
      );
      for (const seat of mine.slice(wanted)) this.#dismiss(seat);
      const kept = mine.slice(0, wanted);
      for (const seat of kept) Object.assign(seat, { demand });
      for (let n = kept.length; n < wanted; n += 1)
        this.#seats.push({ demand, busy, at: undefined, client: undefined, nextMs: nowMs, gone: false });
    }
    this.#seats = this.#seats.filter(({ gone }) => !gone);
  }

  /** When a client next comes or goes. */
  get nextMs(): number {
    let next = Infinity;
    for (const seat of this.#seats) if (seat.nextMs < next) next = seat.nextMs;
    return next;
  }

  run(nowMs: number): void {
    for (const seat of this.#seats) {
      if (seat.nextMs > nowMs) continue;
      if (seat.client === undefined) this.#connect(seat, nowMs);
      else {
        seat.nextMs = Infinity;
        seat.at?.advance(nowMs);
        // The advance may have ended its connection.
        if (seat.client !== undefined) seat.at?.leave(seat.client); // eslint-disable-line @typescript-eslint/no-unnecessary-condition
      }
    }
  }

  #connect(seat: Seat, nowMs: number): void {
    const { random, processAt } = this.#options;
    const endpoint = this.#endpoints[Math.floor(random() * this.#endpoints.length)];
    if (endpoint === undefined) {
      this.tally.noEndpoint += 1;
      seat.nextMs = nowMs + between(random, 200, 1_000);
      return;
    }
    const process = processAt(endpoint.ip);
    process?.advance(nowMs);
    const { database, user, password } = seat.demand;
    seat.nextMs = nowMs + (this.#options.lifetimeMs ?? usualLifetimeMs)(random);
    seat.at = process;
    const answer =
      process?.accept({
        ...{ database, user, password, kind: seat.busy ? 'loop' : 'held' },
        events: {
          onLost: (by, inTransaction, atMs) => {
            (inTransaction ? this.tally.cut : this.tally.closed)[by] += 1;
            this.#comeBack(seat, atMs, by === 'server' || by === 'timeout' ? 1_000 : 50);
          },
          onLeft: (atMs) => {
            this.#comeBack(seat, atMs, 0);
          },
        },
      }) ?? 'gone';
    if (typeof answer === 'string') {
      this.tally.turnedAway[answer] += 1;
      this.#comeBack(seat, nowMs, 1_000);
      return;
    }
    this.tally.connected += 1;
    // It may have been lost again at once.
    if (seat.at !== undefined) seat.client = answer;
  }

  #comeBack(seat: Seat, atMs: number, withinMs: number): void {
    seat.client = undefined;
    seat.at = undefined;
    seat.nextMs = seat.gone ? Infinity : atMs + between(this.#options.random, withinMs / 5, withinMs);
  }

  #dismiss(seat: Seat): void {
    seat.gone = true;
    seat.nextMs = Infinity;
    if (seat.client !== undefined) seat.at?.leave(seat.client);
  }
}

function noLosses(): Record<LostBy, number> {
  return { KILL_CLIENT: 0, SIGTERM: 0, SIGKILL: 0, timeout: 0, server: 0, 'database removed': 0 };
}
