// Ready: every wanted pod was read back and runs this generation, not some of them.
import assert from 'node:assert/strict';
import type { Condition } from '../../src/api/poolconfig.gen.ts';
import type { Observation, PoolerReading } from '../../src/model/observation.ts';
import { planPool } from '../../src/plan/plan.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

describe('Ready', () => {
  function settled(): Observation {
    const fleet = new PaperFleet();
    fleet.settle();
    return fleet.observe();
  }

  function readyOf(seen: Observation): Condition | undefined {
    return planPool(seen).status.conditions?.find(({ type }) => type === 'Ready');
  }

  const unproved: readonly (readonly [string, (reading: PoolerReading & { ok: true }) => PoolerReading])[] = [
    ['was not let in with its userlist', (reading) => ({ ...reading, userlistProved: false })],
    ['reached no server', (reading) => ({ ...reading, serverProof: 'untried' })],
    ['does not answer', () => ({ ok: false, fault: 'timeout' })],
  ];
  for (const [what, change] of unproved) {
    it(`is false as soon as one of two pods ${what}`, () => {
      const seen = settled();
      assert.equal(readyOf(seen)?.status, 'True');
      const [uid, reading] = [...seen.poolers][0] ?? [];
      assert.ok(uid !== undefined && reading?.ok === true);
      const ready = readyOf({ ...seen, poolers: new Map([...seen.poolers, [uid, change(reading)]]) });
      assert.equal(ready?.status, 'False');
      assert.match(ready.message, /^1 of 2 pods/);
    });
  }

  it('speaks of the generation that it was judged by', () => {
    const seen = settled();
    const { pool } = seen;
    const edited = { ...pool, metadata: { ...pool.metadata, generation: 9 } };
    for (const condition of planPool({ ...seen, pool: edited }).status.conditions ?? [])
      assert.equal(condition.observedGeneration, 9, condition.type);
  });
});
