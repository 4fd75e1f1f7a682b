// From scaling a Deployment to new pool sizes proved in every pod, under a light load that must not notice.
import type { LivePool } from '../test/support/pool.ts';
import { sizesInForce, sizesInStatus } from '../test/support/pooler-console.ts';
import { applyIdleDeployment, scaleDeployment } from '../test/support/workload.ts';
import { repeat, type Measurement } from './measurement.ts';
import { everyPodProved, grantedSize, isAtRest, targetSize } from './proved.ts';
import { spreadOf } from './spread.ts';
import { withFleet } from './standing-fleet.ts';

const PODS = 2;
const POOL = 'scaled';
const WORKLOAD = 'web';
const FEW = 1;
const MANY = 4;
const LIMIT_MS = 30_000;
const LOAD = { clients: 4, pauseMs: 40, maxLifetimeSeconds: 0 };

export const workloadToProved: Measurement = {
  name: 'workloadToProved',
  what: 'Deployment scaled → its sizes proved in 2 pods',
  rounds: 50,
  run: async (setting) => {
    const { stage, watch } = setting;
    const { namespace } = stage;
    await applyIdleDeployment(namespace, WORKLOAD, FEW);
    const pool = stage
      .pool(POOL)
      .withBudget(40)
      .withReplicas(PODS)
      .with({ workloads: [] })
      .forDeployment(WORKLOAD, { threads: 8 });
    return await withFleet(setting, pool, async (live) => {
      let sizeBefore = targetSize(live);
      await using load = await stage.load(LOAD, POOL);
      const rounds = await repeat(setting, 'workloadToProved', async (index) => {
        const replicas = index % 2 === 0 ? MANY : FEW;
        const mark = load.mark();
        const startedMs = performance.now();
        await scaleDeployment(namespace, WORKLOAD, replicas);
        const former = sizeBefore;
        const { pool: seen, atMs } = await watch.until(
          POOL,
          `the sizes for ${replicas} replicas to be proved`,
          (one) => isSizedFor(one, replicas, former),
          LIMIT_MS,
        );
        await mustBeInForce(seen);
        sizeBefore = targetSize(seen);
        const { longestMs, failed, done } = load.since(mark);
        await watch.until(POOL, 'rest', (one) => isAtRest(one, PODS), LIMIT_MS);
        return { tookMs: atMs - startedMs, longestMs, failed, done };
      });
      const failed = rounds.reduce((sum, one) => sum + one.failed, 0);
      if (failed > 0) throw new Error(`${failed} transactions failed: ${JSON.stringify(load.tally.errors)}`);
      return {
        ...spreadOf(rounds.map((one) => one.tookMs)),
        longestTransactionMs: Math.round(Math.max(...rounds.map((one) => one.longestMs))),
        transactions: rounds.reduce((sum, one) => sum + one.done, 0),
      };
    });
  },
};

/** The demand is the new one, so is the size, and every pod is proved to have its part. */
function isSizedFor(pool: LivePool, replicas: number, formerSize: number): boolean {
  const demand = pool.status?.demand?.find(({ name }) => name === `Deployment/${WORKLOAD}`);
  const target = targetSize(pool);
  return (
    demand?.replicas === replicas && target !== formerSize && grantedSize(pool) === target && everyPodProved(pool, PODS)
  );
}

/** @throws when some PgBouncer has another size than status says. */
async function mustBeInForce(pool: LivePool): Promise<void> {
  const said = JSON.stringify(sorted(sizesInStatus(pool.status?.pods ?? [])));
  const inForce = JSON.stringify(sorted(await sizesInForce(pool.metadata.namespace, pool.metadata.name)));
  if (said !== inForce) throw new Error(`status says ${said}, but in force is ${inForce}`);
}

function sorted(sizes: Readonly<Record<string, number>>): readonly (readonly [string, number])[] {
  return Object.entries(sizes).sort(([a], [b]) => (a < b ? -1 : 1));
}
