// How long a pod that does not do as it was told is left alone: looks and pokes get rarer, a refused RELOAD is not repeated at full speed.
import assert from 'node:assert/strict';
import type { Observation, PoolerReading } from '../../src/model/observation.ts';
import { ANNOTATION } from '../../src/model/names.ts';
import { planPool } from '../../src/plan/plan.ts';
import { reloadAgainAtMs } from '../../src/plan/pod-config.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

describe('a file that does not arrive', () => {
  /** A settled fleet, one of whose pods was told another file so long ago and still runs the former one. */
  function late(toldAgoMs: number, pokedAgoMs?: number): Observation {
    const fleet = new PaperFleet();
    fleet.settle();
    const seen = fleet.observe();
    const [pod] = seen.pods;
    assert.ok(pod?.grant !== undefined && pod.nonce !== undefined);
    const reading = seen.poolers.get(pod.uid);
    assert.ok(reading?.ok === true);
    const config = new Map([...reading.view.config, ['conffile', '/elsewhere.ini']]);
    const stale: PoolerReading = { ...reading, view: { ...reading.view, config } };
    const [bootHash = ''] = pod.nonce.split('.');
    const told = {
      ...pod,
      grant: { ...pod.grant, atMs: seen.nowMs - toldAgoMs },
      nonce: pokedAgoMs === undefined ? bootHash : `${bootHash}.${seen.nowMs - pokedAgoMs}`,
      container: { ...pod.container, startedAtMs: seen.nowMs - 3_600_000 },
    };
    return {
      ...seen,
      pods: [told, ...seen.pods.slice(1)],
      poolers: new Map([...seen.poolers, [pod.uid, stale]]),
    };
  }

  const isPoked = (seen: Observation): boolean =>
    planPool(seen).actions.some(
      (action) => action.kind === 'patchPod' && Object.keys(action.annotations).join() === ANNOTATION.nonce,
    );

  it('has the kubelet poked after 1.5 s, and then at gaps that double up to 30 s', () => {
    const cases: readonly (readonly [number, number | undefined, boolean])[] = [
      [1_400, undefined, false],
      [1_600, undefined, true],
      // Poked 8 s after it was told: the next one 8 s later.
      [15_900, 7_900, false],
      [16_100, 8_100, true],
      [629_000, 29_000, false],
      [631_000, 31_000, true],
    ];
    for (const [toldAgoMs, pokedAgoMs, expected] of cases)
      assert.equal(isPoked(late(toldAgoMs, pokedAgoMs)), expected, `${toldAgoMs} ${pokedAgoMs}`);
  });

  it('is loaded and looked for at gaps that grow with its age, from 80 ms to a second', () => {
    const lookMs = (ageMs: number): number | undefined => {
      const { actions, requeueAfterMs } = planPool(late(ageMs, 400));
      assert.deepEqual(
        actions.map(({ kind }) => kind),
        ['loadLive'],
      );
      return requeueAfterMs;
    };
    assert.deepEqual([lookMs(500), lookMs(4_000), lookMs(60_000)], [80, 200, 1_000]);
  });
});

describe('a RELOAD that was refused', () => {
  it('is tried again soon where the pod’s first file may not have arrived, and after 5 s else', () => {
    assert.equal(reloadAgainAtMs(10_000, 9_000), 10_300);
    assert.equal(reloadAgainAtMs(10_000, 5_001), 10_300);
    assert.equal(reloadAgainAtMs(10_000, 5_000), 15_000);
  });
});
