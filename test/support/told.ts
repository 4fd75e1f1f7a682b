// Every place where a fleet and its operator tell something to somebody who may not read Secrets.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Pod } from '../../src/kube/resources.ts';
import { PLACE } from '../../src/model/names.ts';
import { clusterName, layoutOf } from '../cluster/layout.ts';
import type { Place } from './canary.ts';
import { filesIn, mountsOf, processesOf, tellsOf } from './container-process.ts';
import { OPERATOR, OPERATOR_NAMESPACE, operatorPods } from './install.ts';
import { kubectl } from './kubectl.ts';
import { POOL_CONFIGS, readPool } from './pool.ts';
import { poolPods } from './pool-children.ts';

const OPERATOR_HTTP_PORT = 8080;
export const OWN_METADATA = 'metadata of the PoolConfig, its annotations among them';
export const OBJECTS = 'every object of its namespace but Secrets';

/** All places but those that are told only at a moment, such as the log of a process that has ended. */
export async function told(namespace: string, pool: string, kubernetes: KubernetesLogs): Promise<readonly Place[]> {
  const [poolers, operators] = [await poolPods(namespace, pool), await operatorPods()];
  const pods = [...poolers, ...operators];
  const { metadata, status } = await readPool(namespace, pool);
  const events = await objects(namespace, ['events', 'events.events.k8s.io']);
  return [
    { name: 'status of the PoolConfig', text: JSON.stringify({ pool: metadata.name, status }) },
    { name: OWN_METADATA, text: JSON.stringify(metadata) },
    { name: 'events', text: events },
    { name: OBJECTS, text: await objects(namespace, await kindsBut(['secrets'])) },
    {
      name: 'every object of the operator’s namespace but Secrets',
      mentions: OPERATOR,
      text: await objects(OPERATOR_NAMESPACE, await kindsBut(['secrets'])),
    },
    { name: 'logs of the poolers', text: await logsOf(poolers) },
    { name: 'log of the operator', text: await logsOf(operators) },
    { name: 'metrics', text: await metricsOf(operators) },
    { name: 'arguments and environment of the processes', text: argumentsOf(pods) },
    { name: 'files that the containers can write', text: writtenIn(pods) },
    {
      name: 'files of the poolers that are not from a Secret',
      text: filesOf(poolers, [PLACE.bootFolder, PLACE.liveFolder]),
    },
    { name: 'logs of Kubernetes, and its audit log', text: kubernetes.added() },
  ];
}

/** The files that the poolers have from a Secret. */
export async function mountedSecrets(namespace: string, pool: string): Promise<Place> {
  return { name: 'files from a Secret', text: filesOf(await poolPods(namespace, pool), [PLACE.secretsFolder]) };
}

/** The Secrets themselves, as whoever may read them sees them. */
export async function secretObjects(namespace: string): Promise<Place> {
  return { name: 'Secrets', text: await objects(namespace, ['secrets']) };
}

async function kindsBut(left: readonly string[]): Promise<readonly string[]> {
  const kinds = (await kubectl(['api-resources', '--namespaced', '--verbs=list', '-o', 'name'])).trim().split('\n');
  if (!kinds.some((kind) => kind.startsWith(POOL_CONFIGS.plural)))
    throw new Error(`no PoolConfigs among ${kinds.join()}`);
  return kinds.filter((kind) => !left.includes(kind));
}

async function objects(namespace: string, kinds: readonly string[]): Promise<string> {
  return await kubectl(['get', kinds.join(), '-n', namespace, '--show-managed-fields', '-o', 'json']);
}

async function logsOf(pods: readonly Pod[]): Promise<string> {
  const logs = pods.map(async ({ metadata: { namespace = '', name }, status }) => {
    const args = ['logs', '-n', namespace, name];
    const restarted = status?.containerStatuses?.some(({ restartCount }) => restartCount > 0) === true;
    return `${await kubectl(args)}\n${restarted ? await kubectl([...args, '--previous']) : ''}`;
  });
  return (await Promise.all(logs)).join('\n');
}

/** All that a container says from its beginning to its end, which `end` brings about; and what that answers. */
export async function lastWords<T>(pod: Pod, end: () => Promise<T>): Promise<readonly [words: string, answer: T]> {
  const { namespace = '', name } = pod.metadata;
  return await Promise.all([kubectl(['logs', '--follow', '-n', namespace, name]), end()]);
}

async function metricsOf(operators: readonly Pod[]): Promise<string> {
  const texts = operators.map(async ({ status }) => {
    const answer = await fetch(`http://${status?.podIP ?? ''}:${OPERATOR_HTTP_PORT}/metrics`);
    return await answer.text();
  });
  return (await Promise.all(texts)).join('\n');
}

/** @throws when a pod has no process: then this is not where to look for them. */
function argumentsOf(pods: readonly Pod[]): string {
  const texts = pods.flatMap((pod) => {
    const found = processesOf(pod);
    if (found.length === 0) throw new Error(`${pod.metadata.name} has no process here`);
    return found.map(tellsOf);
  });
  return texts.join('\n');
}

/** Where a core or a report of a crash would lie. @throws when a container can write its root, where a search would have no end. */
function writtenIn(pods: readonly Pod[]): string {
  const files = pods.flatMap((pod) =>
    processesOf(pod).flatMap((process) => {
      const [root, ...mounts] = mountsOf(process);
      if (root?.path !== '/' || root.writable)
        throw new Error(`${pod.metadata.name} can write ${JSON.stringify(root)}`);
      return mounts.filter(({ writable }) => writable).map(({ path }) => filesIn(process, path));
    }),
  );
  return files.join('\n');
}

function filesOf(pods: readonly Pod[], folders: readonly string[]): string {
  return pods
    .flatMap((pod) => processesOf(pod).flatMap((process) => folders.map((folder) => filesIn(process, folder))))
    .join('\n');
}

/** What the components of the cluster have logged since a moment. */
export class KubernetesLogs {
  readonly #sizes: ReadonlyMap<string, number>;

  private constructor(sizes: ReadonlyMap<string, number>) {
    this.#sizes = sizes;
  }

  static now(): KubernetesLogs {
    return new KubernetesLogs(new Map(files().map((file) => [file, statSync(file).size])));
  }

  added(): string {
    return files()
      .map((file) =>
        readFileSync(file)
          .subarray(this.#sizes.get(file) ?? 0)
          .toString('utf8'),
      )
      .join('\n');
  }
}

function files(): readonly string[] {
  const folder = dirname(layoutOf(clusterName()).auditLog);
  return readdirSync(folder).map((name) => join(folder, name));
}
