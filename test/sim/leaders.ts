// The operators of one life: each is born as the leader of the next epoch, dies by a fault or goes on too long, and is followed by another.
import type { Clock } from '../../src/runtime/clock.ts';
import type { Plan } from '../../src/model/plan.ts';
import type { ArmedFaults } from './armed-faults.ts';
import type { FateOf } from './contracts.ts';
import type { Operation } from './history.ts';
import { reachOf } from './pooler/sim-consoles.ts';
import { SimOperator, type Adapters } from './sim-operator.ts';
import type { SimWorld } from './sim-world.ts';
import type { Story } from './story.ts';
import { Violation } from './watchman.ts';

export type LeadersOptions = {
  readonly clock: Clock;
  readonly random: () => number;
  readonly world: Pick<SimWorld, 'api' | 'plane'>;
  readonly story: Story;
  readonly newSecret: (bytes: number) => string;
  readonly faults: ArmedFaults;
};

/** After it a leader that was not heard of is followed by another. */
const LEASE_MS = 6_000;
/** A process that wakes up goes on for so long before it notices that its lease is lost. */
const WAKING_MS = 300;
/** What the program logs and tries again after a fault; anything else that it logs as an error is a defect. */
const EXPLAINED = /ApiError|AdminError|following a collection/;

export class Leaders {
  readonly #options: LeadersOptions;
  readonly #operators: SimOperator[] = [];
  /** Stopped, and no leader any more when they go on. */
  readonly #halted = new Set<SimOperator>();
  /** Epoch → generation that its leader's last unblocked plan was made for. */
  readonly #seen = new Map<number, number>();
  #epoch = 1;
  #turns = 0;

  constructor(options: LeadersOptions) {
    this.#options = options;
  }

  /** How often any of them has planned. */
  get turns(): number {
    return this.#turns;
  }

  /** The generation that an operator last made an unblocked plan for; undefined before it has. */
  seen(epoch: number): number | undefined {
    return this.#seen.get(epoch);
  }

  start(): void {
    this.#epoch += 1;
    const epoch = this.#epoch;
    const { clock, random, newSecret, faults } = this.#options;
    const operator: SimOperator = new SimOperator({
      epoch,
      clock,
      random,
      newSecret,
      connect: (fateOf) => this.#connect(`operator-${epoch}`, fateOf),
      fateOf: (call, mine) => faults.fateOf(call, mine),
      onPlanned: (plan) => {
        this.#notePlan(epoch, plan);
      },
    });
    this.#operators.push(operator);
    operator.start();
  }

  startIfNone(): void {
    if (this.#leading() === undefined) this.start();
  }

  /** It dies now, and another comes after `awayMs` unless one is there by then. */
  crash(operator: SimOperator, awayMs: number): void {
    const { clock, story } = this.#options;
    story.tell('history', `the operator of epoch ${operator.epoch} dies, another comes in ${awayMs} ms`);
    operator.kill();
    clock.setTimer(awayMs, () => {
      this.startIfNone();
    });
  }

  /** The leader is stopped in the middle of a write, another takes over, and the first goes on for a moment when it wakes. */
  overlap({ heldMs, write }: Extract<Operation, { kind: 'secondLeader' }>): void {
    const { clock, story, faults } = this.#options;
    const former = this.#leading();
    if (former === undefined) return;
    faults.calls.armHold(former, write, heldMs, () => {
      this.#halted.add(former);
      story.tell('history', `epoch ${former.epoch} is stopped in the middle of a write for ${heldMs} ms`);
      clock.setTimer(Math.min(heldMs, LEASE_MS), () => {
        // One that was to come after a crash may be there already.
        if (former.dead || this.#leading() !== undefined) return;
        story.tell('history', `a second leader takes over from epoch ${former.epoch}`);
        this.start();
      });
      clock.setTimer(heldMs + WAKING_MS, () => {
        former.kill();
        this.startIfNone();
      });
    });
  }

  /** @throws Violation for an error that no fault explains. */
  checkErrors(): void {
    for (const { errors, epoch } of this.#operators) {
      const error = errors.find((each) => !EXPLAINED.test(each));
      errors.length = 0;
      if (error !== undefined) throw new Violation(`the operator of epoch ${epoch} failed: ${error}`);
    }
  }

  killAll(): void {
    for (const operator of this.#operators) operator.kill();
  }

  #leading(): SimOperator | undefined {
    return this.#operators.findLast((operator) => !operator.dead && !this.#halted.has(operator));
  }

  #connect(name: string, fateOf: FateOf): Adapters {
    const { world, random, faults } = this.#options;
    const watchLagMs = (): number => 1 + 20 * random() + faults.events.lagMs();
    const client = world.api.connect(fateOf, { name, watchLagMs });
    const { consoles, logins, serverSource: servers, crash } = reachOf(world.plane, fateOf, name);
    const die = (): void => {
      client.kill();
      crash();
    };
    return { client, consoles, logins, servers, die };
  }

  #notePlan(epoch: number, { status, actions }: Plan): void {
    this.#turns += 1;
    const stalled = status.conditions?.some((condition) => condition.type === 'Stalled' && condition.status === 'True');
    if (stalled !== true) this.#seen.set(epoch, status.observedGeneration ?? 0);
    for (const { kind, why } of actions) this.#options.story.tell(`epoch ${epoch}`, `${kind}: ${why}`);
  }
}
