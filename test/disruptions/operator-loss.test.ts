// The operator is killed, hangs, or has a second beside it: fleets serve on, and at any time at most one of them acts.
import assert from 'node:assert/strict';
import { RESOURCES } from '../../src/kube/resources.ts';
import { decodeGrant } from '../../src/model/grant.ts';
import { ANNOTATION } from '../../src/model/names.ts';
import { until } from '../cluster/processes.ts';
import { AuditMark } from '../support/audit.ts';
import { installOperator, OPERATOR_NAMESPACE, OPERATOR_USER, operatorPods } from '../support/install.ts';
import { killContainer, signalContainer } from '../support/kill.ts';
import { cluster, kubectl } from '../support/kubectl.ts';
import { podIdentities, poolPods } from '../support/pool-children.ts';
import { waitForPool, type LivePool } from '../support/pool.ts';
import { settingInForce, show } from '../support/pooler-console.ts';
import { DATABASE, measured, POOL, seconds, Stage } from '../support/stage.ts';

const LEASE_SECONDS = 6;
const SHORT_LEASE = {
  'leaderElection.leaseDuration': `${LEASE_SECONDS}s`,
  'leaderElection.renewDeadline': '4s',
  'leaderElection.retryPeriod': '1s',
};
const TAKEOVER_LIMIT_MS = (LEASE_SECONDS + 2) * 1000;
/** The kubelet tells the start of a container in whole seconds. */
const WORKS_AGAIN_LIMIT_MS = 5_000 + 1_000;

describe('an operator that is lost', function () {
  this.timeout(120_000);
  let stage: Stage;
  let namespace: string;
  let pods: Readonly<Record<string, string>>;

  before(async () => {
    await installOperator();
    // A container that has died before is started again with a delay.
    await kubectl(['rollout', 'restart', '-n', OPERATOR_NAMESPACE, 'deployment/poolsmith']);
    await kubectl(['rollout', 'status', '-n', OPERATOR_NAMESPACE, 'deployment/poolsmith', '--timeout=90s']);
    await until('one operator', async () => (await operatorPods()).length === 1 || undefined, 60_000, 200);
    stage = await Stage.set({ prefix: 'operator' });
    namespace = stage.namespace;
    await stage.settle(stage.pool());
    pods = await podIdentities(namespace, POOL);
  });

  afterEach('no pooler was restarted or replaced', async () => {
    assert.deepEqual(await podIdentities(namespace, POOL), pods);
  });

  after(async () => {
    await installOperator();
    await stage[Symbol.asyncDispose]();
  });

  it('drops no client when it is killed, and takes up a change within 5 s of its new start', async () => {
    const clients = await stage.clientsOfEachPod();
    await using load = await stage.load({ maxLifetimeSeconds: 0 });
    const [operator] = await operatorPods();
    const name = operator?.metadata.name ?? '';
    const killedMs = performance.now();
    const id = await killContainer(OPERATOR_NAMESPACE, name, 'operator');
    const proving = stage.prove(stage.pool().withParameters({ server_idle_timeout: 91 }), 60_000);
    const startedAt = async (): Promise<number | undefined> => {
      const { status } = await (await cluster()).get(RESOURCES.Pod, OPERATOR_NAMESPACE, name);
      const [container] = status?.containerStatuses ?? [];
      if (container?.containerID === `containerd://${id}`) return undefined;
      return container?.state?.running?.startedAt === undefined
        ? undefined
        : Date.parse(container.state.running.startedAt);
    };
    const startMs = await until('the operator to be started again', startedAt, 30_000, 100);
    await proving;
    const tookMs = Date.now() - startMs;
    measured(
      `killed; the change is proved ${seconds(tookMs)} after the new container’s start, ${seconds(performance.now() - killedMs)} after the kill`,
    );
    assert.deepEqual(Object.values(await settingInForce(namespace, POOL, 'server_idle_timeout')), ['91', '91']);
    for (const client of clients) await client.query('SELECT 1').finally(() => client.end());
    const { done, failed, errors } = await load.stop();
    measured(`${done} transactions on connections that were never given up, ${failed} failed`);
    assert.equal(failed, 0, JSON.stringify(errors));
    assert.ok(tookMs <= WORKS_AGAIN_LIMIT_MS, `${tookMs} ms`);
  });

  it('lets clients go on that wait for a lost server, when it is told to stop', async () => {
    await using load = await stage.load({ clients: 16, maxLifetimeSeconds: 0, holdMs: 10, pauseMs: 5 });
    await stage.postgres.stop('fast');
    const isHeld = ({ status }: LivePool): boolean => status?.outage?.pods.length === 2;
    await waitForPool(namespace, POOL, 'both pods to hold their clients', isHeld, 10_000);
    const paused = async (): Promise<readonly unknown[]> =>
      Object.values(await show(namespace, POOL, 'DATABASES'))
        .flat()
        .filter(({ name }) => name === DATABASE)
        .map((row) => row['paused']);
    await until(
      'both to be paused',
      async () => (await paused()).every((value) => value === 1) || undefined,
      5_000,
      50,
    );
    await kubectl(['scale', '-n', OPERATOR_NAMESPACE, 'deployment/poolsmith', '--replicas=0']);
    await until('the operator to be gone', async () => (await operatorPods()).length === 0 || undefined, 40_000, 100);
    assert.deepEqual(await paused(), [0, 0]);
    await stage.postgres.start();
    const backMs = performance.now();
    await load.done(100);
    measured(`without an operator clients work again ${seconds(performance.now() - backMs)} after the server was back`);
    await kubectl(['scale', '-n', OPERATOR_NAMESPACE, 'deployment/poolsmith', '--replicas=1']);
    const isOver = ({ status }: LivePool): boolean => status?.outage === undefined;
    await waitForPool(namespace, POOL, 'the end of the outage to be noted', isOver, 60_000);
  });

  describe('beside a second one', () => {
    before(async () => {
      await installOperator({ replicas: 2, values: SHORT_LEASE });
      const twoRun = async (): Promise<true | undefined> => (await operatorPods()).length === 2 || undefined;
      await until('two operators and no third', twoRun, 60_000, 200);
    });

    async function leader(): Promise<string> {
      const { spec } = await (await cluster()).get(RESOURCES.Lease, OPERATOR_NAMESPACE, 'poolsmith');
      const pod = (await operatorPods()).find(({ metadata }) => metadata.uid === spec?.holderIdentity);
      return pod?.metadata.name ?? '';
    }

    async function epochs(): Promise<readonly number[]> {
      const grants = (await poolPods(namespace, POOL)).map(({ metadata }) =>
        decodeGrant(metadata.annotations?.[ANNOTATION.grant]),
      );
      return grants.map((grant) => grant?.epoch ?? 0);
    }

    async function metric(pod: string, name: string): Promise<number> {
      const { status } = await (await cluster()).get(RESOURCES.Pod, OPERATOR_NAMESPACE, pod);
      const text = await (await fetch(`http://${status?.podIP ?? ''}:8080/metrics`)).text();
      return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
    }

    it('is the only one that leads and writes', async () => {
      const first = await until('a leader', async () => (await leader()) || undefined, 20_000);
      const standby = (await operatorPods()).find(({ metadata }) => metadata.name !== first)?.metadata.name ?? '';
      assert.deepEqual([await metric(first, 'poolsmith_leader'), await metric(standby, 'poolsmith_leader')], [1, 0]);
      const mark = await AuditMark.now();
      await stage.settle(stage.pool().withParameters({ server_idle_timeout: 92 }));
      const writes = mark.writes(OPERATOR_USER).filter((write) => write.namespace === namespace);
      assert.ok(writes.length > 0);
      assert.deepEqual([...new Set(writes.map(({ pod }) => pod))], [first]);
    });

    it('is succeeded within the lease and 2 s when its pod is deleted without grace', async () => {
      const former = await leader();
      const before = await epochs();
      await using load = await stage.load({ maxLifetimeSeconds: 0 });
      const startedMs = performance.now();
      await kubectl(['delete', 'pod', '-n', OPERATOR_NAMESPACE, former, '--grace-period=0', '--force']);
      const successor = async (): Promise<string | undefined> => {
        const name = await leader();
        return name === '' || name === former ? undefined : name;
      };
      await until('another leader', successor, 30_000, 50);
      const tookMs = performance.now() - startedMs;
      measured(`leader deleted without grace: another leads after ${seconds(tookMs)} (lease ${LEASE_SECONDS} s)`);
      await stage.settle(stage.pool().withParameters({ server_idle_timeout: 93 }));
      for (const [index, epoch] of (await epochs()).entries())
        assert.ok(epoch > (before[index] ?? 0), 'the epoch did not grow');
      assert.equal((await load.stop()).failed, 0);
      assert.ok(tookMs <= TAKEOVER_LIMIT_MS, `${tookMs} ms`);
    });

    it('is succeeded within the lease and 2 s when it hangs, and does not act any more when it wakes', async () => {
      const twoReady = async (): Promise<true | undefined> => {
        const ready = (await operatorPods()).filter(({ status }) => status?.containerStatuses?.[0]?.ready === true);
        return ready.length === 2 || undefined;
      };
      await until('two operators', twoReady, 60_000, 200);
      const former = await leader();
      const before = await epochs();
      await signalContainer(OPERATOR_NAMESPACE, former, 'operator', 'SIGSTOP');
      // Before the signal has come through it may still renew.
      const startedMs = performance.now();
      try {
        const other = async (): Promise<true | undefined> => {
          const name = await leader();
          return (name !== '' && name !== former) || undefined;
        };
        await until('another leader', other, 30_000, 50);
        const tookMs = performance.now() - startedMs;
        measured(`leader halted by SIGSTOP: another leads after ${seconds(tookMs)} (lease ${LEASE_SECONDS} s)`);
        await stage.settle(stage.pool().withParameters({ server_idle_timeout: 94 }));
        assert.ok(tookMs <= TAKEOVER_LIMIT_MS, `${tookMs} ms`);
      } finally {
        await signalContainer(OPERATOR_NAMESPACE, former, 'operator', 'SIGCONT');
      }
      for (const [index, epoch] of (await epochs()).entries())
        assert.ok(epoch > (before[index] ?? 0), 'the epoch did not grow');
      const successor = await leader();
      const mark = await AuditMark.now();
      await stage.settle(stage.pool().withParameters({ server_idle_timeout: 95 }));
      const writers = new Set(
        mark
          .writes(OPERATOR_USER)
          .filter((write) => write.namespace === namespace)
          .map(({ pod }) => pod),
      );
      assert.deepEqual([...writers], [successor]);
      assert.equal(await leader(), successor);
    });
  });
});
