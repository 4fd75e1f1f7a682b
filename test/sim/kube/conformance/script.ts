// A script of API operations that is played on a real cluster and on the simulated one, and must be answered alike.
import type { KubeApi } from '../../../../src/kube/client.ts';
import { isApiError, type ApiErrorKind } from '../../../../src/kube/errors.ts';
import type { LiveObject, Manifest, Resource } from '../../../../src/kube/resources.ts';

/** What a script may use; one of it speaks to a real API server, one to SimApi in virtual time. */
export type Stage = {
  readonly api: KubeApi;
  /** Empty and the script's own. */
  readonly namespace: string;
  /** Of a container that does nothing until it is told to end. */
  readonly idleImage: string;
  /** Looks again and again until something is answered. @throws after 30 s */
  readonly until: <T>(what: string, look: () => Promise<T | undefined>) => Promise<T>;
  /** No more pods than this may be in the namespace, as by a ResourceQuota. */
  readonly limitPods: (count: number) => Promise<void>;
  /** The eviction subresource; false: a disruption budget forbids it now. */
  readonly evict: (pod: string) => Promise<boolean>;
};

/** `answers`: what a real cluster (Kubernetes 1.34) answered. */
export type Script = {
  readonly title: string;
  readonly answers: readonly unknown[];
  /** Notes what was answered, in words or values that are the same in every run: no names that are drawn, no versions, no times. */
  readonly play: (stage: Stage, note: (answer: unknown) => void) => Promise<void>;
};

export async function played(script: Script, stage: Stage): Promise<readonly unknown[]> {
  const notes: unknown[] = [];
  // As JSON, where `undefined` and "not there" are the same.
  await script.play(stage, (answer) => notes.push(JSON.parse(JSON.stringify(answer ?? null))));
  return notes;
}

/** The kind of error that a call ends with; `accepted` when it does not. */
export async function refusalOf(call: Promise<unknown>): Promise<ApiErrorKind | 'accepted'> {
  try {
    await call;
    return 'accepted';
  } catch (error) {
    if (isApiError(error)) return error.kind;
    throw error;
  }
}

export function configMap(
  { namespace }: Stage,
  name: string,
  data?: Readonly<Record<string, string>>,
  labels?: Readonly<Record<string, string>>,
): Manifest & { readonly data?: Readonly<Record<string, string>> } {
  const metadata = { name, namespace, ...(labels === undefined ? {} : { labels }) };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, ...(data === undefined ? {} : { data }) };
}

const LAST = 'zz-last';

/** What a watch tells from a list on, while `act` does its work: the type of each frame, and what `told` makes of its object. */
export async function framesOf<T extends LiveObject>(
  stage: Stage,
  resource: Resource<T>,
  labelSelector: string | undefined,
  act: () => Promise<unknown>,
  told: (object: T) => unknown,
): Promise<readonly unknown[]> {
  const { api, namespace } = stage;
  const selection = { namespace, ...(labelSelector === undefined ? {} : { labelSelector }) };
  const { resourceVersion } = await api.list(resource, selection);
  const stop = new AbortController();
  const frames = await api.openWatch(resource, { ...selection, resourceVersion, signal: stop.signal });
  await act();
  // The watch is of ConfigMaps: this one tells that everything before it has been told.
  const [label, value] = labelSelector?.split('=') ?? [];
  const labels = label === undefined ? undefined : { [label]: value ?? '' };
  await api.create(configMap(stage, LAST, undefined, labels));
  const seen: unknown[] = [];
  for (;;) {
    const frame = await frames.next();
    if (frame.done === true) throw new Error('the watch ended before it had told everything');
    if (frame.value.type === 'BOOKMARK') continue;
    if (frame.value.object.metadata.name === LAST) break;
    seen.push([frame.value.type, told(frame.value.object)]);
  }
  stop.abort();
  await frames.return();
  return seen;
}

/** Whether a write left the object at the version it had: then nothing was written. */
export function unchanged(before: LiveObject, after: LiveObject): boolean {
  return before.metadata.resourceVersion === after.metadata.resourceVersion;
}
