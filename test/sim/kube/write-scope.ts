// Which part of what a client sends counts, and what of an object a write leaves as it is.
import { at, frozen, isMap, omitted, sameJson, type JsonMap } from './json.ts';
import { scalePath, WITH_STATUS } from './kinds.ts';
import type { SimObject } from './object-store.ts';

export type Subresource = 'status' | 'scale' | undefined;

/** What of a written object counts at all: the status endpoint takes only status, the main one never does. */
export function scoped(manifest: JsonMap, subresource: Subresource): JsonMap {
  if (subresource === 'scale') return manifest;
  const { status, metadata } = manifest;
  if (subresource === 'status') return status === undefined ? {} : { status };
  const sent = omitted((metadata ?? {}) as JsonMap, ['resourceVersion', 'uid']);
  const body = WITH_STATUS.has(String(manifest['kind'])) ? omitted(manifest, ['status']) : manifest;
  return { ...body, metadata: sent };
}

/** What a write can't touch stays as it was. */
export function kept(live: SimObject, next: JsonMap, subresource: Subresource): SimObject {
  if (subresource === 'status') return { ...live, ...('status' in next ? { status: next['status'] } : {}) };
  const { uid, resourceVersion, generation, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds } =
    live.metadata;
  const metadata = {
    ...(next['metadata'] as SimObject['metadata']),
    uid,
    resourceVersion,
    ...(generation === undefined ? {} : { generation }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    ...(deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds }),
  };
  const { apiVersion, kind } = live;
  const status = !WITH_STATUS.has(kind)
    ? {}
    : live['status'] === undefined
      ? { status: undefined }
      : { status: live['status'] };
  return { ...next, apiVersion, kind, metadata, ...status };
}

/** The server leaves empty maps and lists of metadata, and empty data, out. */
export function tidy(object: SimObject): SimObject {
  const metadata = withoutEmpty(object.metadata, ['labels', 'annotations', 'ownerReferences', 'finalizers']);
  const rest = withoutEmpty(object, ['status', ...(['ConfigMap', 'Secret'].includes(object.kind) ? ['data'] : [])]);
  return metadata === (object.metadata as unknown) && rest === object
    ? object
    : ({ ...rest, metadata } as unknown as SimObject);
}

function withoutEmpty(value: JsonMap, keys: readonly string[]): JsonMap {
  const empty = keys.filter((key) => {
    if (!Object.hasOwn(value, key)) return false;
    const part = value[key];
    if (part === undefined || part === null) return true;
    return key !== 'status' && typeof part === 'object' && Object.keys(part).length === 0;
  });
  return omitted(value, empty);
}

export function sameSpec(a: SimObject, b: SimObject): boolean {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys) {
    if (key === 'metadata' || key === 'status' || a[key] === b[key]) continue;
    if (!sameJson(unbound(a[key]), unbound(b[key]))) return false;
  }
  return true;
}

/** Which node a pod goes to is decided beside its spec. */
function unbound(spec: unknown): unknown {
  return isMap(spec) ? omitted(spec, ['nodeName']) : spec;
}

/** Secrets take text in stringData and keep it encoded in data. */
export function withEncodedStrings(manifest: JsonMap): JsonMap {
  const { stringData, ...rest } = manifest;
  if (!isMap(stringData)) return manifest;
  const encoded = Object.entries(stringData).map(([name, text]) => [
    name,
    Buffer.from(String(text)).toString('base64'),
  ]);
  return { ...rest, data: { ...(rest['data'] as JsonMap | undefined), ...(Object.fromEntries(encoded) as JsonMap) } };
}

export function inScale(live: SimObject, given: JsonMap, subresource: Subresource): JsonMap {
  if (subresource !== 'scale') return given;
  const replicas = at(given, 'spec', 'replicas');
  if (replicas === undefined) return {};
  return [...scalePath(live.kind)].reverse().reduce<unknown>((inner, key) => ({ [key]: inner }), replicas) as JsonMap;
}

export function scaleOf(object: SimObject): SimObject {
  const { name, namespace, uid, resourceVersion } = object.metadata;
  return frozen({
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid, resourceVersion },
    spec: { replicas: at(object, ...scalePath(object.kind)) },
    status: { replicas: at(object, 'status', 'replicas') ?? 0 },
  });
}
