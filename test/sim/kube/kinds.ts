// What differs from kind to kind in an API server: a status of its own, a generation, a scale subresource, defaults.
import type { JsonMap } from './json.ts';
import { refusal } from './refusal.ts';

/** The kinds whose status is a part of its own, written by `…/status` alone. */
export const WITH_STATUS = new Set([
  'PoolConfig',
  'Pod',
  'Service',
  'ReplicaSet',
  'Deployment',
  'StatefulSet',
  'PodDisruptionBudget',
  'CustomResourceDefinition',
  'Namespace',
  'Node',
]);
export const WITH_GENERATION = new Set([
  'PoolConfig',
  'Pod',
  'ReplicaSet',
  'Deployment',
  'StatefulSet',
  'PodDisruptionBudget',
  'NetworkPolicy',
  'EndpointSlice',
  'CustomResourceDefinition',
]);
/** Where the number of replicas is that the scale subresource shows. */
const SCALE: Readonly<Record<string, readonly string[]>> = {
  PoolConfig: ['spec', 'fleet', 'replicas'],
  ReplicaSet: ['spec', 'replicas'],
  Deployment: ['spec', 'replicas'],
  StatefulSet: ['spec', 'replicas'],
};

/** What a new object of a kind gets where its maker said nothing. */
export const DEFAULTS: Readonly<Record<string, JsonMap>> = { Secret: { type: 'Opaque' } };

/** What a new object of a kind has whatever its maker said. */
export const INITIAL: Readonly<Record<string, JsonMap>> = {
  Pod: { status: { phase: 'Pending' } },
  ReplicaSet: { status: { replicas: 0 } },
};

/** @throws ApiError for a kind that can't be scaled. */
export function scalePath(kind: string): readonly string[] {
  const path = SCALE[kind];
  if (path === undefined) throw refusal('notFound', `${kind} has no scale subresource`);
  return path;
}
