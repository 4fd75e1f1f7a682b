// From deleting a pod to a fleet that is Ready and proved again, with the pod that took its place.
import { RESOURCES } from '../src/kube/resources.ts';
import { cluster } from '../test/support/kubectl.ts';
import { repeat, type Measurement } from './measurement.ts';
import { everyPodProved, isAtRest, isReady } from './proved.ts';
import { spreadOf } from './spread.ts';
import { withFleet } from './standing-fleet.ts';

const PODS = 2;
const POOL = 'replaced';
const LIMIT_MS = 60_000;

export const podReplaced: Measurement = {
  name: 'podReplaced',
  what: 'a pod deleted → 2 pods Ready and proved again',
  rounds: 20,
  run: async (setting) => {
    const { stage, watch } = setting;
    const { namespace } = stage;
    const kube = await cluster();
    const pool = stage.pool(POOL).withReplicas(PODS).withDrain('1s', '3s');
    return await withFleet(setting, pool, async () => {
      const took = await repeat(setting, 'podReplaced', async () => {
        const { pool: before } = await watch.until(POOL, 'rest', (live) => isAtRest(live, PODS), LIMIT_MS);
        const victim = before.status?.pods?.[0];
        if (victim === undefined) throw new Error('a fleet at rest has no pod');
        const startedMs = performance.now();
        await kube.delete(RESOURCES.Pod, namespace, victim.name, victim.uid === undefined ? {} : { uid: victim.uid });
        const { atMs } = await watch.until(
          POOL,
          `a pod in place of ${victim.name}`,
          (live) =>
            live.status?.pods?.some((pod) => pod.uid === victim.uid && pod.state === 'Serving') !== true &&
            isReady(live, live.metadata.generation) &&
            everyPodProved(live, PODS),
          LIMIT_MS,
        );
        return atMs - startedMs;
      });
      return spreadOf(took);
    });
  },
};
