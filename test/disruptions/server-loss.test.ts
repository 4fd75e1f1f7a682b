// The API server or PostgreSQL goes away and comes back: fleets serve what they can meanwhile, and go on by themselves.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { run, until } from '../cluster/processes.ts';
import { isOwnCluster, kubectl } from '../support/kubectl.ts';
import { conditionOf, readPool, waitForCondition } from '../support/pool.ts';
import { podIdentities } from '../support/pool-children.ts';
import { settingInForce } from '../support/pooler-console.ts';
import { closing, measured, POOL, seconds, Stage } from '../support/stage.ts';

const CLUSTER_COMMAND = join(import.meta.dirname, '..', 'cluster', 'main.ts');

describe('a server that is lost', function () {
  this.timeout(150_000);
  let stage: Stage;
  let namespace: string;
  let pods: Readonly<Record<string, string>>;

  before(async () => {
    stage = await Stage.set({ prefix: 'server' });
    namespace = stage.namespace;
    await stage.settle(stage.pool());
    pods = await podIdentities(namespace, POOL);
  });

  after(() => stage[Symbol.asyncDispose]());

  it('costs no transaction when it is the API server, and a change is taken up afterwards', async () => {
    assert.ok(await isOwnCluster(), 'the API server can be restarted only on the cluster that make cluster-up starts');
    await using load = await stage.load({ clients: 12 });
    const mark = load.mark();
    await run(process.execPath, [CLUSTER_COMMAND, 'restart', 'kube-apiserver']);
    await until('the API server to answer', () => kubectl(['get', '--raw', '/readyz']), 60_000, 200);
    measured(`API server away for at most ${seconds(performance.now() - mark.atMs)}`);
    const { tookMs } = await stage.prove(stage.pool().withParameters({ server_idle_timeout: 91 }), 90_000);
    measured(`a change right after its return is proved after ${seconds(tookMs)}`);
    assert.deepEqual(Object.values(await settingInForce(namespace, POOL, 'server_idle_timeout')), ['91', '91']);
    const { done, failed } = load.since(mark);
    measured(`${done} transactions meanwhile, ${failed} failed`);
    assert.equal(failed, 0, JSON.stringify(load.tally.errors));
    assert.deepEqual(await podIdentities(namespace, POOL), pods);
  });

  it('is told of when it is PostgreSQL, and is used again by itself when it is back', async () => {
    await using load = await stage.load({ clients: 12 });
    const startedMs = performance.now();
    await stage.postgres.stop('fast');
    const away = await waitForCondition(namespace, POOL, 'ServerReachable', 'False', { timeoutMs: 30_000 });
    measured(
      `PostgreSQL stopped: ServerReachable=False (${conditionOf(away, 'ServerReachable')?.reason ?? ''}) after ${seconds(performance.now() - startedMs)}, Ready=${conditionOf(away, 'Ready')?.status ?? ''} (${conditionOf(away, 'Ready')?.reason ?? ''})`,
    );
    const { status: before } = await readPool(namespace, POOL);
    await stage.postgres.start();
    const backMs = performance.now();
    await load.done(100, 30_000);
    measured(`clients work again ${seconds(performance.now() - backMs)} after PostgreSQL was back`);
    const back = await waitForCondition(namespace, POOL, 'ServerReachable', 'True', { timeoutMs: 40_000 });
    await waitForCondition(namespace, POOL, 'Ready', 'True', { timeoutMs: 40_000 });
    measured(`ServerReachable and Ready again after ${seconds(performance.now() - backMs)}`);
    assert.deepEqual(before?.databases, back.status?.databases, 'an absent server must not change any size');
    assert.deepEqual(await podIdentities(namespace, POOL), pods);
    await using past = closing(await stage.postgres.connect('orders'));
    const { lost, double, torn } = await load.audit(past.client);
    assert.deepEqual({ lost, double, torn }, { lost: 0, double: 0, torn: 0 });
  });
});
