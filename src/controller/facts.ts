// Raw Kubernetes objects → the few facts that planning looks at.
import { parseIso } from '../model/iso-time.ts';
import { decodeDrainMark, decodeGrant } from '../model/grant.ts';
import { ANNOTATION, CONTAINER, LABEL } from '../model/names.ts';
import type { ContainerFacts, PodFacts, ReplicaSetFacts, SecretReading } from '../model/observation.ts';
import { SecretText } from '../model/secret-text.ts';
import type { WorkloadFacts } from '../sizing/demand.ts';
import type {
  Deployment,
  LiveObject,
  Pod,
  PodDisruptionBudget,
  ReplicaSet,
  Secret,
  StatefulSet,
} from '../kube/resources.ts';

export function podFacts(pod: Pod): PodFacts {
  const { metadata, status } = pod;
  const annotations = metadata.annotations ?? {};
  const condition = (type: string) => status?.conditions?.find((entry) => entry.type === type);
  const scheduled = condition('PodScheduled');
  return {
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    ip: status?.podIP,
    template: metadata.labels?.[LABEL.template] ?? '',
    ready: condition('Ready')?.status === 'True',
    serving: metadata.labels?.[LABEL.serving] === 'true',
    createdAtMs: parseIso(metadata.creationTimestamp),
    terminatingSinceMs: terminatingSinceMs(pod),
    unschedulable: scheduled?.status === 'False' ? (scheduled.message ?? scheduled.reason) : undefined,
    finished: status?.phase === 'Failed' || status?.phase === 'Succeeded',
    container: containerFacts(pod),
    live: annotations[ANNOTATION.live],
    grant: decodeGrant(annotations[ANNOTATION.grant]),
    drain: decodeDrainMark(annotations[ANNOTATION.drain]),
    nonce: annotations[ANNOTATION.nonce],
    deletionCost: annotations[ANNOTATION.deletionCost],
    crowded: annotations[ANNOTATION.crowded] !== undefined,
  };
}

/** deletionTimestamp is when the grace period ends, not when deletion was asked for. */
function terminatingSinceMs({ metadata }: Pod): number | undefined {
  if (metadata.deletionTimestamp === undefined) return undefined;
  return parseIso(metadata.deletionTimestamp) - (metadata.deletionGracePeriodSeconds ?? 0) * 1000;
}

function containerFacts({ status }: Pod): ContainerFacts {
  const container = status?.containerStatuses?.find((entry) => entry.name === CONTAINER);
  const startedAt = container?.state?.running?.startedAt;
  const endedAt = container?.lastState?.terminated?.finishedAt;
  return {
    id: container?.containerID,
    running: container?.state?.running !== undefined,
    startedAtMs: startedAt === undefined ? undefined : parseIso(startedAt),
    restartCount: container?.restartCount ?? 0,
    waitingReason: container?.state?.waiting?.reason,
    waitingMessage: container?.state?.waiting?.message,
    lastTerminatedAtMs: endedAt === undefined ? undefined : parseIso(endedAt),
  };
}

export function replicaSetFacts({ metadata, spec, status }: ReplicaSet): ReplicaSetFacts {
  return {
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    template: metadata.labels?.[LABEL.template] ?? '',
    replicas: spec?.replicas ?? 1,
    observedReplicas: status?.replicas ?? 0,
    podTemplate: spec?.template ?? {},
    terminating: metadata.deletionTimestamp !== undefined,
    replicaFailure: replicaFailure(status?.conditions),
  };
}

/** Without the name of the pod, which is another one at each try: status would never come to rest. */
function replicaFailure(conditions: NonNullable<ReplicaSet['status']>['conditions']): string | undefined {
  const failure = conditions?.find((entry) => entry.type === 'ReplicaFailure' && entry.status === 'True');
  return (failure?.message ?? failure?.reason)?.replace(/^pods? "[^"]*" is forbidden: /, '');
}

export function secretReading(secret: Secret | 'missing'): SecretReading {
  if (secret === 'missing') return { state: 'missing' };
  const entries = Object.entries<string>((secret.data ?? {}) as Readonly<Record<string, string>>);
  return {
    state: 'present',
    data: new Map(entries.map(([key, text]) => [key, new SecretText(Buffer.from(text, 'base64').toString('utf8'))])),
  };
}

export function workloadFacts(workload: Deployment | StatefulSet): WorkloadFacts {
  const { spec, status, kind } = workload;
  const strategy = 'strategy' in (spec ?? {}) ? (spec as Deployment['spec'])?.strategy : undefined;
  return {
    kind: kind === 'StatefulSet' ? 'StatefulSet' : 'Deployment',
    specReplicas: spec?.replicas ?? 1,
    statusReplicas: status?.replicas ?? 0,
    maxSurge: strategy?.rollingUpdate?.maxSurge ?? '25%',
    recreate: strategy?.type === 'Recreate',
    template: {
      containers: (spec?.template.spec?.containers ?? []).map((container) => ({
        name: container.name,
        env: (container.env ?? []).map(({ name, value, valueFrom }) => ({
          name,
          ...(value === undefined ? {} : { value }),
          hasValueFrom: valueFrom !== undefined,
        })),
      })),
    },
  };
}

/** Keeps of a Deployment or StatefulSet what `workloadFacts` reads: a cluster may have thousands, each with a long template. */
export function projectWorkload<T extends Deployment | StatefulSet>(raw: T): T {
  const { metadata, spec, status } = raw as Deployment;
  const { name, namespace, uid, resourceVersion } = metadata;
  const containers = (spec?.template.spec?.containers ?? []).map(({ name: container, env }) => ({
    name: container,
    env,
  }));
  return {
    apiVersion: raw.apiVersion,
    kind: raw.kind,
    metadata: { name, namespace, uid, resourceVersion },
    spec: { replicas: spec?.replicas, strategy: spec?.strategy, template: { spec: { containers } } },
    status: { replicas: status?.replicas },
  } as unknown as T;
}

/** Keeps what tells whose it is and which pods it chooses. */
export function projectDisruptionBudget(raw: PodDisruptionBudget): PodDisruptionBudget {
  const { name, namespace, uid, resourceVersion, labels } = raw.metadata;
  return {
    ...{ apiVersion: raw.apiVersion, kind: raw.kind },
    metadata: { name, namespace, uid, resourceVersion, labels },
    spec: { selector: raw.spec?.selector },
  } as PodDisruptionBudget;
}

export function ownedBy(object: LiveObject, uid: string): boolean {
  return object.metadata.ownerReferences?.some((owner) => owner.uid === uid && owner.controller === true) === true;
}
