// From editing spec.pooler.parameters to the value read back from every pod, under a light load that must not notice.
import { applyPool } from '../test/support/pool.ts';
import { settingInForce } from '../test/support/pooler-console.ts';
import { repeat, type Measurement, type Result, type Setting } from './measurement.ts';
import { everyPodProved, isAtRest, isReady } from './proved.ts';
import { spreadOf } from './spread.ts';
import { withFleet } from './standing-fleet.ts';

const PARAMETER = 'server_idle_timeout';
const LIMIT_MS = 30_000;
const LOAD = { clients: 6, pauseMs: 40, maxLifetimeSeconds: 0 };

export const parameterToProved = inFleetOf(2, 'parameterToProved');
export const parameterToProvedIn3 = inFleetOf(3, 'parameterToProvedIn3');

function inFleetOf(pods: number, name: string): Measurement {
  const run = (setting: Setting): Promise<Result> => measure(setting, name, pods);
  return { name, what: `a parameter edited → proved in ${pods} pods`, rounds: 50, run };
}

async function measure(setting: Setting, title: string, pods: number): Promise<Result> {
  const { stage, watch } = setting;
  const name = `edited-${pods}`;
  const pool = stage.pool(name).withReplicas(pods).withBudget(24);
  return await withFleet(setting, pool, async () => {
    await using load = await stage.load(LOAD, name);
    const took = await repeat(setting, title, async (index) => {
      const value = String(100 + index);
      const startedMs = performance.now();
      const { metadata } = await applyPool(pool.withParameters({ [PARAMETER]: value }));
      const { atMs } = await watch.until(
        name,
        `${PARAMETER} to be proved`,
        (live) => isReady(live, metadata.generation) && everyPodProved(live, pods),
        LIMIT_MS,
      );
      const values = Object.values(await settingInForce(stage.namespace, name, PARAMETER));
      if (values.length !== pods || values.some((one) => one !== value))
        throw new Error(`status says ${PARAMETER} is proved to be ${value}, but in force is ${values.join(', ')}`);
      await watch.until(name, 'rest', (live) => isAtRest(live, pods), LIMIT_MS);
      return atMs - startedMs;
    });
    const { done, failed, errors } = load.tally;
    if (failed > 0) throw new Error(`${failed} transactions failed: ${JSON.stringify(errors)}`);
    return { ...spreadOf(took), transactions: done, failed };
  });
}
