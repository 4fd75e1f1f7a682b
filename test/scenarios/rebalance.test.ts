// After a scale-out the new pods get their part of the clients within the drain window, and no transaction fails for it.
import assert from 'node:assert/strict';
import { ANNOTATION, LABEL } from '../../src/model/names.ts';
import { until } from '../cluster/processes.ts';
import { poolPods } from '../support/pool-children.ts';
import { waitForPool } from '../support/pool.ts';
import { show } from '../support/pooler-console.ts';
import { APP, closing, DATABASE, measured, POOL, seconds, Stage } from '../support/stage.ts';

const CLIENTS = 40;
const WINDOW_SECONDS = 12;
/** Busiest pod against the mean, when clients are called balanced. */
const BALANCED = 1.3;

describe('a fleet that was scaled out', function () {
  this.timeout(120_000);
  let stage: Stage;
  let namespace: string;

  before(async () => {
    stage = await Stage.set({ prefix: 'rebalance' });
    namespace = stage.namespace;
  });

  after(() => stage[Symbol.asyncDispose]());

  async function clientsPerPod(): Promise<readonly number[]> {
    const rows = Object.values(await show(namespace, POOL, 'CLIENTS'));
    return rows.map((all) => all.filter((row) => row['database'] === DATABASE && row['user'] === APP.name).length);
  }

  const unevenness = (counts: readonly number[]): number =>
    (Math.max(...counts) * counts.length) / counts.reduce((sum, count) => sum + count, 0);

  it('has no pod with more than 1.3 times the mean of the clients once these have renewed their connections', async () => {
    const pool = stage.pool().withBudget(24).withDrain(`${WINDOW_SECONDS}s`, '30s');
    await stage.settle(pool);
    await using load = await stage.load({
      clients: CLIENTS,
      maxLifetimeSeconds: WINDOW_SECONDS,
      holdMs: 5,
      pauseMs: 5,
    });
    const mark = load.mark();
    const startedMs = performance.now();
    const proved = stage.prove(pool.withReplicas(4));
    let closed = 0;
    let begun: readonly number[] | undefined;
    const balanced = async (): Promise<readonly number[] | undefined> => {
      const pods = await poolPods(namespace, POOL);
      closed = Math.max(closed, pods.filter(({ metadata }) => metadata.labels?.[LABEL.serving] !== 'true').length);
      const counts = await clientsPerPod();
      if (counts.length < 4) return undefined;
      begun ??= counts;
      return unevenness(counts) <= BALANCED ? counts : undefined;
    };
    const counts = await until('the clients of four pods to be even', balanced, 60_000, 50);
    await proved;
    measured(
      `clients of 4 pods ${(begun ?? []).join(', ')} → ${counts.join(', ')} in ${seconds(performance.now() - startedMs)} from the change on`,
    );
    assert.ok(closed >= 1, 'the crowded pods went on to take new clients');

    const rests = ({ status }: Awaited<ReturnType<typeof waitForPool>>): boolean =>
      status?.conditions?.every(({ type }) => type !== 'Reconciling') === true;
    await waitForPool(namespace, POOL, 'nothing under way', rests, 60_000);
    for (const { metadata } of await poolPods(namespace, POOL)) {
      assert.equal(metadata.labels?.[LABEL.serving], 'true', `${metadata.name} takes no new clients`);
      assert.equal(metadata.annotations?.[ANNOTATION.crowded], undefined);
    }
    const { done, failed, longestMs } = load.since(mark);
    measured(`${done} transactions, ${failed} failed, longest ${longestMs.toFixed(0)} ms`);
    assert.equal(failed, 0, JSON.stringify(load.tally.errors));
    await load.stop();
    await using direct = closing(await stage.postgres.connect(DATABASE));
    const audit = await load.audit(direct.client);
    assert.deepEqual([audit.lost, audit.double, audit.torn], [0, 0, 0]);
  });

  it('leaves the connections where the clients are, when these keep theirs', async () => {
    const pool = stage.pool().withBudget(24).withDrain(`${WINDOW_SECONDS}s`, '30s');
    await stage.settle(pool.withReplicas(2), 120_000);
    await using load = await stage.load({ clients: CLIENTS, maxLifetimeSeconds: 0, holdMs: 5, pauseMs: 5 });
    const mark = load.mark();
    const { live } = await stage.settle(pool.withReplicas(4));
    const sizes = new Map((live.status?.pods ?? []).map(({ name, sizes: cells }) => [name, cells?.[0]?.size ?? 0]));
    const clients = Object.entries(await show(namespace, POOL, 'CLIENTS')).map(
      ([name, rows]) => [sizes.get(name) ?? 0, rows.filter((row) => row['database'] === DATABASE).length] as const,
    );
    measured(
      `connections and clients of each pod: ${clients.map(([size, count]) => `${size} and ${count}`).join(', ')}`,
    );
    const [crowded, empty] = [clients.filter(([, count]) => count > 0), clients.filter(([, count]) => count === 0)];
    assert.deepEqual([crowded.length, empty.length], [2, 2]);
    assert.ok(Math.min(...crowded.map(([size]) => size)) > Math.max(...empty.map(([size]) => size)));
    assert.equal(load.since(mark).failed, 0);
  });
});
