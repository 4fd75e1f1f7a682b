// Runs one scenario from an empty namespace to its recording.
import { isAtRest } from '../../bench/proved.ts';
import { LABEL } from '../../src/model/names.ts';
import { until } from '../cluster/processes.ts';
import { describeStatus, type LivePool } from '../support/pool.ts';
import { poolAddress } from '../support/pool-children.ts';
import { startClusterPostgres, type ClusterPostgres } from '../support/cluster-postgres.ts';
import { ORDER_TABLES } from '../support/load.ts';
import { APP, DATABASE, MONITOR, POOL, Stage } from '../support/stage.ts';
import { record } from './recorder.ts';
import type { Recording } from './recording.ts';
import type { Scenario } from './scenario.ts';
import { World } from './world.ts';

/** PostgreSQL must not be what refuses a connection too many. */
export const MAX_CONNECTIONS = 200;
/** It answers the sampler also while pods start beside it. */
export const CPU_REQUEST = '500m';

const DONE_LIMIT_MS = 90_000;

/** Never rejects for what the scenario met: that is in the recording. @throws when its stage can't be set. */
export async function runScenario(scenario: Scenario, seed: number): Promise<Recording> {
  const { budget, replicas } = scenario;
  await using stage = await Stage.set({ prefix: 'budget', maxConnections: MAX_CONNECTIONS, cpuRequest: CPU_REQUEST });
  await scenario.prepare?.(stage.namespace);
  const second = scenario.hasSecondServer === true ? await secondServer(stage.namespace) : undefined;
  const plain = stage.pool().withBudget(budget).withReplicas(replicas).withDrain('5s', '20s');
  // Enough for the whole budget: a quarter of declared clients is taken to be busy at a time.
  const declared = plain.with({ workloads: [{ name: 'load', clients: 4 * budget }] });
  const pool = scenario.fleet?.(declared) ?? declared;
  await stage.settle(pool, DONE_LIMIT_MS);
  const address = await poolAddress(stage.namespace, POOL);
  const run = { ...scenario, seed, address, podSelector: `${LABEL.pool}=${POOL}`, second };
  return await record(stage, run, async (recorder) => {
    const world = new World(stage, pool, recorder, second);
    for (const { kind, what, when, act } of scenario.steps) {
      if (when !== undefined) await world.moment(when.what, () => when.holds(world));
      recorder.mark(kind, what);
      await act(world);
    }
    await arrived(scenario, world);
  });
}

/** With the tables and roles of the first one. */
function secondServer(namespace: string): Promise<ClusterPostgres> {
  return startClusterPostgres({
    ...{ namespace, name: 'second', maxConnections: MAX_CONNECTIONS, cpuRequest: CPU_REQUEST },
    ...{ roles: [APP, MONITOR], databases: [DATABASE], sql: ORDER_TABLES },
  });
}

async function arrived({ endReplicas, done }: Scenario, world: World): Promise<void> {
  let last: LivePool | undefined;
  const isDone = async (): Promise<true | undefined> => {
    last = await world.live();
    const pods = world.pods.length === endReplicas && world.pods.every(({ isReady }) => isReady);
    return (pods && isAtRest(last, endReplicas) && done(world, last)) || undefined;
  };
  await until(`the end of ${world.namespace}`, isDone, DONE_LIMIT_MS).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}\n${describeStatus(last)}`, { cause: error });
  });
}
