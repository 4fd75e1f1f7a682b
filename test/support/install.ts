// Installs the operator by its chart, as the scenarios want it. `node test/support/install.ts` may be run again at any time: only a new image restarts it.
import { existsSync, readFileSync } from 'node:fs';
import { archiveFile } from '../../images/build.ts';
import { CHART_FOLDER } from '../../scripts/chart.ts';
import { runHelm } from '../../scripts/helm.ts';
import { RESOURCES, type Pod } from '../../src/kube/resources.ts';
import { until } from '../cluster/processes.ts';
import { ensureImages, imageOf } from './cluster-images.ts';
import { closeCluster, cluster, clusterAccess, kubectl, tryKubectl } from './kubectl.ts';

export const OPERATOR_NAMESPACE = 'poolsmith-system';
export const OPERATOR = 'poolsmith';
/** As the API server's audit log names it. */
export const OPERATOR_USER = `system:serviceaccount:${OPERATOR_NAMESPACE}:${OPERATOR}`;

const IMAGE_KEY = 'poolsmith.dev/image-key';
const ROLLOUT_LIMIT_SECONDS = 120;
const SELECTOR = 'app.kubernetes.io/component=operator';

export type Installation = Readonly<{
  replicas?: number;
  /** More values of the chart, by their dotted names. */
  values?: Readonly<Record<string, unknown>>;
}>;

/** Installs or upgrades the release and waits until its pods are ready; answers what helm said. @throws with that when it fails. */
export async function installOperator({ replicas = 1, values = {} }: Installation = {}): Promise<string> {
  const [repository = '', tag = ''] = imageOf('operator').split(/:(?=[^/:]*$)/);
  const all: Record<string, unknown> = {
    'image.repository': repository,
    'image.tag': tag,
    'image.pullPolicy': 'IfNotPresent',
    'pooler.image': imageOf('pgbouncer'),
    logLevel: 'info',
    replicas,
    // The tag stays the same when the image changes, so the pods carry its content key.
    [`podAnnotations.${IMAGE_KEY.replaceAll('.', '\\.')}`]: imageKey(),
    ...values,
  };
  const settings = Object.entries(all).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`]);
  return await helm([
    ...['upgrade', OPERATOR, CHART_FOLDER, '--install', '--create-namespace', ...settings],
    ...['--wait', '--timeout', `${ROLLOUT_LIMIT_SECONDS}s`],
  ]);
}

/** Removes the release and waits until no pod of it is left; answers what helm said. */
export async function uninstallOperator(): Promise<string> {
  const said = await helm(['uninstall', OPERATOR, '--wait']);
  await until('the end of the operator', async () => (await operatorPods()).length === 0 || undefined, 60_000);
  return said;
}

/** The operator's pods, Terminating ones too. */
export async function operatorPods(): Promise<readonly Pod[]> {
  const kube = await cluster();
  return (await kube.list(RESOURCES.Pod, { namespace: OPERATOR_NAMESPACE, labelSelector: SELECTOR })).items;
}

/** Runs the operator's command line in a container of its own image, as `kubectl exec deploy/poolsmith -- poolsmith …` does. */
export async function poolsmith(args: readonly string[], input?: string): ReturnType<typeof tryKubectl> {
  const exec = ['exec', '-i', '-n', OPERATOR_NAMESPACE, `deploy/${OPERATOR}`, '--', 'poolsmith', ...args];
  return await tryKubectl(exec, input);
}

/** What the operator logged since a moment, parsed line by line. */
export async function operatorLog(since: Date): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const args = ['logs', '-n', OPERATOR_NAMESPACE, '-l', SELECTOR, '--tail=-1', `--since-time=${since.toISOString()}`];
  const lines = (await kubectl(args)).split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Of the archive as it was built last; a foreign cluster pulls by the reference alone. */
function imageKey(): string {
  const file = `${archiveFile('operator')}.key`;
  return existsSync(file) ? `key-${readFileSync(file, 'utf8')}` : 'not-built-here';
}

async function helm(args: readonly string[]): Promise<string> {
  const { kubeconfig } = await clusterAccess();
  const full = [...args, '--namespace', OPERATOR_NAMESPACE, '--kubeconfig', kubeconfig];
  const { status, stdout, stderr } = runHelm(full, (ROLLOUT_LIMIT_SECONDS + 30) * 1000);
  if (status !== 0) throw new Error(`while running helm ${args[0] ?? ''}: exit ${status}\n${stderr}${stdout}`);
  return `${stdout}${stderr}`;
}

if (import.meta.filename === process.argv[1]) {
  const loaded = await ensureImages(['operator', 'pgbouncer', 'postgres'], (line) => {
    console.log(line);
  });
  await installOperator();
  await closeCluster();
  console.log(
    `operator ${imageOf('operator')} runs in ${OPERATOR_NAMESPACE}${loaded.includes('operator') ? ', new' : ''}`,
  );
}
