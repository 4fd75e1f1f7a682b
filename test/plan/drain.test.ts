// When a pod that is to go may be deleted: left by its clients and without a share of its own, or out of time.
import assert from 'node:assert/strict';
import type { Observation } from '../../src/model/observation.ts';
import { isDrained } from '../../src/plan/drain.ts';
import { podStates } from '../../src/plan/pod-state.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const TIMES = { windowMs: 30_000, timeoutMs: 60_000 };

describe('a pod that drains', () => {
  /** The first pod of a settled fleet, drained for so long, with a share of one unless told otherwise. */
  function state(ageMs: number, { clients = 0, size = 1, unsettled = 0, answers = true } = {}) {
    const fleet = new PaperFleet();
    fleet.settle();
    const [first] = fleet.pods;
    assert.ok(first?.grant);
    fleet.connect(first.name, clients);
    const seen = fleet.observe();
    const grant = {
      ...first.grant,
      sizes: { orders: size },
      ...(unsettled > 0 ? { unsettled: { orders: unsettled } } : {}),
    };
    const pod = { ...first, grant, drain: { sinceMs: seen.nowMs - ageMs, why: 'ScaleIn' as const } };
    const poolers = answers ? seen.poolers : new Map<string, never>();
    const changed: Observation = { ...seen, pods: [pod], poolers };
    const [drained] = podStates(changed, new Map());
    assert.ok(drained);
    return isDrained(drained, changed.nowMs, TIMES);
  }

  it('may go once no client is left and its share is given up', () => {
    assert.equal(state(2_000), true);
  });

  it('stays while it has clients', () => {
    assert.equal(state(2_000, { clients: 1 }), false);
    assert.equal(state(59_000, { clients: 1 }), false);
  });

  it('stays while it holds more than the least share, or a former one is not settled', () => {
    assert.equal(state(2_000, { size: 2 }), false);
    assert.equal(state(2_000, { unsettled: 3 }), false);
  });

  it('stays while new connections may still come, and while it serves but does not answer', () => {
    assert.equal(state(500), false);
    assert.equal(state(2_000, { answers: false }), false);
  });

  it('goes when its time is over, whoever is there', () => {
    assert.equal(state(60_000, { clients: 9, size: 5 }), true);
  });
});
