// The ledger against a hostile world: the budget holds at every step of thousands of random histories, and all ends at the targets.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { sumOf } from '../../src/sizing/sizes.ts';
import { propertyRuns } from '../sizing/property-runs.ts';
import { Operator } from './ledger-operator.ts';
import type { Omission, Tally } from './ledger-operator.ts';
import { World } from './ledger-world.ts';
import { randomOf } from '../support/random.ts';

const STEPS = 100;

function live(seed: number, tally: Tally, omits?: Omission): void {
  const random = randomOf(seed);
  const within = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
  const extra = within(1, 5);
  const names = ['a', 'b', 'c'].slice(0, within(1, 3));
  const floors = Object.fromEntries(names.map((name) => [name, within(1, 3)]));
  const budget = 2 * extra * sumOf(floors) + within(0, 60);
  const world = new World({ budget, floors, extra, replicas: within(1, extra) }, random);
  const check = (): void => {
    tally.steps += 1;
    const { real, committed, pending } = world;
    assert.ok(real <= committed, `${real} real connections, ${committed} committed`);
    assert.ok(committed + pending <= budget, `${committed} committed and ${pending} pending of ${budget}`);
  };
  const operator = new Operator(world, check, tally, omits);
  for (let step = 0; step < STEPS; step += 1) {
    const roll = random();
    if (roll < 0.35) operator.round(false);
    else if (roll < 0.4) operator.deliverStale();
    else if (roll < 0.43) operator.changeDemand();
    else if (roll < 0.45) operator.changeScale();
    else world.disturb();
    check();
  }
  let quiet = 0;
  for (let round = 0; round < 300 && quiet < 5; round += 1) {
    world.heal();
    check();
    const writes = operator.round(true);
    quiet = writes === 0 && operator.settled ? quiet + 1 : 0;
    check();
  }
  assert.equal(quiet, 5, 'the fleet did not come to rest at its targets');
}

const blank = (): Tally => ({ steps: 0, commands: 0, restarts: 0, refusedStale: 0 });

describe('the ledger in a hostile world', function () {
  this.timeout(600_000);

  it('keeps real ≤ committed ≤ budget at every step, and comes to rest at the targets (L1, L5, L6, L7)', () => {
    const tally = blank();
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 - 1 }), (seed) => {
        live(seed, tally);
      }),
      { numRuns: propertyRuns() },
    );
    assert.ok(tally.restarts > 0 && tally.commands > 0 && tally.refusedStale > 0, JSON.stringify(tally));
    if (process.env['RUNS'] !== undefined) console.log(`      ${JSON.stringify(tally)}`);
  });

  const omissions: readonly (readonly [Omission, string])[] = [
    ['unsettled', 'forgets the old cap of an unproved shrink'],
    ['setAside', 'sets nothing aside for extra pods'],
    ['resourceVersion', 'lets a stale leader write'],
    ['verification', 'takes a commanded shrink for done'],
  ];
  for (const [omission, what] of omissions) {
    it(`would be caught if it ${what}`, () => {
      const broken = Array.from({ length: 200 }, (_, seed) => seed).filter((seed) => {
        try {
          live(seed, blank(), omission);
          return false;
        } catch (error) {
          if (error instanceof assert.AssertionError) return true;
          throw error;
        }
      });
      assert.ok(broken.length > 0, 'no history of 200 noticed');
    });
  }
});
