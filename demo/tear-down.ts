// Takes the demo away: its namespace, the operator, and the cluster if the demo started it.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findHelm } from '../scripts/helm.ts';
import { RESOURCES } from '../src/kube/resources.ts';
import { isApiReady } from '../test/cluster/api.ts';
import { clusterName, layoutOf } from '../test/cluster/layout.ts';
import { attempt, run } from '../test/cluster/processes.ts';
import { clusterAccess, cluster, isOwnCluster, tryKubectl } from '../test/support/kubectl.ts';
import { removeNamespace } from '../test/support/namespace.ts';
import type { Narrator } from './narrator.ts';
import { startedMark } from './prepare.ts';
import { NAMESPACE, POOL, RELEASE, SYSTEM_NAMESPACE } from './world.ts';

const CLUSTER_MAIN = join(import.meta.dirname, '../test/cluster/main.ts');

export async function tearDown(narrator: Narrator): Promise<void> {
  const layout = layoutOf(clusterName());
  const isThere = await clusterAccess().then(
    async () => !(await isOwnCluster()) || (await isApiReady(layout)),
    () => false,
  );
  if (!isThere) {
    narrator.say('there is no cluster, so there is no demo');
    return;
  }
  if ((await isOwnCluster()) && existsSync(startedMark())) {
    await run(process.execPath, [CLUSTER_MAIN, 'down']);
    narrator.good(`cluster "${layout.name}", which the demo had started, is down`);
    return;
  }
  if ((await (await cluster()).find(RESOURCES.Namespace, undefined, NAMESPACE)) !== undefined) {
    // While the operator is there, so that it sees the fleet go.
    await tryKubectl(['delete', 'poolconfig', '-n', NAMESPACE, POOL, '--ignore-not-found', '--timeout=30s']);
    await removeNamespace(NAMESPACE);
    narrator.good(`namespace ${NAMESPACE} is gone`);
  }
  const { code } = await attempt(findHelm(), ['uninstall', RELEASE, '--namespace', SYSTEM_NAMESPACE, '--wait']);
  if (code === 0) narrator.good('the operator is uninstalled; helm kept the CRD, as the chart says');
  await removeNamespace(SYSTEM_NAMESPACE);
  narrator.good('the demo is gone; the cluster, which was there before it, stays');
}
