// Two operators that both believe to lead: one is halted between its decision and its write, and what it decided comes too late to count.
import assert from 'node:assert/strict';
import { RESOURCES, type Pod } from '../../src/kube/resources.ts';
import { decodeGrant, type Grant } from '../../src/model/grant.ts';
import { ANNOTATION } from '../../src/model/names.ts';
import type { Sizes } from '../../src/model/pooler-model.ts';
import { sumOf } from '../../src/sizing/sizes.ts';
import { until } from '../cluster/processes.ts';
import { ApiProxy, type ApiWrite } from '../support/api-proxy.ts';
import type { BackendSampler } from '../support/backends.ts';
import { installOperator } from '../support/install.ts';
import { cluster, isOwnCluster } from '../support/kubectl.ts';
import type { Load } from '../support/load.ts';
import { OperatorProcess } from '../support/operator-process.ts';
import { applyPool } from '../support/pool.ts';
import { poolPods } from '../support/pool-children.ts';
import { show } from '../support/pooler-console.ts';
import { freePort } from '../support/server-process.ts';
import { serviceAddress } from '../support/service.ts';
import { DATABASE, measured, POOL, seconds, Stage } from '../support/stage.ts';

const LEASE_SECONDS = 4;
/** Two pods, each with a floor of 1 set aside for its replacement. */
const SMALL = { budget: 12, sizes: 10 };
const LARGE = { budget: 24, sizes: 22 };
/** More than any pool has servers: every size in force is used to the full. */
const CROWD = { clients: 24, holdMs: 300, maxLifetimeSeconds: 0 };
const ENDS_WITHIN_MS = 10_000;

describe('two leaders', function () {
  this.timeout(120_000);
  let stage: Stage;
  let host: string;
  let sampler: BackendSampler;
  let load: Load;
  const used = new AsyncDisposableStack();
  const operators: OperatorProcess[] = [];

  before(async function () {
    if (!(await isOwnCluster())) {
      console.log('      SKIPPED: the operators run on this machine, which reaches the pods of its own cluster only');
      this.skip();
    }
    // Whoever is installed would act on the same PoolConfig.
    await installOperator({ replicas: 0 });
    used.defer(async () => {
      await installOperator();
    });
    stage = used.use(await Stage.set({ prefix: 'leaders' }));
    ({ host } = await serviceAddress(stage.namespace, 'db'));
  });

  after(async () => {
    await used.disposeAsync();
  });

  afterEach(function () {
    if (this.currentTest?.state === 'failed')
      for (const { identity, log } of operators) console.log(`      ${identity}: ${log.slice(-20).join('\n        ')}`);
  });

  /** A fleet of two on the budget given. */
  const pool = (budget: number) => stage.pool().onServer(host).withMonitor('monitor').withBudget(budget);

  /** Resolves once it knows the cluster, and would lead if nobody else did. */
  async function startOperator(identity: string): Promise<{ operator: OperatorProcess; proxy: ApiProxy }> {
    const proxy = used.use(await ApiProxy.start());
    const { kubeconfig } = proxy;
    const httpPort = await freePort();
    const { namespace } = stage;
    const operator = used.use(
      new OperatorProcess({ kubeconfig, namespace, identity, leaseSeconds: LEASE_SECONDS, httpPort }),
    );
    operators.push(operator);
    const isReady = (): true | undefined =>
      operator.log.some((line) => line.includes('caches are complete')) || undefined;
    await until(`${identity} to know the cluster`, isReady, 30_000);
    return { operator, proxy };
  }

  async function leads(identity: string): Promise<number> {
    const startedMs = performance.now();
    const holds = async (): Promise<true | undefined> => {
      const lease = await (await cluster()).find(RESOURCES.Lease, stage.namespace, 'poolsmith');
      return lease?.spec?.holderIdentity === identity || undefined;
    };
    await until(`${identity} to lead`, holds, 20_000);
    return performance.now() - startedMs;
  }

  const grantsOf = async (): Promise<ReadonlyMap<string, Grant>> =>
    new Map((await poolPods(stage.namespace, POOL)).map((pod) => [pod.metadata.name, grantOf(pod)]));

  /** What the poolers themselves would allow, past every operator. */
  async function sizesInForce(): Promise<number> {
    const rows = Object.values(await show(stage.namespace, POOL, 'DATABASES')).flat();
    return rows
      .filter(({ name }) => name === DATABASE)
      .reduce((sum, row) => sum + Math.max(Number(row['pool_size']), Number(row['max_connections'])), 0);
  }

  it('refuses the grow that a halted leader had decided on, once a successor has put its mark on the pods', async () => {
    const first = await startOperator('first');
    await leads('first');
    await stage.settle(pool(SMALL.budget));
    assert.equal(await sizesInForce(), SMALL.sizes);
    const second = await startOperator('second');
    sampler = used.use(await stage.sampler());
    load = used.use(await stage.load(CROWD));

    // The first operator decides to let a pod grow; at the moment of its write it is halted, and the write does not arrive.
    const formerly = await grantsOf();
    const held = first.proxy.holdNext(
      (write) => growth(write, formerly) > 0,
      () => {
        first.operator.signal('SIGSTOP');
      },
    );
    await applyPool(pool(LARGE.budget));
    const { write, release } = await held;
    const haltedMs = performance.now();

    // Meanwhile less is declared, and another leads: it finds the sizes as they should be, and only puts its mark on them.
    await applyPool(pool(SMALL.budget));
    await leads('second');
    measured(`leader halted in the middle of a grow: another leads after ${seconds(performance.now() - haltedMs)}`);
    await stage.settle(pool(SMALL.budget));
    assert.deepEqual(
      podWrites(second.proxy).map(({ sizes }) => sizes),
      [{ orders: 5 }, { orders: 5 }],
    );
    const marked = await poolPods(stage.namespace, POOL);
    for (const pod of marked) {
      const [before, now] = [formerly.get(pod.metadata.name), grantOf(pod)];
      assert.ok(
        before !== undefined && now.epoch > before.epoch,
        `${pod.metadata.name} bears no mark of the successor`,
      );
      assert.deepEqual(now.sizes, before.sizes);
    }

    // Now the write arrives, and then its sender wakes up.
    const { status, answer } = await release();
    assert.equal(status, 409, JSON.stringify(answer));
    assert.equal((answer as { readonly reason?: string }).reason, 'Conflict');
    const written = first.proxy.writes.length;
    first.operator.signal('SIGCONT');
    const wokenMs = performance.now();
    const ended = await until('the end of the former leader', endOf(first.operator), ENDS_WITHIN_MS);
    measured(
      `${write.path} answered ${status}; the former leader ended ${seconds(performance.now() - wokenMs)} after it woke`,
    );
    assert.equal(ended.code, 1, first.operator.log.join('\n'));
    // All that it may still try is to renew its Lease, in vain.
    const tried = first.proxy.writes.slice(written).map(({ path, status: said }) => `${path} ${said ?? 'cut'}`);
    assert.deepEqual(
      tried.filter((line) => !/\/leases\/poolsmith (409|cut)$/.test(line)),
      [],
      'it wrote on when it woke',
    );

    const after = new Map((await poolPods(stage.namespace, POOL)).map((pod) => [pod.metadata.name, pod]));
    for (const { metadata } of marked)
      for (const key of [ANNOTATION.grant, ANNOTATION.live])
        assert.equal(after.get(metadata.name)?.metadata.annotations?.[key], metadata.annotations?.[key], key);
    assert.equal(await sizesInForce(), SMALL.sizes);
    // A load that did not need what there is could not have shown a larger size.
    await sampler.reaches(SMALL.sizes - 1);
    const { peak, samples, longestGapMs } = sampler.lap();
    measured(
      `at most ${peak} backends of ${SMALL.budget} in ${samples} looks, ${Math.round(longestGapMs)} ms apart at most`,
    );
    assert.ok(peak <= SMALL.budget, `${peak} backends`);
  });

  it('puts the mark of a new leader on every pod before it lets one grow, and grows only in the version it has seen', async () => {
    const [, former] = operators;
    const third = await startOperator('third');
    former?.signal('SIGKILL');
    await former?.ended;
    // A grow is due when the next one begins to lead.
    await applyPool(pool(LARGE.budget));
    await leads('third');
    await stage.settle(pool(LARGE.budget));
    const pods = (await poolPods(stage.namespace, POOL)).map(({ metadata }) => metadata.name);
    const grants = podWrites(third.proxy);
    const small = SMALL.sizes / pods.length;
    const firstGrow = grants.findIndex(({ sizes }) => sumOf(sizes) > small);
    assert.ok(firstGrow >= 0, 'no pod grew');
    assert.deepEqual(
      new Set(grants.slice(0, firstGrow).map(({ pod }) => pod)),
      new Set(pods),
      'a pod grew before every pod bore the mark',
    );
    for (const { pod, version } of grants) assert.match(version, /^\d+$/, `${pod} was patched in any version`);
    assert.equal(await sizesInForce(), LARGE.sizes);
    const { peak } = sampler.lap();
    measured(`at most ${peak} backends of ${LARGE.budget} while the successor grew the pods`);
    assert.ok(peak <= LARGE.budget, `${peak} backends`);
    assert.equal((await load.stop()).failed, 0);
  });
});

type Metadata = { readonly resourceVersion?: string; readonly annotations?: Readonly<Record<string, string>> };

function metadataIn({ body }: ApiWrite): Metadata {
  return (body as { readonly metadata?: Metadata }).metadata ?? {};
}

/** The grants that an operator wrote, in their order, each with the version of the pod that it had seen. */
function podWrites({ writes }: ApiProxy): readonly { pod: string; sizes: Sizes; version: string }[] {
  return writes.flatMap((write) => {
    const grant = grantIn(write);
    const version = metadataIn(write).resourceVersion ?? '';
    return grant === undefined || write.status !== 200 ? [] : [{ pod: podOf(write), sizes: grant.sizes, version }];
  });
}

/** The grant that a patch of a pod writes; undefined for every other write. */
function grantIn(write: ApiWrite): Grant | undefined {
  const isPod = write.method === 'PATCH' && /\/pods\/[^/]+$/.test(write.path);
  return isPod ? decodeGrant(metadataIn(write).annotations?.[ANNOTATION.grant]) : undefined;
}

function podOf({ path }: ApiWrite): string {
  return path.split('/').at(-1) ?? '';
}

/** By how many connections a write would enlarge what its pod was granted. */
function growth(write: ApiWrite, formerly: ReadonlyMap<string, Grant>): number {
  const grant = grantIn(write);
  return grant === undefined ? 0 : sumOf(grant.sizes) - sumOf(formerly.get(podOf(write))?.sizes ?? {});
}

function grantOf({ metadata }: Pod): Grant {
  const grant = decodeGrant(metadata.annotations?.[ANNOTATION.grant]);
  assert.ok(grant !== undefined, `${metadata.name} has no grant`);
  return grant;
}

/** A probe that answers as soon as the process has ended. */
function endOf(operator: OperatorProcess): () => Promise<{ code: number | undefined } | undefined> {
  let ended: { code: number | undefined } | undefined;
  void operator.ended.then((code) => {
    ended = { code };
  });
  return () => Promise.resolve(ended);
}
