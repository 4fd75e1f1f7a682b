// The cluster under test: the one that KUBECONFIG names, else the test cluster of this machine; kubectl and an API client for it.
import { existsSync } from 'node:fs';
import { KubeClient } from '../../src/kube/client.ts';
import { clusterName, layoutOf } from '../cluster/layout.ts';
import { attempt, hasProgram, run, type Output } from '../cluster/processes.ts';
import { programFile } from '../cluster/programs.ts';

export type ClusterAccess = Readonly<{ kubeconfig: string; kubectl: string }>;

/** Writer of the fields that tests and demo apply. */
const FIELD_MANAGER = 'poolsmith-test';
/** Tests look often; the API server on the same machine is not to be spared. */
const CALLS_PER_SECOND = 500;

let access: ClusterAccess | undefined;
let client: KubeClient | undefined;

/** Finds the cluster. `KUBECTL` may name the program. @throws with what to do when there is none. */
export async function clusterAccess(): Promise<ClusterAccess> {
  access ??= await findAccess();
  return access;
}

async function findAccess(): Promise<ClusterAccess> {
  const own = layoutOf(clusterName());
  const kubeconfig = process.env['KUBECONFIG'] ?? own.kubeconfig;
  if (!existsSync(kubeconfig)) throw new Error(`no cluster: ${kubeconfig} does not exist; start one: make cluster-up`);
  const built = process.env['KUBECTL'] ?? programFile('kubectl');
  const kubectl = existsSync(built) ? built : 'kubectl';
  if (kubectl === 'kubectl' && !(await hasProgram(kubectl))) throw new Error('no kubectl: set KUBECTL to the program');
  // The API client reads it from there.
  process.env['KUBECONFIG'] = kubeconfig;
  return { kubeconfig, kubectl };
}

/** Whether the cluster is this project's own, on this machine: pods, Services and containers can be reached from here. */
export async function isOwnCluster(): Promise<boolean> {
  return (await clusterAccess()).kubeconfig === layoutOf(clusterName()).kubeconfig;
}

/** The shared API client; `closeCluster` ends it. */
export async function cluster(): Promise<KubeClient> {
  await clusterAccess();
  client ??= KubeClient.fromKubeConfig({ qps: CALLS_PER_SECOND, burst: CALLS_PER_SECOND, fieldManager: FIELD_MANAGER });
  return client;
}

/** Ends the shared client's connections, which would keep the process alive. */
export async function closeCluster(): Promise<void> {
  const ended = client;
  client = undefined;
  await ended?.close();
}

/** Runs kubectl to its end; answers its output. @throws with what it said when it fails. */
export async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const { kubectl: program, kubeconfig } = await clusterAccess();
  return await run(program, args, options(kubeconfig, input));
}

/** Runs kubectl to its end, whatever its exit code. */
export async function tryKubectl(args: readonly string[], input?: string): Promise<Output> {
  const { kubectl: program, kubeconfig } = await clusterAccess();
  return await attempt(program, args, options(kubeconfig, input));
}

/** `kubectl … -o json`, parsed. */
export async function kubectlJson<T>(args: readonly string[]): Promise<T> {
  return JSON.parse(await kubectl([...args, '-o', 'json'])) as T;
}

/** Server-side apply of any objects, through kubectl: it knows every kind. */
export async function applyObjects(objects: readonly object[]): Promise<void> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  await kubectl(
    ['apply', '--server-side', '--force-conflicts', `--field-manager=${FIELD_MANAGER}`, '-f', '-'],
    JSON.stringify(list),
  );
}

function options(kubeconfig: string, input: string | undefined): { env: NodeJS.ProcessEnv; input?: string } {
  return { env: { ...process.env, KUBECONFIG: kubeconfig }, ...(input === undefined ? {} : { input }) };
}
