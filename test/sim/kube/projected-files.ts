// What the kubelet would write into a container's volumes now: ConfigMaps, Secrets and annotations, as the pod's spec mounts them.
import { CONTAINER } from '../../../src/model/names.ts';
import { at, type JsonMap } from './json.ts';
import type { SimPod } from './pods.ts';
import type { SimApi } from './sim-api.ts';

export type Files = ReadonlyMap<string, string>;

type Volume = {
  readonly name: string;
  readonly configMap?: { readonly name: string; readonly items?: readonly KeyToPath[]; readonly optional?: boolean };
  readonly secret?: { readonly secretName: string; readonly items?: readonly KeyToPath[]; readonly optional?: boolean };
  readonly downwardAPI?: {
    readonly items?: readonly { readonly path: string; readonly fieldRef?: { readonly fieldPath: string } }[];
  };
};
type KeyToPath = { readonly key: string; readonly path: string };

/** Path → text; `missing` names what the pod can't start without. */
export function projectedFiles(api: SimApi, pod: SimPod): Files | { readonly missing: string } {
  const files = new Map<string, string>();
  for (const { volume, folder } of mounts(pod)) {
    const contents = volumeContents(api, pod, volume);
    if ('missing' in contents) return contents;
    for (const [path, text] of contents.files) files.set(`${folder}/${path}`, text);
  }
  return files;
}

/** Whether a ConfigMap or Secret is mounted into the pod. */
export function mountsObject(pod: SimPod, kind: string, name: string): boolean {
  return mounts(pod).some(({ volume }) =>
    kind === 'ConfigMap' ? volume.configMap?.name === name : volume.secret?.secretName === name,
  );
}

function mounts({ spec }: SimPod): readonly { readonly volume: Volume; readonly folder: string }[] {
  const container = spec?.containers.find(({ name }) => name === CONTAINER);
  const volumes = (spec?.volumes ?? []) as unknown as readonly Volume[];
  return (container?.volumeMounts ?? []).flatMap(({ name, mountPath }) => {
    const volume = volumes.find((candidate) => candidate.name === name);
    return volume === undefined ? [] : [{ volume, folder: mountPath }];
  });
}

type Contents = { readonly files: readonly (readonly [string, string])[] } | { readonly missing: string };

function volumeContents(api: SimApi, pod: SimPod, { configMap, secret, downwardAPI }: Volume): Contents {
  const { namespace } = pod.metadata;
  if (configMap !== undefined) {
    const data = at(api.find('ConfigMap', namespace, configMap.name), 'data');
    const present = api.find('ConfigMap', namespace, configMap.name) !== undefined;
    return chosen(present ? ((data ?? {}) as JsonMap) : undefined, configMap, `configmap "${configMap.name}"`, String);
  }
  if (secret !== undefined) {
    const object = api.find('Secret', namespace, secret.secretName);
    const data = object === undefined ? undefined : ((object['data'] ?? {}) as JsonMap);
    return chosen(data, secret, `secret "${secret.secretName}"`, (text) =>
      Buffer.from(String(text), 'base64').toString('utf8'),
    );
  }
  const items = downwardAPI?.items ?? [];
  return { files: items.map(({ path, fieldRef }) => [path, annotation(pod, fieldRef?.fieldPath ?? '')] as const) };
}

function chosen(
  data: JsonMap | undefined,
  { items, optional = false }: { readonly items?: readonly KeyToPath[]; readonly optional?: boolean },
  what: string,
  decode: (text: unknown) => string,
): Contents {
  if (data === undefined) return optional ? { files: [] } : { missing: `${what} not found` };
  const wanted = items ?? Object.keys(data).map((key) => ({ key, path: key }));
  const absent = wanted.find(({ key }) => data[key] === undefined);
  if (absent !== undefined && !optional) return { missing: `${what} references non-existent key: ${absent.key}` };
  return { files: wanted.flatMap(({ key, path }) => (key in data ? [[path, decode(data[key])] as const] : [])) };
}

/** An annotation that is not there is an empty file. */
function annotation({ metadata }: SimPod, fieldPath: string): string {
  const name = /^metadata\.annotations\['(.*)'\]$/.exec(fieldPath)?.[1];
  if (name === undefined) throw new Error(`the simulated kubelet does not project ${fieldPath}`);
  return metadata.annotations?.[name] ?? '';
}
