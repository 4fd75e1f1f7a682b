// Which pod tries a new configuration, and for how long what it answered stands.
import assert from 'node:assert/strict';
import { isoTime } from '../../src/model/iso-time.ts';
import type { Observation } from '../../src/model/observation.ts';
import { chooseModels, type Choice } from '../../src/plan/canary.ts';
import { podStates } from '../../src/plan/pod-state.ts';
import { readProvedRecord } from '../../src/plan/proved-record.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

function settled(): Observation {
  const fleet = new PaperFleet();
  fleet.settle();
  return fleet.observe();
}

/** The choice for a configuration of which the fleet has not heard yet. */
function choose(seen: Observation): Choice {
  const record = readProvedRecord(seen);
  assert.ok(record?.proved === true);
  const states = podStates(seen, new Map([[record.modelHash, record.model]]));
  return chooseModels(seen, states, { model: record.model, modelHash: 'new' }, record);
}

describe('the pod that tries a new configuration', () => {
  /** The first pods of the fleet as they are the moment they were made. */
  function withNew(seen: Observation, count: number): Observation {
    const pods = seen.pods.map((pod, index) => (index < count ? { ...pod, grant: undefined, live: undefined } : pod));
    return { ...seen, pods };
  }

  it('is the oldest that is proved to run the former one', () => {
    const seen = settled();
    assert.equal(choose(seen).canary, seen.pods[0]?.name);
    assert.equal(choose({ ...seen, poolers: new Map([...seen.poolers].slice(1)) }).canary, seen.pods[1]?.name);
  });

  it('is never one that was not told anything yet: its first file has not arrived, and that would pass for a refusal', () => {
    const seen = settled();
    assert.equal(choose(withNew(seen, 1)).canary, seen.pods[1]?.name);
    assert.equal(choose(withNew(seen, 2)).canary, undefined);
    const [state] = podStates(withNew(seen, 2), new Map());
    assert.ok(state !== undefined);
    assert.equal(choose(withNew(seen, 2)).modelFor(state).modelHash, readProvedRecord(seen)?.modelHash);
  });
});

describe('a RELOAD that the canary refuses', () => {
  /** What is made of it so long after the pod was told. */
  function verdict(ranLive: boolean, agoMs: number): string | undefined {
    const seen = settled();
    const [pod] = seen.pods;
    const record = readProvedRecord(seen);
    assert.ok(pod?.grant !== undefined && record !== undefined);
    const reading = seen.poolers.get(pod.uid);
    assert.ok(reading?.ok === true);
    const told = { ...pod, grant: { ...pod.grant, model: 'new', atMs: seen.nowMs - agoMs } };
    const refusal = { ini: pod.grant.ini, message: 'RELOAD failed', atMs: seen.nowMs };
    const { setting } =
      choose({
        ...seen,
        pods: [told, ...seen.pods.slice(1)],
        poolers: new Map([...seen.poolers, [pod.uid, { ...reading, ranLive, refusal }]]),
      }).refusal ?? {};
    return setting;
  }

  it('refuses the configuration at once', () => {
    assert.equal(verdict(true, 100), 'configuration');
  });

  it('says nothing of it while the pod’s first file may not have arrived, and passes after that', () => {
    assert.equal(verdict(false, 14_000), undefined);
    assert.equal(verdict(false, 16_000), 'loading');
  });
});

describe('a refusal', () => {
  const stands = (setting: string, agoMs: number): boolean => {
    const seen = settled();
    const refused = { configHash: 'new', setting, message: 'no', at: isoTime(seen.nowMs - agoMs) };
    const pool = { ...seen.pool, status: { ...seen.pool.status, refused } };
    return choose({ ...seen, pool }).refusal !== undefined;
  };

  it('in PgBouncer’s own words stands until the configuration changes', () => {
    for (const setting of ['pool_mode', 'auth.users', 'configuration'])
      assert.equal(stands(setting, 86_400_000), true, setting);
  });

  it('of a pod that was lost, cut off or slow is tried again after a minute', () => {
    for (const setting of ['grant', 'admin console', 'loading', 'userlist', 'server login']) {
      assert.equal(stands(setting, 59_000), true, setting);
      assert.equal(stands(setting, 61_000), false, setting);
    }
  });
});
