// The kinds of object that a fleet consists of beside its pods: one row makes a kind followed, observed and writable.
import { RESOURCES } from '../kube/resources.ts';

/** Rendering is in src/render/children.ts, the rights are in the chart's permissions.yaml; a test compares the three. */
export const CHILD_KINDS = {
  Service: RESOURCES.Service,
  ConfigMap: RESOURCES.ConfigMap,
  Secret: RESOURCES.Secret,
  PodDisruptionBudget: RESOURCES.PodDisruptionBudget,
  ReplicaSet: RESOURCES.ReplicaSet,
} as const;

export type ChildKind = keyof typeof CHILD_KINDS;

export function isChildKind(kind: string): kind is ChildKind {
  return Object.hasOwn(CHILD_KINDS, kind);
}
