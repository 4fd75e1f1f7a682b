// The Kubernetes objects of a fleet, beside its pods: ConfigMap, Secret, Service, disruption budget and ReplicaSets.
import type { PoolConfig } from '../api/poolconfig.gen.ts';
import { canonicalJson } from '../model/canonical.ts';
import type { KubeObject, OwnerReference } from '../model/kube-object.ts';
import { ANNOTATION, API_VERSION, childNames, LABEL } from '../model/names.ts';
import type { SecretText } from '../model/secret-text.ts';
import { commonLabels, type PodTemplate } from './pod-template.ts';

/** The last proved configuration as it is kept in the ConfigMap: what new pods boot with and what a refused change goes back to. */
export type BootFile = {
  readonly iniText: string;
  readonly record: object;
  /** Leadership epoch of who writes it: a halted leader's write does not pass the version that its successor has marked. */
  readonly epoch: number;
};

/** The text of a record, made once for each. */
const RECORD_TEXTS = new WeakMap<object, string>();

function recordText(record: object): string {
  const text = RECORD_TEXTS.get(record) ?? canonicalJson(record);
  RECORD_TEXTS.set(record, text);
  return text;
}

export function renderBootConfigMap(pool: PoolConfig, boot: BootFile): KubeObject {
  return {
    ...head(pool, 'v1', 'ConfigMap', childNames(pool.metadata.name).configMap, {
      [ANNOTATION.epoch]: String(boot.epoch),
    }),
    data: { 'boot.ini': boot.iniText, 'proved.json': recordText(boot.record) },
  };
}

/** `files`: name (versioned by content) → text. An own copy, so that a deleted user Secret can't keep a replacement pod from starting. */
export function renderFilesSecret(pool: PoolConfig, files: ReadonlyMap<string, SecretText>): KubeObject {
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...head(pool, 'v1', 'Secret', childNames(pool.metadata.name).files),
    type: 'Opaque',
    data: Object.fromEntries(
      sorted.map(([name, text]) => [name, Buffer.from(text.reveal(), 'utf8').toString('base64')]),
    ),
  };
}

export function renderService(pool: PoolConfig): KubeObject {
  const service = pool.spec.service;
  const type = service?.type ?? 'ClusterIP';
  return {
    ...head(pool, 'v1', 'Service', childNames(pool.metadata.name).service, service?.annotations),
    spec: {
      type,
      sessionAffinity: service?.sessionAffinity ?? 'None',
      selector: { [LABEL.pool]: pool.metadata.name, [LABEL.serving]: 'true' },
      ports: [{ name: 'postgres', port: service?.port ?? 5432, targetPort: 'postgres', protocol: 'TCP' }],
    },
  };
}

/**
 * AlwaysAllow: a pod that does not serve anyway must never block a node drain (KEP-3017). It chooses nobody where somebody else's chooses these pods:
 * Kubernetes refuses to evict a pod that two of them choose.
 */
export function renderDisruptionBudget(pool: PoolConfig, { standsAside }: StaticFacts): KubeObject {
  return {
    ...head(pool, 'policy/v1', 'PodDisruptionBudget', childNames(pool.metadata.name).disruptionBudget),
    spec: {
      maxUnavailable: 1,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: { [LABEL.pool]: standsAside ? NOBODY : pool.metadata.name } },
    },
  };
}

/** No pod's label is empty. */
const NOBODY = '';

export type StaticFacts = {
  /** A disruption budget of somebody else chooses pods of the fleet. */
  readonly standsAside: boolean;
};

/** Children that follow from the PoolConfig and little else; a new one is a row here. */
export const STATIC_CHILDREN: readonly ((pool: PoolConfig, facts: StaticFacts) => KubeObject)[] = [
  renderService,
  renderDisruptionBudget,
];

/** A ReplicaSet of one template. Its replicas are set once here and afterwards moved by the planner, never by a second apply. */
export function renderReplicaSet(pool: PoolConfig, template: PodTemplate, replicas: number): KubeObject {
  const base = head(pool, 'apps/v1', 'ReplicaSet', childNames(pool.metadata.name).replicaSet(template.hash));
  return {
    ...base,
    metadata: { ...base.metadata, labels: { ...base.metadata.labels, [LABEL.template]: template.hash } },
    spec: {
      replicas,
      selector: { matchLabels: { [LABEL.pool]: pool.metadata.name, [LABEL.template]: template.hash } },
      template: { metadata: template.metadata, spec: template.spec },
    },
  };
}

export function ownerReference(pool: PoolConfig): OwnerReference {
  return {
    apiVersion: API_VERSION,
    kind: 'PoolConfig',
    name: pool.metadata.name,
    uid: pool.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}

export function head(
  pool: PoolConfig,
  apiVersion: string,
  kind: string,
  name: string,
  annotations?: Readonly<Record<string, string>>,
): KubeObject {
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace: pool.metadata.namespace,
      labels: commonLabels(pool.metadata.name),
      ...(annotations === undefined ? {} : { annotations }),
      ownerReferences: [ownerReference(pool)],
    },
  };
}
