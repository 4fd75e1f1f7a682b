// A fleet that stands while something about it is measured, gone afterwards.
import { applyPool, type LivePool, type PoolConfigBuilder } from '../test/support/pool.ts';
import { deletePool } from '../test/support/pool-children.ts';
import type { Setting } from './measurement.ts';
import { isAtRest } from './proved.ts';

const START_LIMIT_MS = 90_000;

/** Applies it, waits until nothing is under way, does the work and deletes it. */
export async function withFleet<T>(
  { stage, watch }: Setting,
  pool: PoolConfigBuilder,
  work: (live: LivePool) => Promise<T>,
): Promise<T> {
  const { metadata, spec } = pool.build();
  const pods = spec.fleet?.replicas ?? 2;
  await applyPool(pool);
  try {
    const { pool: live } = await watch.until(
      metadata.name,
      `the fleet ${metadata.name} to come to rest`,
      (one) => isAtRest(one, pods),
      START_LIMIT_MS,
    );
    return await work(live);
  } finally {
    await deletePool(stage.namespace, metadata.name);
  }
}
