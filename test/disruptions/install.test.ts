// The installation: by helm and by the manifest, taken away under a live fleet and put back.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { MANIFEST_FILE } from '../../scripts/generate-manifest.ts';
import { parseObjects } from '../../scripts/chart.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { imageOf } from '../support/cluster-images.ts';
import { installOperator, OPERATOR_NAMESPACE, operatorPods, uninstallOperator } from '../support/install.ts';
import { cluster, kubectl } from '../support/kubectl.ts';
import { readPool } from '../support/pool.ts';
import { podIdentities } from '../support/pool-children.ts';
import { serviceAddress } from '../support/service.ts';
import { measured, POOL, seconds, Stage } from '../support/stage.ts';

describe('an installation', function () {
  this.timeout(180_000);
  let stage: Stage;
  let namespace: string;
  let pods: Readonly<Record<string, string>>;

  before(async () => {
    await installOperator();
    stage = await Stage.set({ prefix: 'install' });
    namespace = stage.namespace;
    await stage.settle(stage.pool());
    pods = await podIdentities(namespace, POOL);
  });

  after(async () => {
    await removeManifest();
    await installOperator();
    await stage[Symbol.asyncDispose]();
  });

  it('by helm answers for its health and metrics', async () => {
    const { host, port } = await serviceAddress(OPERATOR_NAMESPACE, 'poolsmith-metrics');
    const metrics = await (await fetch(`http://${host}:${port}/metrics`)).text();
    assert.match(metrics, /^poolsmith_leader 1$/m);
    assert.match(metrics, new RegExp(`^poolsmith_ready{namespace="${namespace}",pool="${POOL}"} 1$`, 'm'));
    for (const path of ['healthz', 'readyz']) {
      assert.equal((await fetch(`http://${host}:${port}/${path}`)).status, 200, path);
    }
  });

  it('that is uninstalled keeps the CRD and says so, and its fleet serves on untouched', async () => {
    await using load = await stage.load({ clients: 12, maxLifetimeSeconds: 3 });
    const said = await uninstallOperator();
    assert.match(said, /kept due to the resource policy:\s+\[CustomResourceDefinition\] poolconfigs\.poolsmith\.dev/);
    assert.deepEqual(await operatorPods(), []);
    await load.done(300);
    const { done, failed, errors } = await load.stop();
    measured(`${done} transactions through the end of the operator and after, ${failed} failed`);
    assert.equal(failed, 0, JSON.stringify(errors));
    assert.deepEqual(await podIdentities(namespace, POOL), pods);
    assert.equal((await readPool(namespace, POOL)).metadata.name, POOL);
  });

  it('that comes back takes the fleet over without restarting a pod, and changes it', async () => {
    await using load = await stage.load({ clients: 12, maxLifetimeSeconds: 0 });
    const startedMs = performance.now();
    await installOperator();
    await stage.settle(stage.pool().withParameters({ server_idle_timeout: 91 }));
    measured(`installed again and a change proved after ${seconds(performance.now() - startedMs)}`);
    assert.equal((await load.stop()).failed, 0);
    assert.deepEqual(await podIdentities(namespace, POOL), pods);
  });

  it('by kubectl apply of deploy/poolsmith.yaml does the same', async () => {
    await uninstallOperator();
    const manifest = readFileSync(MANIFEST_FILE, 'utf8').replaceAll(
      /^(\s*(?:- )?image: ).*$/gm,
      `$1${imageOf('operator')}`,
    );
    await kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], manifest);
    await kubectl(['rollout', 'status', '-n', OPERATOR_NAMESPACE, 'deployment/poolsmith', '--timeout=90s']);
    await stage.settle(stage.pool().withParameters({ server_idle_timeout: 92 }));
    assert.deepEqual(await podIdentities(namespace, POOL), pods);
  });

  /** All but the CRD, with which every fleet would go, and the namespace, which helm uses too. */
  async function removeManifest(): Promise<void> {
    const kube = await cluster();
    const deployment = await kube.find(RESOURCES.Deployment, OPERATOR_NAMESPACE, 'poolsmith');
    if (deployment === undefined || deployment.metadata.labels?.['app.kubernetes.io/managed-by'] === 'Helm') return;
    const objects = parseObjects(readFileSync(MANIFEST_FILE, 'utf8')).filter(
      ({ kind }) => kind !== 'CustomResourceDefinition' && kind !== 'Namespace',
    );
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    await kubectl(['delete', '--ignore-not-found', '--wait', '-f', '-'], JSON.stringify(list));
  }
});
