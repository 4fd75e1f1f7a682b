// Pods as the cluster's own parts read and write them.
import type { Pod } from '../../../src/kube/resources.ts';
import { isoTime } from '../../../src/model/iso-time.ts';
import type { SimObject } from './object-store.ts';

export type SimPod = SimObject & Pod;

export type PodStatus = NonNullable<Pod['status']>;
export type PodCondition = NonNullable<PodStatus['conditions']>[number];

export function asPod(object: SimObject): SimPod {
  return object;
}

export function isTerminating({ metadata }: SimObject): boolean {
  return metadata.deletionTimestamp !== undefined;
}

export function isFinished({ status }: SimPod): boolean {
  return status?.phase === 'Failed' || status?.phase === 'Succeeded';
}

export function isReady(pod: SimPod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
}

/** The controller's reference, if it has one. */
export function controllerUid({ metadata }: SimObject): string | undefined {
  return metadata.ownerReferences?.find(({ controller }) => controller === true)?.uid;
}

/** The status with a condition set; its transition time moves only with its status. */
export function withCondition(
  status: PodStatus,
  type: string,
  holds: boolean,
  nowMs: number,
  why: { readonly reason?: string; readonly message?: string } = {},
): PodStatus {
  const known = status.conditions?.find((condition) => condition.type === type);
  const text = holds ? 'True' : 'False';
  const lastTransitionTime = known?.status === text ? known.lastTransitionTime : isoTime(nowMs);
  const condition = { type, status: text, lastTransitionTime, ...why } as PodCondition;
  const others = (status.conditions ?? []).filter((other) => other.type !== type);
  return { ...status, conditions: [...others, condition] };
}

export function withReadiness(status: PodStatus, ready: boolean, nowMs: number): PodStatus {
  const conditions: readonly (readonly [string, boolean])[] = [
    ['Initialized', true],
    ['ContainersReady', ready],
    ['Ready', ready],
  ];
  return conditions.reduce((so, [type, holds]) => withCondition(so, type, holds, nowMs), status);
}

export function boundTo(pod: SimPod, nodeName: string): SimPod {
  return pod.spec === undefined ? pod : { ...pod, spec: { ...pod.spec, nodeName } };
}
