// Two PoolConfigs on one server: what they declare is checked together, and both say when it is too much.
import assert from 'node:assert/strict';
import { conditionOf, readPool, waitForCondition } from '../support/pool.ts';
import { measured, Stage } from '../support/stage.ts';

describe('two PoolConfigs on one server', function () {
  this.timeout(90_000);
  let stage: Stage;
  let namespace: string;

  before(async () => {
    // 37 of the 40 are for ordinary roles.
    stage = await Stage.set({ prefix: 'shared', maxConnections: 40 });
    namespace = stage.namespace;
  });

  after(() => stage[Symbol.asyncDispose]());

  it('are both told when their budgets together are more than the server has', async () => {
    await stage.prove(stage.pool('first').withBudget(20));
    const alone = await readPool(namespace, 'first');
    assert.equal(conditionOf(alone, 'BudgetSatisfied')?.status, 'True');
    await stage.prove(stage.pool('second').withBudget(20));
    for (const [name, other] of [
      ['first', 'second'],
      ['second', 'first'],
    ] as const) {
      const pool = await waitForCondition(namespace, name, 'BudgetSatisfied', 'False', {
        reason: 'ServerShared',
        timeoutMs: 20_000,
      });
      const message = conditionOf(pool, 'BudgetSatisfied')?.message ?? '';
      assert.ok(message.includes(`${namespace}/${other}`) && message.includes('40') && message.includes('37'), message);
      assert.equal(conditionOf(pool, 'Ready')?.status, 'True', 'a fleet that serves is Ready all the same');
    }
  });

  it('are both told when one is lowered enough', async () => {
    await stage.prove(stage.pool('first').withBudget(12));
    for (const name of ['first', 'second']) {
      await waitForCondition(namespace, name, 'BudgetSatisfied', 'True', { reason: 'WithinBudget', timeoutMs: 20_000 });
    }
  });

  it('hold the sum of their budgets on the server, when both are under load', async () => {
    await using sampler = await stage.sampler();
    await using first = await stage.load({ clients: 20, holdMs: 15, pauseMs: 1 }, 'first');
    await using second = await stage.load({ clients: 20, holdMs: 15, pauseMs: 1 }, 'second');
    // More than either may have alone.
    await sampler.reaches(21);
    await Promise.all([first.done(300), second.done(300)]);
    assert.equal((await first.stop()).failed, 0);
    assert.equal((await second.stop()).failed, 0);
    const { peak } = sampler.lap();
    measured(`at most ${peak} of 12 + 20 backends`);
    assert.ok(peak <= 32, `${peak} backends`);
  });
});
