// Everything before the first step: cluster, images, operator, PostgreSQL.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { findHelm } from '../scripts/helm.ts';
import { RESOURCES } from '../src/kube/resources.ts';
import { isHealthy } from '../test/cluster/cluster.ts';
import { clusterName, layoutOf } from '../test/cluster/layout.ts';
import { run, until } from '../test/cluster/processes.ts';
import { ensureImages } from '../test/support/cluster-images.ts';
import { cluster, isOwnCluster, kubectl, tryKubectl } from '../test/support/kubectl.ts';
import { removeNamespace } from '../test/support/namespace.ts';
import { ORDER_TABLES } from './client/order.ts';
import type { Narrator } from './narrator.ts';
import { DATABASE, NAMESPACE, OWNER, POOL, RELEASE, SUPERUSER, SYSTEM_NAMESPACE } from './world.ts';

const CHECKOUT = join(import.meta.dirname, '..');
const CHART = join(CHECKOUT, 'charts/poolsmith');
const CRD_NAME = 'poolconfigs.poolsmith.dev';

/** There when the demo started the cluster, and so takes it down; lies in the cluster's state folder, so it goes with the cluster. */
export const startedMark = (): string => join(layoutOf(clusterName()).folder, 'started-by-the-demo');

export function manifest(name: string): string {
  return join(import.meta.dirname, 'manifests', name);
}

export async function prepareCluster(narrator: Narrator): Promise<void> {
  const layout = layoutOf(clusterName());
  const named = process.env['KUBECONFIG'];
  if (named !== undefined && named !== layout.kubeconfig) {
    narrator.say(`using the cluster of KUBECONFIG=${named}`);
    return;
  }
  if (await isHealthy(layout)) {
    narrator.say(`cluster "${layout.name}" is up already`);
    return;
  }
  narrator.say(
    `starting cluster "${layout.name}": etcd, API server, controllers, scheduler, kubelet, containerd on this machine`,
  );
  await run(process.execPath, [join(CHECKOUT, 'test/cluster/main.ts'), 'up']);
  writeFileSync(startedMark(), '');
  narrator.good('a Kubernetes is up');
}

export async function prepareImages(narrator: Narrator): Promise<void> {
  const loaded = await ensureImages(['operator', 'pgbouncer', 'postgres', 'demo-client'], (line) => {
    narrator.say(line);
  });
  narrator.good(loaded.length === 0 ? 'the images are there, and current' : `loaded ${loaded.length} images`);
}

/** Removes what an earlier demo left, so that every count starts at nothing. */
export async function clearEarlierDemo(narrator: Narrator): Promise<void> {
  const kube = await cluster();
  if ((await kube.find(RESOURCES.Namespace, undefined, NAMESPACE)) === undefined) return;
  narrator.say('removing what an earlier demo left');
  await tryKubectl(['delete', 'poolconfig', '-n', NAMESPACE, POOL, '--ignore-not-found', '--wait=false']);
  await removeNamespace(NAMESPACE);
}

export async function installOperator(narrator: Narrator): Promise<void> {
  // A CRD that was applied without helm can't become helm's; it is brought up to date the same way.
  const found = await tryKubectl([
    'get',
    'crd',
    CRD_NAME,
    '-o',
    'jsonpath={.metadata.annotations.meta\\.helm\\.sh/release-name}',
  ]);
  const isForeign = found.code === 0 && found.stdout !== RELEASE;
  if (isForeign) await kubectl(['apply', '--server-side', '--force-conflicts', '-f', join(CHECKOUT, 'crds')]);
  const values = ['--values', manifest('helm-values.yaml'), ...(isForeign ? ['--set', 'crds.enabled=false'] : [])];
  const repo = process.env['IMAGE_REPO'];
  if (repo !== undefined) values.push('--set', `image.repository=${repo.replace(/\/$/, '')}/operator`);
  narrator.command(
    `helm upgrade --install ${RELEASE} charts/poolsmith -n ${SYSTEM_NAMESPACE} --create-namespace -f demo/manifests/helm-values.yaml`,
  );
  const place = ['--namespace', SYSTEM_NAMESPACE, '--create-namespace'];
  await run(findHelm(), ['upgrade', '--install', RELEASE, CHART, ...place, ...values]);
  // The tag stays the same when the image changes.
  await kubectl(['rollout', 'restart', '-n', SYSTEM_NAMESPACE, `deployment/${RELEASE}`]);
}

export async function waitForOperator(narrator: Narrator): Promise<void> {
  await kubectl(['rollout', 'status', '-n', SYSTEM_NAMESPACE, `deployment/${RELEASE}`, '--timeout=90s']);
  narrator.good('the operator runs');
}

/** Starts PostgreSQL and makes the application's tables; answers where it is, past any pooler. */
export async function startPostgres(narrator: Narrator): Promise<pg.ClientConfig> {
  const kube = await cluster();
  await kube.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  narrator.command(`kubectl apply -n ${NAMESPACE} -f demo/manifests/postgres.yaml`);
  await kubectl(['apply', '-n', NAMESPACE, '-f', manifest('postgres.yaml')]);
  const selection = { namespace: NAMESPACE, labelSelector: 'app=orders-db' };
  const address = async (): Promise<string | undefined> => {
    const [pod] = (await kube.list(RESOURCES.Pod, selection)).items;
    return pod?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
      ? pod.status.podIP
      : undefined;
  };
  const host = await until('PostgreSQL to be ready', address, 60_000, 100);
  await migrate({ host, port: 5432, database: DATABASE, ...OWNER });
  narrator.good('PostgreSQL runs with max_connections=100, and has the tables of the application');
  if (!(await isOwnCluster()))
    narrator.say('this machine must reach pods at their addresses: the demo counts backends on the server itself');
  return { host, port: 5432, database: DATABASE, ...SUPERUSER };
}

async function migrate(address: pg.ClientConfig): Promise<void> {
  const client = new pg.Client({ ...address, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    await client.query(ORDER_TABLES);
  } finally {
    await client.end();
  }
}
