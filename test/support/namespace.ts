// A namespace of a test's own, gone with everything in it when the test ends.
import { randomBytes } from 'node:crypto';
import { isApiError } from '../../src/kube/errors.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { until } from '../cluster/processes.ts';
import { cluster, kubectl } from './kubectl.ts';

export type NamespaceOptions = Readonly<{
  /** Beginning of the name; the rest is random. */
  prefix?: string;
  /** Lets the API server refuse pods that break the Pod Security level "restricted". */
  enforceRestricted?: boolean;
  labels?: Readonly<Record<string, string>>;
}>;

export type TestNamespace = AsyncDisposable &
  Readonly<{
    name: string;
    /** Deletes it, its pods without their grace period, and waits until it is gone. */
    remove: () => Promise<void>;
  }>;

const REMOVE_LIMIT_MS = 60_000;

/** Creates a namespace that is ready for pods (its service account exists). `KEEP=1` leaves it when it is disposed of. */
export async function createNamespace(options: NamespaceOptions = {}): Promise<TestNamespace> {
  const { prefix = 'test', enforceRestricted = false, labels = {} } = options;
  const kube = await cluster();
  const name = `${prefix}-${randomBytes(3).toString('hex')}`;
  const security = enforceRestricted ? { 'pod-security.kubernetes.io/enforce': 'restricted' } : {};
  await kube.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { ...security, ...labels } } });
  const accountPath = ['get', '--raw', `/api/v1/namespaces/${name}/serviceaccounts/default`];
  await until(`the service account of ${name}`, () => kubectl(accountPath), 20_000);
  const remove = (): Promise<void> => removeNamespace(name);
  const dispose = async (): Promise<void> => {
    if (process.env['KEEP'] === '1') console.log(`kept: namespace ${name}`);
    else await remove();
  };
  return { name, remove, [Symbol.asyncDispose]: dispose };
}

/** Deletes a namespace, whoever made it, and waits until it is gone. One that does not exist is fine. */
export async function removeNamespace(name: string): Promise<void> {
  const kube = await cluster();
  try {
    await kube.delete(RESOURCES.Namespace, undefined, name);
  } catch (error) {
    if (isApiError(error, 'notFound')) return;
    // "The system is ensuring all content is removed": somebody deleted it already.
    if (!isApiError(error, 'conflict')) throw error;
  }
  const gone = async (): Promise<true | undefined> => {
    if ((await kube.find(RESOURCES.Namespace, undefined, name)) === undefined) return true;
    const { items } = await kube.list(RESOURCES.Pod, { namespace: name });
    for (const { metadata } of items) {
      if (metadata.deletionGracePeriodSeconds === 0) continue;
      await kube.delete(RESOURCES.Pod, name, metadata.name, { gracePeriodSeconds: 0 }).catch((error: unknown) => {
        if (!isApiError(error, 'notFound', 'conflict')) throw error;
      });
    }
    return undefined;
  };
  await until(`namespace ${name} to be gone`, gone, REMOVE_LIMIT_MS, 100);
}
