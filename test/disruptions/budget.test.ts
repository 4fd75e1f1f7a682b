// The budget while everything happens at once: a scale-out under saturating load, and the operator killed in the middle of it.
import assert from 'node:assert/strict';
import { figuresOf } from '../budget/figures.ts';
import { judge } from '../budget/judgement.ts';
import { runScenario } from '../budget/run-scenario.ts';
import { SCENARIOS } from '../budget/scenarios.ts';
import { isOwnCluster } from '../support/kubectl.ts';
import { measured, seconds } from '../support/stage.ts';

describe('the budget', function () {
  this.timeout(240_000);

  it('holds in a scale-out whose operator is killed, with nothing failed, lost or there twice', async function () {
    if (!(await isOwnCluster())) {
      console.log('SKIPPED: a container can be killed only on the cluster that make cluster-up starts');
      this.skip();
    }
    const scenario = SCENARIOS.find(({ name }) => name === 'scale-out-operator-sigkill');
    assert.ok(scenario !== undefined);
    const seed = Math.floor(Math.random() * 2 ** 32);
    const recording = await runScenario(scenario, seed);
    const figures = figuresOf(recording);
    const { maxBackends, budget, samples, maxGapMs, transactions, failed, tookMs } = figures;
    measured(
      `at most ${maxBackends} of ${budget} backends in ${samples} samples, longest gap ${maxGapMs} ms; ${transactions} transactions, ${failed} failed; at rest after ${seconds(tookMs)} (seed ${seed})`,
    );
    const { verdict, reasons } = judge(figures, recording);
    if (verdict === 'does not count') {
      console.log(`SKIPPED: ${reasons.join('; ')}`);
      this.skip();
    }
    assert.equal(verdict, 'passed', `${reasons.join('; ')} ${JSON.stringify(recording.errors)}`);
  });
});
