// A cancel request goes to any pod of the Service, and the query that it is for is cancelled all the same.
import assert from 'node:assert/strict';
import { until } from '../cluster/processes.ts';
import { cancel, QUERY_CANCELED, sleepFor } from '../support/cancel.ts';
import type { PoolConfigBuilder } from '../support/pool.ts';
import { poolAddress } from '../support/pool-children.ts';
import { APP, closing, measured, POOL, Stage } from '../support/stage.ts';

/** Of the rollout. */
const NEW_PODS = 3;
const CANCELS = 24;

describe('a cancel request', function () {
  this.timeout(180_000);
  let stage: Stage;
  let pool: PoolConfigBuilder;

  before(async () => {
    stage = await Stage.set({ prefix: 'cancel' });
    pool = stage.pool().withReplicas(3);
    await stage.settle(pool);
  });

  after(() => stage[Symbol.asyncDispose]());

  /** Queries through the Service, each cancelled through the Service: how many were. */
  async function cancelled(): Promise<boolean> {
    const { host, port } = await poolAddress(stage.namespace, POOL);
    await using connection = closing(await stage.client());
    const query = sleepFor(connection.client, 10);
    const runs = async (): Promise<true | undefined> =>
      (
        await stage.sql(
          `select 1 from pg_stat_activity where usename = '${APP.name}' and query like 'select pg_sleep%' and state = 'active'`,
        )
      ).length > 0 || undefined;
    await until('the query to run', runs, 10_000, 20);
    await cancel(host, port, query.key);
    return (await query.ended) === QUERY_CANCELED;
  }

  async function hits(count: number): Promise<number> {
    let found = 0;
    for (let index = 0; index < count; index += 1) found += (await cancelled()) ? 1 : 0;
    return found;
  }

  const sizes: readonly (readonly [string, number])[] = [
    ['three pods', 3],
    ['five, after a scale-out', 5],
    ['three again, after a scale-in', 3],
  ];
  for (const [what, replicas] of sizes) {
    it(`finds its query ${CANCELS} of ${CANCELS} times with ${what}`, async () => {
      pool = pool.withReplicas(replicas);
      await stage.settle(pool);
      assert.equal(await hits(CANCELS), CANCELS);
    });
  }

  it('finds it during a rollout', async () => {
    const { spec } = pool.build();
    pool = pool.with({ fleet: { ...spec.fleet, template: { metadata: { annotations: { round: '2' } } } } });
    const ended = new AbortController();
    const rolled = stage.settle(pool, 120_000).finally(() => {
      ended.abort();
    });
    let [sent, found] = [0, 0];
    while (!ended.signal.aborted) {
      sent += 1;
      found += (await cancelled()) ? 1 : 0;
    }
    await rolled;
    measured(`${found} of ${sent} cancel requests found their query during a rollout`);
    assert.ok(sent >= 5);
    // A client that connects in the first moments of a new pod, before that has its number, has a key without one.
    assert.ok(sent - found <= NEW_PODS, `${sent - found} of ${sent} found no query`);
  });
});
