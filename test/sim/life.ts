// One history lived through: the real controller over the simulated world, round after round, until everything is at rest again.
import { LABEL } from '../../src/model/names.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { Draw } from '../support/random.ts';
import { armFault, type Targets } from './arm-fault.ts';
import { ArmedFaults } from './armed-faults.ts';
import { carryOut, type Stage } from './carry-out.ts';
import { strike, type Coverage } from './coverage.ts';
import type { Endpoint } from './contracts.ts';
import { finalFaults } from './final-state.ts';
import { isReady, poolOf, toldGeneration } from './fleet.ts';
import type { History, Operation, Round } from './history.ts';
import { holdings } from './holdings.ts';
import { Leaders } from './leaders.ts';
import { OperatorWrites } from './operator-writes.ts';
import { budgetOf, firstSpec, mostDeclared, NAMESPACE, POOL } from './operations.ts';
import { seededSecrets } from './seeded-secrets.ts';
import { simWorld, type SimWorld } from './sim-world.ts';
import { Steps } from './steps.ts';
import { Story } from './story.ts';
import type { OnStrike } from './strikes.ts';
import { truthOf } from './truth.ts';
import { Violation, Watchman, type Truth } from './watchman.ts';

export type Outcome = {
  readonly violation: string | undefined;
  readonly story: readonly string[];
  readonly coverage: Coverage;
  readonly checks: number;
  readonly turns: number;
  readonly virtualMs: number;
  readonly peakShare: number;
};

const START_LIMIT_MS = 180_000;
/** Looking at everything costs more than a step. */
const LOOK_EVERY_MS = 1_000;
const REST_LIMIT_MS = 300_000;
/** By then a change that was under way has been proved or refused. */
const SETTLE_MS = 90_000;
/** Nothing is written for so long: at rest. */
const REST_MS = 30_000;
/** After it has settled it is looked at for so long again. */
const WATCH_REST_MS = 60_000;

export async function live(history: History): Promise<Outcome> {
  const life = new Life(history);
  return life.run();
}

class Life {
  readonly #history: History;
  readonly #clock = new FakeClock();
  readonly #story = new Story(() => this.#clock.monotonicMs());
  readonly #coverage: Coverage = {};
  readonly #world: SimWorld;
  readonly #truth: Truth;
  readonly #watchman: Watchman;
  readonly #writes: OperatorWrites;
  readonly #targets: Targets;
  readonly #leaders: Leaders;
  readonly #stage: Stage;
  readonly #steps: Steps;
  #endpoints: readonly Endpoint[] = [];

  constructor(history: History) {
    this.#history = history;
    const { setup, seed } = history;
    const clock = this.#clock;
    const story = this.#story;
    // Not the numbers that the history itself was drawn by.
    const draw = new Draw(seed ^ 0x5eed);
    const random = draw.next;
    const onStrike: OnStrike = (fault, operation, what) => {
      strike(this.#coverage, fault, operation);
      story.tell('fault', what);
    };

    const faults = new ArmedFaults({
      clock,
      draw,
      onStrike,
      onCrash: (operator, awayMs) => {
        leaders.crash(operator, awayMs);
      },
    });
    const world = simWorld(setup, { clock, random, faults });
    const leaders = new Leaders({ clock, random, world, story, faults, newSecret: seededSecrets(seed) });
    const budget = budgetOf(firstSpec(setup), setup.maxConnections, setup.monitor);

    this.#world = world;
    this.#leaders = leaders;
    this.#targets = { clock, faults, world, onStrike };
    this.#truth = truthOf(world);
    this.#watchman = new Watchman(this.#truth, budget);
    this.#writes = new OperatorWrites({
      api: world.api,
      watchman: this.#watchman,
      seen: (epoch) => leaders.seen(epoch),
    });
    this.#stage = {
      world,
      draw,
      story,
      mostDeclared: mostDeclared(setup),
      budget: () => budgetOf(poolOf(world.api).spec, setup.maxConnections, setup.monitor),
      onDeclared: (spec, generation) => {
        this.#watchman.declare(budgetOf(spec, setup.maxConnections, setup.monitor), generation);
      },
      secondLeader: (operation) => {
        leaders.overlap(operation);
      },
    };
    this.#steps = new Steps(clock, () => {
      this.#look();
    });
  }

  async run(): Promise<Outcome> {
    let violation: Violation | undefined;
    try {
      await this.#begin();
      for (const round of this.#history.rounds) await this.#round(round);
      await this.#end();
    } catch (thrown) {
      if (!(thrown instanceof Violation)) throw thrown;
      violation = thrown;
      this.#story.tell('history', `VIOLATION ${thrown.message}`);
      for (const line of holdings(this.#world, this.#truth)) this.#story.tell('pod', line);
    } finally {
      this.#leaders.killAll();
    }
    return {
      violation: violation?.message,
      story: this.#story.lines,
      coverage: this.#coverage,
      checks: this.#watchman.checks,
      turns: this.#leaders.turns,
      virtualMs: this.#clock.monotonicMs(),
      peakShare: this.#watchman.peakShare,
    };
  }

  async #begin(): Promise<void> {
    this.#leaders.start();
    const ready = (): boolean => isReady(poolOf(this.#world.api));
    await this.#steps.until(ready, START_LIMIT_MS, () => 'the fleet was never Ready');
    this.#story.tell('history', 'the fleet is Ready');
  }

  async #round({ operation, faults, lastsMs }: Round): Promise<void> {
    this.#story.tell('operation', JSON.stringify(operation));
    for (const fault of faults) armFault(fault, operation.kind, this.#targets);
    carryOut(operation, this.#stage);
    await this.#steps.pass(lastsMs);
  }

  /** No more faults: everything must come to rest, as declared, and leave nothing behind. */
  async #end(): Promise<void> {
    this.#targets.faults.disarm();
    this.#story.tell('history', 'no more faults');
    this.#leaders.startIfNone();
    await this.#steps.pass(SETTLE_MS);
    // A configuration that PgBouncer refused is not tried again: the user corrects it.
    const correction: Operation = { kind: 'editParameter', seconds: 1_000 };
    if (poolOf(this.#world.api).status?.refused !== undefined) carryOut(correction, this.#stage);
    await this.#comeToRest();
    const sinceMs = this.#writes.lastMs;
    await this.#steps.pass(WATCH_REST_MS);
    if (this.#writes.lastMs !== sinceMs)
      throw new Violation(`something was written at rest: ${this.#writes.describeLast()}`);
  }

  async #comeToRest(): Promise<void> {
    let lookedMs = 0;
    // What has come right in the moment before is about to be told.
    let lastFaultMs = this.#clock.monotonicMs();
    const atRest = (): boolean => {
      const nowMs = this.#clock.monotonicMs();
      if (nowMs - lookedMs < LOOK_EVERY_MS) return false;
      lookedMs = nowMs;
      if (finalFaults(this.#world).length > 0) lastFaultMs = nowMs;
      return nowMs - Math.max(this.#writes.lastMs, lastFaultMs) > REST_MS;
    };
    await this.#steps.until(atRest, REST_LIMIT_MS, () => this.#unrest());
  }

  #unrest(): string {
    const left = finalFaults(this.#world);
    const ago = ((this.#clock.monotonicMs() - this.#writes.lastMs) / 1000).toFixed(1);
    const why = left.length === 0 ? 'nothing is left to do' : left.join('; ');
    return `not at rest after ${REST_LIMIT_MS / 1000} s: last write ${ago} s ago (${this.#writes.describeLast()}); ${why}`;
  }

  /** The Service sends clients where it now may, and the promises are looked at. */
  #look(): void {
    const { kubelet, plane } = this.#world;
    const endpoints = kubelet.endpoints(NAMESPACE, { [LABEL.pool]: POOL, [LABEL.serving]: 'true' });
    if (endpoints !== this.#endpoints) plane.setEndpoints(endpoints);
    this.#endpoints = endpoints;
    this.#watchman.check(toldGeneration(poolOf(this.#world.api)));
    this.#writes.check();
    this.#leaders.checkErrors();
  }
}
