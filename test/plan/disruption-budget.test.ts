// The disruption budget of the fleet stands aside for one of the user's, because Kubernetes evicts no pod that two of them choose.
import assert from 'node:assert/strict';
import { LABEL } from '../../src/model/names.ts';
import { planPool } from '../../src/plan/plan.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

function budgetActions(fleet: PaperFleet, budgetsOfOthers: readonly string[]) {
  const plan = planPool({ ...fleet.observe(), budgetsOfOthers });
  return plan.actions.flatMap((action) =>
    action.kind === 'applyChild' && action.object.kind === 'PodDisruptionBudget'
      ? [{ chooses: JSON.stringify(action.object['spec']), why: action.why }]
      : [],
  );
}

describe('the disruption budget of a fleet', () => {
  it('chooses nobody while one of somebody else chooses its pods, and says for whom', () => {
    const fleet = new PaperFleet();
    fleet.settle();
    assert.deepEqual(budgetActions(fleet, []), []);
    const [action] = budgetActions(fleet, ['mine']);
    assert.match(action?.chooses ?? '', new RegExp(`"${LABEL.pool}":""`));
    assert.match(action?.why ?? '', /stands aside for mine: no pod that two of them choose can be evicted$/);
  });
});
