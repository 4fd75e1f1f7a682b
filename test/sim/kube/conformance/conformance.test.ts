// The simulated cluster, asked what a real one was asked: its answers must be the same. test/cluster-tier/sim-conformance.test.ts asks the real one.
import assert from 'node:assert/strict';
import { FakeClock } from '../../../support/fake-clock.ts';
import { randomOf } from '../../../support/random.ts';
import { GOOD_FATE } from '../../contracts.ts';
import { GarbageCollector } from '../garbage-collector.ts';
import { Kubelet } from '../kubelet.ts';
import { ReplicaSets } from '../replica-sets.ts';
import { SimApi } from '../sim-api.ts';
import { played, type Stage } from './script.ts';
import { SCRIPTS } from './scripts.ts';

const LIMIT_MS = 30_000;
const LOOK_EVERY_MS = 50;
const IDLE_IMAGE = 'pause:1';
const SEEDS = [1, 2, 3];

function simulatedStage(seed: number): Stage {
  const clock = new FakeClock();
  const api = new SimApi({ clock, random: randomOf(seed) });
  const sets = new ReplicaSets(api);
  new GarbageCollector(api);
  const kubelet = new Kubelet({
    api,
    startPooler: ({ pod, onExit }) => {
      if (pod === 'ends')
        clock.setTimer(20, () => {
          onExit(0);
        });
      return {
        signal: (name) => {
          onExit(name === 'SIGTERM' ? 0 : 137);
        },
      };
    },
  });
  kubelet.pullFailure = (image) => (image === IDLE_IMAGE ? undefined : 'it is not there');
  kubelet.unschedulable = ({ spec }) => (spec?.nodeSelector === undefined ? undefined : 'no node has these labels');
  return {
    api: api.connect(() => ({ ...GOOD_FATE, delayMs: 0 }), { watchLagMs: () => 0 }),
    namespace: 'conformance',
    idleImage: IDLE_IMAGE,
    limitPods: (count) => {
      sets.quota = count;
      return Promise.resolve();
    },
    evict: (pod) => Promise.resolve(kubelet.evict(pod)),
    until: async (what, look) => {
      for (let waitedMs = 0; waitedMs < LIMIT_MS; waitedMs += LOOK_EVERY_MS) {
        const found = await look();
        if (found !== undefined) return found;
        await clock.advance(LOOK_EVERY_MS);
      }
      throw new Error(`while waiting for ${what}: not within ${LIMIT_MS} ms of virtual time`);
    },
  };
}

describe('the simulated cluster answers as the real one did', () => {
  for (const script of SCRIPTS) {
    it(script.title, async () => {
      for (const seed of SEEDS) {
        assert.deepEqual(await played(script, simulatedStage(seed)), script.answers, `with seed ${seed}`);
      }
    });
  }
});
