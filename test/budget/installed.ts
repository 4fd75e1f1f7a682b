// The cluster that scenarios run on: brought up if need be, with images and operator as they are in this checkout.
import { availableParallelism } from 'node:os';
import { ensureImages } from '../support/cluster-images.ts';
import { installOperator } from '../support/install.ts';
import { kubectlJson } from '../support/kubectl.ts';
import { prepareCluster } from '../support/test-cluster.ts';

/** @throws when there is no cluster and none can be had here. */
export async function installed(report: (line: string) => void): Promise<void> {
  if ((process.env['KUBECONFIG'] ?? '') === '') {
    const prepared = await prepareCluster();
    if (prepared.kind === 'unavailable') throw new Error(`there is no cluster to run on: ${prepared.why}`);
    Object.assign(process.env, prepared.env);
  }
  await ensureImages(['operator', 'pgbouncer', 'postgres'], report);
  await installOperator();
}

/** In one line, for reports. */
export async function measuredOn(): Promise<string> {
  const { serverVersion } = await kubectlJson<{ serverVersion: { gitVersion: string } }>(['version']);
  return `Kubernetes ${serverVersion.gitVersion}, one node, ${availableParallelism()} processors, all on one machine; ${new Date().toISOString()}`;
}
