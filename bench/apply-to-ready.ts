// From applying a PoolConfig to a fleet of two pods that is proved: pods are created, started, told, read back and logged in through.
import { applyPool } from '../test/support/pool.ts';
import { deletePool } from '../test/support/pool-children.ts';
import { repeat, type Measurement } from './measurement.ts';
import { everyPodProved, isReady } from './proved.ts';
import { spreadOf } from './spread.ts';

const PODS = 2;
const LIMIT_MS = 60_000;

export const applyToReady: Measurement = {
  name: 'applyToReady',
  what: 'PoolConfig applied → 2 pods Ready and proved',
  rounds: 50,
  run: async (setting) => {
    const { stage, watch } = setting;
    const took = await repeat(setting, 'applyToReady', async (index) => {
      const name = `new-${index + 1}`;
      const pool = stage.pool(name).withReplicas(PODS).withDrain('1s', '3s');
      const startedMs = performance.now();
      const { metadata } = await applyPool(pool);
      const { atMs } = await watch.until(
        name,
        `PoolConfig ${name} to be proved`,
        (live) => isReady(live, metadata.generation) && everyPodProved(live, PODS),
        LIMIT_MS,
      );
      await deletePool(stage.namespace, name);
      return atMs - startedMs;
    });
    return spreadOf(took);
  },
};
