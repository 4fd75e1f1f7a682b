// A loaded fleet is paused and resumed: nothing runs at PostgreSQL meanwhile, clients wait, none fails, and it ends by itself.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { until } from '../cluster/processes.ts';
import { clusterAccess, kubectl } from '../support/kubectl.ts';
import { applyPool, conditionOf, readPool, waitForCondition, waitForPool, type LivePool } from '../support/pool.ts';
import { settingInForce, show } from '../support/pooler-console.ts';
import { closing, DATABASE, measured, POOL, seconds, Stage } from '../support/stage.ts';

const run = promisify(execFile);
const PAUSE_SECONDS = 8;

describe('a fleet that is paused', function () {
  this.timeout(120_000);
  let stage: Stage;
  let namespace: string;

  before(async () => {
    stage = await Stage.set({ prefix: 'pause' });
    namespace = stage.namespace;
    await stage.settle(stage.pool());
  });

  after(() => stage[Symbol.asyncDispose]());

  async function poolsmith(...args: readonly string[]): Promise<{ stdout: string }> {
    const env = { ...process.env, KUBECONFIG: (await clusterAccess()).kubeconfig };
    return await run(process.execPath, ['src/main.ts', ...args, '-n', namespace], { env });
  }

  const ended = ({ status }: LivePool): boolean => status?.pause === undefined || status.pause.state === 'Ended';
  const rests = (live: LivePool): boolean => ended(live) && conditionOf(live, 'Reconciling') === undefined;

  async function pausedDatabases(): Promise<readonly unknown[]> {
    const rows = Object.values(await show(namespace, POOL, 'DATABASES')).flat();
    return rows.filter(({ name }) => name === DATABASE).map(({ paused }) => paused);
  }

  it('has no server connection while clients wait, and ends by itself at its time, without a failed transaction', async () => {
    await using sampler = await stage.sampler();
    await using load = await stage.load({ clients: 16, maxLifetimeSeconds: 0, holdMs: 10, pauseMs: 5 });
    const mark = load.mark();
    const startedMs = performance.now();
    const { stdout } = await poolsmith('pause', POOL, '--for', `${PAUSE_SECONDS}s`);
    const pausedMs = performance.now();
    assert.match(stdout, /Paused: 2 pods are paused, \d+ clients wait\.\n$/);
    assert.deepEqual(await pausedDatabases(), [1, 1]);
    await until('no backend to be left', () => sampler.last?.total === 0 || undefined, 2_000, 20);
    const done = load.mark().done;
    const { status } = await waitForPool(
      namespace,
      POOL,
      'every client to wait',
      (live) => live.status?.pause?.waitingClients === 16,
      10_000,
    );
    assert.equal(load.mark().done, done, 'a transaction was done in a paused fleet');
    assert.equal(status?.conditions?.find(({ type }) => type === 'Paused')?.status, 'True');
    assert.deepEqual(
      new Set(Object.values(await settingInForce(namespace, POOL, 'query_wait_timeout'))),
      new Set(['660']),
    );

    await load.done(200);
    const resumedMs = performance.now();
    await waitForPool(namespace, POOL, 'the end of the pause', rests, 30_000);
    assert.deepEqual(await pausedDatabases(), [0, 0]);
    assert.deepEqual(
      new Set(Object.values(await settingInForce(namespace, POOL, 'query_wait_timeout'))),
      new Set(['120']),
    );
    const { failed, longestMs } = load.since(mark);
    measured(
      `paused after ${seconds(pausedMs - startedMs)}; clients worked again ${seconds(resumedMs - startedMs)} after the command for ${PAUSE_SECONDS} s; longest transaction ${seconds(longestMs)}; ${failed} failed`,
    );
    assert.equal(failed, 0, JSON.stringify(load.tally.errors));
    await load.stop();
    await using direct = closing(await stage.postgres.connect(DATABASE));
    const audit = await load.audit(direct.client);
    assert.deepEqual([audit.lost, audit.double, audit.torn], [0, 0, 0]);
  });

  it('is resumed before its time by the command', async () => {
    await poolsmith('pause', POOL, '--for', '10m');
    const { stdout } = await poolsmith('resume', POOL);
    assert.match(stdout, /Not paused\.\n$/);
    assert.deepEqual(await pausedDatabases(), [0, 0]);
    await waitForPool(namespace, POOL, 'rest', rests, 30_000);
  });

  it('waits for the transaction that runs, and says so', async () => {
    await using connection = closing(await stage.client());
    const { client } = connection;
    await client.query('BEGIN');
    await client.query('SELECT 1');
    const pool = stage.pool();
    await applyPool(pool.with({ pause: { until: inSeconds(30) } }));
    const { status } = await waitForPool(
      namespace,
      POOL,
      'one pod to be paused',
      (live) => live.status?.pause?.pausedPods === 1,
      15_000,
    );
    assert.equal(status?.pause?.state, 'Pausing');
    await client.query('COMMIT');
    await waitForCondition(namespace, POOL, 'Paused', 'True', { timeoutMs: 15_000 });
    await stage.settle(pool);
  });

  it('is not paused by a time in the past, or too far ahead, and serves as before', async () => {
    const pool = stage.pool();
    for (const [until, message] of [
      [inSeconds(-5), /in the past; nothing was paused/],
      [inSeconds(3_600), /a pause lasts 600 s at most/],
    ] as const) {
      await stage.prove(pool.with({ pause: { until } }));
      await waitForCondition(namespace, POOL, 'Paused', 'False', { reason: 'PauseRefused', timeoutMs: 15_000 });
      assert.match(conditionOf(await readPool(namespace, POOL), 'Paused')?.message ?? '', message);
      assert.deepEqual(await pausedDatabases(), [0, 0]);
    }
    await assert.rejects(
      kubectl([
        'patch',
        'poolconfig',
        POOL,
        '-n',
        namespace,
        '--type=merge',
        '-p',
        '{"spec":{"pause":{"until":"soon"}}}',
      ]),
      /spec\.pause\.until/,
    );
    await stage.settle(pool);
  });

  function inSeconds(count: number): string {
    return `${new Date(Date.now() + count * 1000).toISOString().slice(0, 19)}Z`;
  }
});
