// One operator process of the simulation: the real controller code over simulated adapters, and its death at any call.
import { Reconciler } from '../../src/controller/reconcile.ts';
import { LostServers } from '../../src/controller/lost-servers.ts';
import { Prover, type ProofLogins } from '../../src/controller/prover.ts';
import type { ServerSource } from '../../src/controller/servers.ts';
import { World } from '../../src/controller/world.ts';
import type { KubeApi } from '../../src/kube/client.ts';
import type { LiveObject } from '../../src/kube/resources.ts';
import type { Plan } from '../../src/model/plan.ts';
import type { PoolerConsoles } from '../../src/pgbouncer/consoles.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { Controller } from '../../src/runtime/controller.ts';
import type { Log } from '../../src/runtime/log.ts';
import { WorkQueue } from '../../src/runtime/work-queue.ts';
import type { Call, Fate, FateOf } from './contracts.ts';

/** What an operator reaches the world by, every call of it subject to a fate. */
export type Adapters = {
  readonly client: KubeApi;
  readonly consoles: PoolerConsoles;
  readonly logins: ProofLogins;
  readonly servers: ServerSource;
  /** The process has died: its connections end, and no answer reaches it any more. */
  readonly die: () => void;
};

export type SimOperatorOptions = {
  /** Grows with every leadership, as the Lease's transitions do. */
  readonly epoch: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly connect: (fateOf: FateOf) => Adapters;
  readonly fateOf: (call: Call, operator: SimOperator) => Fate;
  /** Told of every plan, before it is carried out. */
  readonly onPlanned: (plan: Plan, operator: SimOperator) => void;
  readonly newSecret: (bytes: number) => string;
};

const NEVER: Fate = { delayMs: 0, arrives: false, answer: 'never' };
const WORKERS = 2;

export class SimOperator {
  readonly epoch: number;
  readonly #world: World;
  readonly #controller: Controller;
  readonly #queue: WorkQueue;
  readonly #leading = new AbortController();
  readonly #die: () => void;
  /** Turns that ended in an error which is not an ordinary race. */
  readonly errors: string[] = [];
  #dead = false;

  constructor(options: SimOperatorOptions) {
    const { clock, random, epoch, connect, fateOf, onPlanned, newSecret } = options;
    this.epoch = epoch;
    const { client, consoles, logins, servers, die } = connect((call) => (this.#dead ? NEVER : fateOf(call, this)));
    this.#die = die;
    const log: Log = {
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: (message, fields) => {
        this.#note(message, fields);
      },
    };
    this.#queue = new WorkQueue({ clock, random });
    this.#world = new World({
      client,
      clock,
      log,
      random,
      namespaces: [],
      onChange: (key, source) => {
        this.#queue.add(key, source === 'list' ? 'low' : 'normal');
      },
    });
    const reconciler = new Reconciler({
      client,
      world: this.#world,
      consoles,
      servers,
      prover: new Prover(logins),
      lost: new LostServers(),
      newSecret,
      refusals: new Map(),
      foreign: new Map<string, ReadonlyMap<string, LiveObject>>(),
      clock,
      events: { record: () => undefined },
      log,
      defaultImage: 'poolsmith/pgbouncer:1.26.1',
      epoch: () => (this.#dead ? undefined : epoch),
      onPlanned: (_key, _observation, plan) => {
        onPlanned(plan, this);
      },
    });
    this.#controller = new Controller({
      queue: this.#queue,
      clock,
      workers: WORKERS,
      log,
      reconcile: (key, signal) => reconciler.reconcile(key, signal),
    });
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Caches first, as the real program does; returns at once. */
  start(): void {
    this.#world.start();
    const { signal } = this.#leading;
    void this.#world.waitForSync(signal).then(
      () => {
        if (!this.#dead) this.#controller.start(signal);
      },
      () => undefined,
    );
  }

  /** As SIGKILL: nothing is tidied up, and no call from here on arrives anywhere. */
  kill(): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#die();
    this.#leading.abort(new Error('killed'));
    void this.#world.stop();
  }

  #note(message: string, fields: unknown): void {
    if (this.#dead) return;
    const error = (fields as { error?: unknown } | undefined)?.error;
    this.errors.push(error instanceof Error ? `${message}: ${error.stack ?? error.message}` : message);
  }
}
