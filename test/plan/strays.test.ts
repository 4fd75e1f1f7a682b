// A host that leads elsewhere: pods bring their connections over once PgBouncer has forgotten the former address, and no sooner.
import assert from 'node:assert/strict';
import type { Action } from '../../src/model/plan.ts';
import { planPool } from '../../src/plan/plan.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const CACHE_MS = 2_000;

function moved(agoMs: number) {
  const fleet = new PaperFleet();
  fleet.settle();
  const [first = ''] = fleet.pods.map(({ name }) => name);
  fleet.strays.add(first);
  const plan = planPool({ ...fleet.observe(), leadsSinceMs: fleet.nowMs - agoMs });
  const reconnects = plan.actions.filter((action) => action.kind === 'reconnectPools');
  return { fleet, first, plan, reconnects };
}

const podsOf = (actions: readonly Extract<Action, { kind: 'reconnectPools' }>[]): readonly string[] =>
  actions.map(({ pod }) => pod);

describe('connections to where the host led before', () => {
  it('are brought over in the pods that have them, once PgBouncer looks the name up again', () => {
    const { first, reconnects } = moved(CACHE_MS + 500);
    assert.deepEqual(podsOf(reconnects), [first]);
    assert.deepEqual(reconnects[0]?.databases, ['orders']);
  });

  it('are left for as long as PgBouncer remembers the former address, and looked at right after', () => {
    const { plan, reconnects } = moved(500);
    assert.deepEqual(reconnects, []);
    assert.ok((plan.requeueAfterMs ?? Infinity) <= CACHE_MS, `${plan.requeueAfterMs}`);
  });

  it('are told of again at gaps that double: the pod’s resolver may be behind', () => {
    const { fleet } = moved(0);
    fleet.tries = 3;
    const told = (agoMs: number): number =>
      planPool({ ...fleet.observe(), leadsSinceMs: fleet.nowMs - agoMs }).actions.filter(
        ({ kind }) => kind === 'reconnectPools',
      ).length;
    assert.deepEqual([told(CACHE_MS + 7_000), told(CACHE_MS + 7_500)], [0, 1]);
  });

  it('are left alone while nobody knows where the host leads', () => {
    const { fleet } = moved(0);
    assert.deepEqual(
      planPool(fleet.observe()).actions.filter((action) => action.kind === 'reconnectPools'),
      [],
    );
  });

  it('are left alone in a paused database, which closes them itself', () => {
    const { fleet, first } = moved(0);
    fleet.pause(first, ['orders']);
    const plan = planPool({ ...fleet.observe(), leadsSinceMs: fleet.nowMs - 60_000 });
    assert.deepEqual(
      plan.actions.filter((action) => action.kind === 'reconnectPools'),
      [],
    );
  });
});
