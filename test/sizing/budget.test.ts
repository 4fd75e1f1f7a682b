// The fleet's budget: as declared, or less where PostgreSQL cannot give that much.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { ServerLimits } from '../../src/model/server-view.ts';
import { resolveBudget, usableConnections } from '../../src/sizing/budget.ts';
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
      notes: [],
    });
  });

  it('is a percentage of the usable connections, rounded down, less the reserve', () => {
    const budget = budgetOf({ percent: 90, reserve: 5, limits: limits() });
    assert.deepEqual([budget.declared, budget.budget, budget.usable, budget.source], [87, 82, 97, 'percent']);
  });

  it('leaves out the slots that PostgreSQL 16 reserves', () => {
    assert.equal(usableConnections(limits({ reserved: 10 })), 87);
  });

  it('shrinks to what PostgreSQL and the others leave, and says so', () => {
    const budget = budgetOf({ connections: 80, reserve: 5, limits: limits(), othersInUse: 40 });
    assert.deepEqual([budget.declared, budget.budget, budget.source], [80, 52, 'server']);
    assert.deepEqual(budget.notes, ['PostgreSQL has 97 usable connections and others hold 40: sized to 57, not to 80']);
  });

  it('warns when hardly a slot is left for a new login', () => {
    const budget = budgetOf({ connections: 97, reserve: 0, limits: limits() });
    assert.equal(budget.budget, 97);
    assert.match(budget.notes.join(), /leave fewer than 2 of PostgreSQL's 97 connections free/);
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
