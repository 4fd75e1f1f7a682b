// A real cluster, asked what the simulated one is asked (test/sim/kube/conformance): the answers on paper must be its answers.
import assert from 'node:assert/strict';
import { until } from '../cluster/processes.ts';
import { PAUSE_IMAGE } from '../cluster/programs.ts';
import { played, type Stage } from '../sim/kube/conformance/script.ts';
import { SCRIPTS } from '../sim/kube/conformance/scripts.ts';
import { applyObjects, closeCluster, cluster, clusterAccess, isOwnCluster, tryKubectl } from '../support/kubectl.ts';
import { createNamespace, type TestNamespace } from '../support/namespace.ts';

/** What most clusters have on their nodes anyway. */
const FOREIGN_IDLE_IMAGE = 'registry.k8s.io/pause:3.10';
const LIMIT_MS = 60_000;

async function evict(namespace: string, name: string): Promise<boolean> {
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`;
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } };
  const { code, stderr } = await tryKubectl(['create', '--raw', path, '-f', '-'], JSON.stringify(eviction));
  if (code === 0) return true;
  assert.match(stderr, /disruption budget/);
  return false;
}

async function limitPods(namespace: string, count: number): Promise<void> {
  const metadata = { name: 'pods', namespace };
  const spec = { hard: { pods: String(count) } };
  await applyObjects([{ apiVersion: 'v1', kind: 'ResourceQuota', metadata, spec }]);
}

describe('a real cluster answers as the simulated one is made to', function () {
  this.timeout(300_000);
  const spaces: TestNamespace[] = [];
  let idleImage: string;

  before(async function () {
    const access = await clusterAccess().catch(() => undefined);
    if (access === undefined) this.skip();
    idleImage = (await isOwnCluster()) ? PAUSE_IMAGE : FOREIGN_IDLE_IMAGE;
  });

  after(async () => {
    await Promise.all(spaces.map((space) => space[Symbol.asyncDispose]()));
    await closeCluster();
  });

  for (const script of SCRIPTS) {
    it(script.title, async () => {
      const space = await createNamespace({ prefix: 'conformance' });
      spaces.push(space);
      const stage: Stage = {
        api: await cluster(),
        namespace: space.name,
        idleImage,
        until: (what, look) => until(what, look, LIMIT_MS),
        limitPods: (count) => limitPods(space.name, count),
        evict: (pod) => evict(space.name, pod),
      };
      assert.deepEqual(await played(script, stage), script.answers);
    });
  }
});
