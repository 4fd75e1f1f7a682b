// The kinds this operator talks about: one typed table, and the path of each in the API.
import type {
  V1ConfigMap,
  V1CustomResourceDefinition,
  V1Deployment,
  V1EndpointSlice,
  V1Lease,
  V1Namespace,
  V1NetworkPolicy,
  V1Node,
  V1Pod,
  V1PodDisruptionBudget,
  V1ReplicaSet,
  V1Secret,
  V1Service,
  V1StatefulSet,
  EventsV1Event,
} from '@kubernetes/client-node';
import type { ObjectMeta } from '../model/kube-object.ts';

/** What is sent to the API. */
export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
};

/** What the API returns: an object that exists, or existed. */
export type LiveObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta & { readonly uid: string; readonly resourceVersion: string };
};

/** The JSON behind a type of the generated client: that client turns timestamps into Date, the API sends text. */
type Json<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? readonly Json<Item>[]
    : T extends object
      ? { readonly [Key in keyof T]: Json<T[Key]> }
      : T;

type Live<T> = LiveObject & Json<Omit<T, 'apiVersion' | 'kind' | 'metadata'>>;

export type Pod = Live<V1Pod>;
export type Service = Live<V1Service>;
export type ConfigMap = Live<V1ConfigMap>;
export type Secret = Live<V1Secret>;
export type ReplicaSet = Live<V1ReplicaSet>;
export type Deployment = Live<V1Deployment>;
export type StatefulSet = Live<V1StatefulSet>;
export type PodDisruptionBudget = Live<V1PodDisruptionBudget>;
export type NetworkPolicy = Live<V1NetworkPolicy>;
export type Lease = Live<V1Lease>;
export type KubeEvent = Live<EventsV1Event>;
export type EndpointSlice = Live<V1EndpointSlice>;
export type CustomResourceDefinition = Live<V1CustomResourceDefinition>;
export type Namespace = Live<V1Namespace>;
export type Node = Live<V1Node>;

/** A kind, and the type of its objects. The caller may name a narrower or wider type where the table's does not fit. */
export type Resource<T extends LiveObject = LiveObject> = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Never set: carries T for the compiler. */
  objectType?(object: T): void;
};

const namespaced = <T extends LiveObject>(apiVersion: string, kind: string, plural: string): Resource<T> => ({
  apiVersion,
  kind,
  plural,
  namespaced: true,
});
const clusterWide = <T extends LiveObject>(apiVersion: string, kind: string, plural: string): Resource<T> => ({
  apiVersion,
  kind,
  plural,
  namespaced: false,
});

export const RESOURCES = {
  PoolConfig: namespaced('poolsmith.dev/v1alpha1', 'PoolConfig', 'poolconfigs'),
  Pod: namespaced<Pod>('v1', 'Pod', 'pods'),
  Service: namespaced<Service>('v1', 'Service', 'services'),
  ConfigMap: namespaced<ConfigMap>('v1', 'ConfigMap', 'configmaps'),
  Secret: namespaced<Secret>('v1', 'Secret', 'secrets'),
  ReplicaSet: namespaced<ReplicaSet>('apps/v1', 'ReplicaSet', 'replicasets'),
  Deployment: namespaced<Deployment>('apps/v1', 'Deployment', 'deployments'),
  StatefulSet: namespaced<StatefulSet>('apps/v1', 'StatefulSet', 'statefulsets'),
  PodDisruptionBudget: namespaced<PodDisruptionBudget>('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
  NetworkPolicy: namespaced<NetworkPolicy>('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies'),
  Lease: namespaced<Lease>('coordination.k8s.io/v1', 'Lease', 'leases'),
  Event: namespaced<KubeEvent>('events.k8s.io/v1', 'Event', 'events'),
  EndpointSlice: namespaced<EndpointSlice>('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices'),
  CustomResourceDefinition: clusterWide<CustomResourceDefinition>(
    'apiextensions.k8s.io/v1',
    'CustomResourceDefinition',
    'customresourcedefinitions',
  ),
  Namespace: clusterWide<Namespace>('v1', 'Namespace', 'namespaces'),
  Node: clusterWide<Node>('v1', 'Node', 'nodes'),
} as const;

const BY_KIND: ReadonlyMap<string, Resource> = new Map(
  Object.values(RESOURCES).map((resource) => [`${resource.apiVersion}/${resource.kind}`, resource]),
);

/** The table's entry for an object. Throws for a kind that is not in the table. */
export function resourceOf(object: Pick<Manifest, 'apiVersion' | 'kind'>): Resource {
  const resource = BY_KIND.get(`${object.apiVersion}/${object.kind}`);
  if (resource === undefined) {
    throw new Error(`while looking up a kind: ${object.apiVersion} ${object.kind} is not in the table of resources`);
  }
  return resource;
}

/** The path of a collection (all namespaces when none is given), of an object in it, or of its subresource. */
export function resourcePath(resource: Resource, namespace?: string, name?: string, subresource?: string): string {
  const group = resource.apiVersion.includes('/') ? `/apis/${resource.apiVersion}` : `/api/${resource.apiVersion}`;
  const scope = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  if (namespace !== undefined && !resource.namespaced) {
    throw new Error(`while building a path: ${resource.kind} has no namespace, but ${namespace} was given`);
  }
  if (name !== undefined && namespace === undefined && resource.namespaced) {
    throw new Error(`while building a path: ${resource.kind} ${name} needs a namespace`);
  }
  const rest = [name, subresource].filter((part) => part !== undefined).map((part) => `/${encodeURIComponent(part)}`);
  return `${group}${scope}/${resource.plural}${rest.join('')}`;
}

/** `namespace/name`, or the bare name where there is no namespace. */
export function objectKey({ metadata }: Pick<Manifest, 'metadata'>): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}
