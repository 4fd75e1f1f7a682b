// A PoolConfig is applied: what comes of it is proved, explained, usable, and then left alone.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { RESOURCES } from '../../src/kube/resources.ts';
import { until } from '../cluster/processes.ts';
import { AuditMark } from '../support/audit.ts';
import { cluster, kubectl } from '../support/kubectl.ts';
import { OPERATOR_USER, operatorPods, poolsmith } from '../support/install.ts';
import { conditionOf, readPool, waitForCondition } from '../support/pool.ts';
import { poolPods } from '../support/pool-children.ts';
import { settingInForce, sizesInForce, sizesInStatus } from '../support/pooler-console.ts';
import { closing, measured, POOL, seconds, Stage } from '../support/stage.ts';
import { applyIdleDeployment } from '../support/workload.ts';

const REST_MS = 20_000;
const CLIENTS = 2 * 3 * 4;

describe('a PoolConfig that is created', function () {
  this.timeout(90_000);
  let stage: Stage;
  let namespace: string;

  before(async () => {
    stage = await Stage.set({ prefix: 'create' });
    namespace = stage.namespace;
    await applyIdleDeployment(namespace, 'web', 2, { WEB_CONCURRENCY: '3', RAILS_MAX_THREADS: '4' });
  });

  after(() => stage[Symbol.asyncDispose]());

  it('is Ready for its generation after kubectl apply', async () => {
    const workloads = [
      {
        ref: { kind: 'Deployment' as const, name: 'web' },
        workers: { env: 'WEB_CONCURRENCY', default: 1 },
        threads: { env: 'RAILS_MAX_THREADS', default: 1 },
      },
    ];
    const pool = stage.pool().withParameters({ server_idle_timeout: 77 }).with({ workloads });
    const startedMs = performance.now();
    await kubectl(['apply', '-f', '-'], JSON.stringify(pool.build()));
    const live = await waitForCondition(namespace, POOL, 'Ready', 'True', { generation: 1 });
    measured(`apply → Ready ${seconds(performance.now() - startedMs)}`);
    assert.equal(live.status?.observedGeneration, live.metadata.generation);
    assert.equal(conditionOf(live, 'ConfigApplied')?.status, 'True');
    assert.equal(conditionOf(live, 'BudgetSatisfied')?.status, 'True');
    assert.equal(conditionOf(live, 'ServerReachable')?.status, 'True');
    assert.equal(live.status.readyReplicas, 2);
  });

  it('runs in every PgBouncer what status says: sizes, settings, and the hash of its configuration', async () => {
    const { status } = await readPool(namespace, POOL);
    const said = sizesInStatus(status?.pods ?? []);
    assert.equal(Object.keys(said).length, 2);
    assert.deepEqual(await sizesInForce(namespace, POOL), said);
    assert.equal(
      Object.values(said).reduce((sum, size) => sum + size, 0),
      status?.size,
    );
    assert.deepEqual(Object.values(await settingInForce(namespace, POOL, 'server_idle_timeout')), ['77', '77']);
    assert.deepEqual(
      (status?.pods ?? []).map((pod) => pod.configHash),
      [status?.configHash, status?.configHash],
    );
  });

  it('tells the sizes with their numbers in status, events, metrics and explain', async () => {
    const { status, metadata } = await readPool(namespace, POOL);
    const [database] = status?.databases ?? [];
    const [demand] = status?.demand ?? [];
    assert.ok(database?.size !== undefined && database.reason !== undefined);
    assert.equal(demand?.clients, CLIENTS + (demand?.surge ?? 0) * 3 * 4);
    assert.equal(status?.budget?.budget, 16);
    const kube = await cluster();
    const events = await kube.list(RESOURCES.Event, { namespace, fieldSelector: `regarding.name=${POOL}` });
    const notes = events.items.map(({ reason, note }) => `${reason ?? ''}: ${note ?? ''}`);
    assert.ok(
      notes.some((note) => note.startsWith('SizeChanged') && note.includes(database.reason ?? '?')),
      notes.join('\n'),
    );
    assert.ok(
      notes.some((note) => note.startsWith('ConfigProved')),
      notes.join('\n'),
    );
    const explained = await poolsmith(['explain', `${namespace}/${POOL}`]);
    assert.equal(explained.code, 0, explained.stderr);
    for (const part of [
      database.reason,
      `generation ${metadata.generation}`,
      '× 3 workers × 4 threads',
      'as declared',
    ]) {
      assert.ok(explained.stdout.includes(part), `explain says nothing of "${part}":\n${explained.stdout}`);
    }
    const [operator] = await operatorPods();
    const granted = async (): Promise<true | undefined> => {
      const metrics = await (await fetch(`http://${operator?.status?.podIP ?? ''}:8080/metrics`)).text();
      const line = `poolsmith_granted_connections{namespace="${namespace}",pool="${POOL}"} ${status.size ?? 0}`;
      return metrics.includes(line) || undefined;
    };
    await until('the metrics to tell the same', granted, 15_000, 500);
  });

  it('serves a transaction through its Service', async () => {
    await using connection = closing(await stage.client());
    const { client } = connection;
    await client.query('BEGIN');
    await client.query('UPDATE stock SET sold = sold');
    const { rows } = await client.query<{ port: number }>('SELECT inet_server_port() AS port');
    await client.query('COMMIT');
    assert.equal(rows[0]?.port, 5432);
  });

  it('never has more backends than the size it grants, and uses all of them under load', async () => {
    const { status } = await readPool(namespace, POOL);
    await using sampler = await stage.sampler();
    await using load = await stage.load({ clients: 24, holdMs: 15, pauseMs: 1 });
    await sampler.reaches((status?.size ?? Infinity) - 2);
    await load.done(1_000);
    const tally = await load.stop();
    const { peak, samples, longestGapMs } = sampler.lap();
    measured(
      `at most ${peak} backends in ${samples} samples (size ${status?.size ?? 0}, longest gap ${longestGapMs.toFixed(0)} ms)`,
    );
    assert.equal(tally.failed, 0, JSON.stringify(tally.errors));
    assert.ok(peak <= (status?.size ?? 0));
  });

  it('is written to by nobody at rest', async () => {
    const before = (await poolPods(namespace, POOL)).map((pod) => pod.metadata.resourceVersion);
    const { metadata } = await waitForCondition(namespace, POOL, 'PoolSaturated', 'False', { timeoutMs: 75_000 });
    const mark = await AuditMark.now();
    await sleep(REST_MS);
    const writes = mark.writes(OPERATOR_USER).filter((write) => write.namespace === namespace);
    measured(`${writes.length} writes of the operator in ${seconds(REST_MS)} at rest`);
    assert.deepEqual(writes, []);
    assert.equal((await readPool(namespace, POOL)).metadata.resourceVersion, metadata.resourceVersion);
    assert.deepEqual(
      (await poolPods(namespace, POOL)).map((pod) => pod.metadata.resourceVersion),
      before,
    );
  });
});
