// The fleet's budget: as declared, or less where PostgreSQL cannot give that much.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { ServerLimits } from '../../src/model/server-view.ts';
import { marginOf, resolveBudget, usableConnections } from '../../src/sizing/budget.ts';
import type { Budget, BudgetWish } from '../../src/sizing/budget.ts';
import { propertyRuns } from './property-runs.ts';

const limits = (over: Partial<ServerLimits> = {}): ServerLimits => ({
  versionNumber: 150_018,
  maxConnections: 100,
  superuserReserved: 3,
  reserved: 0,
  ...over,
});
function budgetOf(wish: BudgetWish): Budget {
  const result = resolveBudget(wish);
  assert.ok(!('problem' in result), JSON.stringify(result));
  return result;
}

describe('the budget', () => {
  it('is what is declared less the reserve', () => {
    assert.deepEqual(resolveBudget({ connections: 80, reserve: 5 }), {
      declared: 80,
      reserve: 5,
      budget: 75,
      source: 'declared',
    });
  });

  it('is a percentage of the usable connections, rounded down, less the reserve', () => {
    const budget = budgetOf({ percent: 90, reserve: 5, limits: limits() });
    assert.deepEqual([budget.declared, budget.budget, budget.usable, budget.source], [87, 82, 97, 'percent']);
  });

  it('leaves out the slots that PostgreSQL 16 reserves', () => {
    assert.equal(usableConnections(limits({ reserved: 10 })), 87);
  });

  it('shrinks to what PostgreSQL and the others leave', () => {
    const budget = budgetOf({ connections: 80, reserve: 5, limits: limits(), othersInUse: 40 });
    assert.deepEqual([budget.declared, budget.budget, budget.source], [80, 52, 'server']);
    assert.equal(budget.spare, 5, 'the reserve is what stays free');
  });

  it('tells how many slots stay free, and how many should', () => {
    const budget = budgetOf({ connections: 90, reserve: 0, limits: limits(), monitors: 1, othersInUse: 6 });
    assert.deepEqual([budget.budget, budget.spare], [90, 0]);
    assert.deepEqual([10, 97, 100, 101, 500].map(marginOf), [2, 2, 2, 3, 10]);
  });

  it("leaves the operator's own connections their slots", () => {
    assert.equal(budgetOf({ connections: 97, reserve: 0, limits: limits(), monitors: 2 }).budget, 95);
  });

  it('is never pressed by others below what the fleet can live on, but is by the server itself', () => {
    const wish = { connections: 80, reserve: 5, least: 8 };
    assert.equal(budgetOf({ ...wish, limits: limits(), othersInUse: 90 }).budget, 8);
    assert.equal(budgetOf({ ...wish, limits: limits({ maxConnections: 10 }), othersInUse: 90 }).budget, 2);
  });

  it('reports a percentage without a monitor role', () => {
    const result = resolveBudget({ percent: 90, reserve: 0 });
    assert.ok('problem' in result && result.problem === 'PercentNeedsMonitor');
    assert.match(result.message, /90 percent/);
  });

  it('reports a budget of which nothing is left for the fleet', () => {
    for (const wish of [
      { connections: 5, reserve: 5 },
      { connections: 80, reserve: 0, limits: limits(), othersInUse: 200 },
    ]) {
      const result = resolveBudget(wish);
      assert.ok('problem' in result && result.problem === 'NothingLeft', JSON.stringify(wish));
    }
  });

  it('reports a budget that declares nothing', () => {
    const result = resolveBudget({ reserve: 0 });
    assert.ok('problem' in result && result.problem === 'NothingDeclared');
  });

  it('never exceeds the declared number, nor with reserve and others what PostgreSQL has', () => {
    const small = fc.integer({ min: 0, max: 300 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        small,
        small,
        fc.integer({ min: 1, max: 1_000 }),
        (connections, reserve, othersInUse, maxConnections) => {
          const result = resolveBudget({ connections, reserve, othersInUse, limits: limits({ maxConnections }) });
          if ('problem' in result) {
            assert.ok(Math.min(connections, maxConnections - 3 - othersInUse) - reserve < 1);
            return;
          }
          assert.ok(result.budget >= 1 && result.budget + reserve <= connections);
          assert.ok(result.budget + reserve + othersInUse <= maxConnections - 3);
        },
      ),
      { numRuns: propertyRuns() },
    );
  });
});
