// The commands for people: explain a fleet, and see what applying a file would do. They only read.
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { parseAllDocuments } from 'yaml';
import { referencedSecrets } from './api/poolconfig.ts';
import type { PoolConfig } from './api/poolconfig.gen.ts';
import { podFacts, replicaSetFacts, secretReading, workloadFacts } from './controller/facts.ts';
import type { LivePool } from './controller/world.ts';
import { KubeClient } from './kube/client.ts';
import { RESOURCES, type LiveObject, type Resource } from './kube/resources.ts';
import { childNames, LABEL } from './model/names.ts';
import type { KubeObject } from './model/kube-object.ts';
import type { Observation } from './model/observation.ts';
import { SecretText } from './model/secret-text.ts';
import { explainPool } from './plan/explain.ts';
import { previewPool } from './plan/preview.ts';

export const POOLS = RESOURCES.PoolConfig as Resource<LivePool>;

/** Prints one PoolConfig, or all of a namespace when no name is given. Returns the exit code. */
export async function explain(name: string | undefined, namespace: string | undefined): Promise<number> {
  const client = KubeClient.fromKubeConfig();
  try {
    const [where, what] = place(name, namespace ?? client.namespace ?? 'default');
    const pools =
      what === undefined
        ? (await client.list(POOLS, { namespace: where })).items
        : [await client.find(POOLS, where, what)];
    const found = pools.filter((pool) => pool !== undefined);
    if (found.length === 0) {
      process.stderr.write(`No PoolConfig ${what ?? ''} in namespace ${where}. Name another one by --namespace.\n`);
      return 1;
    }
    process.stdout.write(found.map(explainPool).join('\n'));
    return 0;
  } finally {
    await client.close();
  }
}

/** Asks the API server to check every PoolConfig of the file (dry run: schema, rules, defaults), then plans it against what runs. */
export async function plan(file: string, namespace: string | undefined, defaultImage: string): Promise<number> {
  const client = KubeClient.fromKubeConfig();
  try {
    const source = file === '-' ? await text(process.stdin) : await readFile(file, 'utf8');
    const objects = parseAllDocuments(source)
      .map((document) => document.toJS() as PoolConfig | null)
      .filter((object) => object?.kind === 'PoolConfig') as readonly PoolConfig[];
    if (objects.length === 0) {
      process.stderr.write(`${file} holds no PoolConfig.\n`);
      return 1;
    }
    let blocked = false;
    for (const object of objects) {
      const metadata = {
        ...object.metadata,
        namespace: (object.metadata as { namespace?: string }).namespace ?? namespace ?? client.namespace ?? 'default',
      };
      const checked = (await client.apply({ ...object, metadata } as never, {
        dryRun: true,
        force: true,
        fieldManager: 'poolsmith-plan',
      })) as unknown as LivePool;
      const preview = previewPool(await observeFromApi(client, checked, defaultImage));
      process.stdout.write(`${preview.lines.join('\n')}\n`);
      blocked ||= preview.blocked;
    }
    return blocked ? 1 : 0;
  } finally {
    await client.close();
  }
}

/** `NAME` or `NAMESPACE/NAME` → namespace and name. */
export function place(name: string | undefined, namespace: string): [string, string | undefined] {
  const slash = name?.indexOf('/') ?? -1;
  return name === undefined || slash < 0 ? [namespace, name] : [name.slice(0, slash), name.slice(slash + 1)];
}

/** What the API alone tells; pods are not asked, so nothing here is a proof. */
async function observeFromApi(client: KubeClient, pool: LivePool, defaultImage: string): Promise<Observation> {
  const { name, namespace } = pool.metadata;
  const names = childNames(name);
  const selection = { namespace, labelSelector: `${LABEL.pool}=${name}` };
  const [configMap, operatorSecret, files, sets, pods, others] = await Promise.all([
    client.find(RESOURCES.ConfigMap, namespace, names.configMap),
    client.find(RESOURCES.Secret, namespace, names.operatorSecret),
    client.find(RESOURCES.Secret, namespace, names.files),
    client.list(RESOURCES.ReplicaSet, selection),
    client.list(RESOURCES.Pod, selection),
    client.list(POOLS, {}),
  ]);
  const secrets = await Promise.all(
    referencedSecrets(pool).map(
      async (secret) =>
        [secret, secretReading((await client.find(RESOURCES.Secret, namespace, secret)) ?? 'missing')] as const,
    ),
  );
  const refs = (pool.spec.workloads ?? []).map((workload) => workload.ref).filter((ref) => ref !== undefined);
  const workloads = await Promise.all(
    refs.map(async (ref) => {
      const resource = ref.kind === 'Deployment' ? RESOURCES.Deployment : RESOURCES.StatefulSet;
      const workload = await client.find(resource, namespace, ref.name);
      return workload === undefined ? [] : [[`${ref.kind}/${ref.name}`, workloadFacts(workload)] as const];
    }),
  );
  const credential = (key: string): SecretText => {
    const data = (operatorSecret?.data ?? {}) as Readonly<Record<string, string>>;
    // A new fleet has none yet; what it will be makes no difference to a preview.
    return new SecretText(
      data[key] === undefined ? 'not-made-before-the-fleet' : Buffer.from(data[key], 'base64').toString('utf8'),
    );
  };
  const children = [configMap, files].filter((child) => child !== undefined) as unknown as readonly KubeObject[];
  const sameServer = others.items.filter(
    (other: LiveObject & LivePool) =>
      other.metadata.uid !== pool.metadata.uid &&
      other.spec.server.host === pool.spec.server.host &&
      other.metadata.namespace === namespace &&
      other.metadata.name !== name,
  );
  return {
    nowMs: Date.now(),
    epoch: 0,
    pool,
    defaultImage,
    secrets: new Map(secrets),
    credentials: { adminPassword: credential('admin-password'), proofKey: credential('proof-key') },
    workloads: new Map(workloads.flat()),
    server: undefined,
    trials: [],
    children: new Map(children.map((child) => [`${child.kind}/${child.metadata.name}`, child])),
    replicaSets: sets.items.map(replicaSetFacts),
    pods: pods.items.map(podFacts),
    poolers: new Map(),
    neighbours: sameServer.map((other) => ({
      key: `${other.metadata.namespace}/${other.metadata.name}`,
      connections: other.spec.budget.connections ?? 0,
      monitored: other.spec.server.monitorSecretRef !== undefined,
    })),
  };
}
