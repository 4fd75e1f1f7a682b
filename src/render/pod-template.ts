// The pod of a fleet: one pgbouncer container under Pod Security "restricted", and whatever the user's template adds.
import type { PoolConfig } from '../api/poolconfig.gen.ts';
import { drainTimes } from '../api/poolconfig.ts';
import { contentHash } from '../model/canonical.ts';
import { ANNOTATION, childNames, CONTAINER, LABEL, PLACE, POOLER_PORT } from '../model/names.ts';

/** uid of the image's `nonroot` user; the files' group, so that the container can read its Secret. */
const NONROOT = 65532;

const DEFAULT_RESOURCES = {
  requests: { cpu: '100m', memory: '64Mi' },
  limits: { memory: '256Mi' },
} as const;

/** After the drain window: time in which the operator ends what is left between transactions, while the console still answers. */
export const END_SECONDS = 5;

/** A pod template with the hash that names its ReplicaSet. */
export type PodTemplate = {
  readonly hash: string;
  readonly metadata: { readonly labels: Record<string, string>; readonly annotations?: Record<string, string> };
  readonly spec: Record<string, unknown>;
};

/**
 * Renders the pod template. Same input, same bytes: its hash decides about rollouts, so nothing that changes by itself may enter it.
 * `preStop.sleep` (KEP-3960) keeps the listener open while an evicted pod leaves the endpoints and its clients leave by themselves;
 * it needs no shell in the image.
 */
export function renderPodTemplate(pool: PoolConfig, image: string): PodTemplate {
  const name = pool.metadata.name;
  const names = childNames(name);
  const template = pool.spec.fleet?.template;
  const { windowMs, timeoutMs } = drainTimes(pool);
  const sleepSeconds = Math.ceil(windowMs / 1000) + END_SECONDS;
  const graceSeconds = Math.max(Math.ceil(timeoutMs / 1000), sleepSeconds) + END_SECONDS;
  const spec = {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: graceSeconds,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: NONROOT,
      runAsGroup: NONROOT,
      fsGroup: NONROOT,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...optional('affinity', template?.affinity),
    ...optional('nodeSelector', template?.nodeSelector),
    ...optional('tolerations', template?.tolerations),
    ...optional('priorityClassName', template?.priorityClassName),
    ...optional('imagePullSecrets', template?.imagePullSecrets),
    topologySpreadConstraints: template?.topologySpreadConstraints ?? [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { [LABEL.pool]: name } },
      },
    ],
    containers: [
      {
        name: CONTAINER,
        image,
        ...optional('imagePullPolicy', template?.imagePullPolicy),
        args: [PLACE.bootFile],
        ports: [{ name: 'postgres', containerPort: POOLER_PORT, protocol: 'TCP' }],
        resources: template?.resources ?? DEFAULT_RESOURCES,
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        // Asks for no backend: a pooler whose server is away must stay in the Service, its clients wait better than they fail.
        readinessProbe: { tcpSocket: { port: POOLER_PORT }, periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 3 },
        lifecycle: { preStop: { sleep: { seconds: sleepSeconds } } },
        volumeMounts: [
          { name: 'boot', mountPath: PLACE.bootFolder, readOnly: true },
          { name: 'live', mountPath: PLACE.liveFolder, readOnly: true },
          { name: 'files', mountPath: PLACE.secretsFolder, readOnly: true },
        ],
      },
    ],
    volumes: [
      { name: 'boot', configMap: { name: names.configMap, items: [{ key: 'boot.ini', path: 'boot.ini' }] } },
      {
        name: 'live',
        downwardAPI: {
          items: [{ path: 'live.ini', fieldRef: { fieldPath: `metadata.annotations['${ANNOTATION.live}']` } }],
        },
      },
      { name: 'files', secret: { secretName: names.files, defaultMode: 0o440 } },
    ],
  };
  const labels = { ...template?.metadata?.labels, ...commonLabels(name), [LABEL.serving]: 'true' };
  const annotations = template?.metadata?.annotations;
  const hash = contentHash({ labels, annotations, spec }, 8);
  return {
    hash,
    metadata: {
      labels: { ...labels, [LABEL.template]: hash },
      ...(annotations === undefined ? {} : { annotations: { ...annotations } }),
    },
    spec,
  };
}

/** Labels that every child carries; the recommended ones of Kubernetes and our own. */
export function commonLabels(pool: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'pgbouncer',
    'app.kubernetes.io/instance': pool,
    'app.kubernetes.io/component': 'pooler',
    'app.kubernetes.io/managed-by': 'poolsmith',
    [LABEL.pool]: pool,
  };
}

function optional(key: string, value: unknown): Record<string, unknown> {
  return value === undefined ? {} : { [key]: value };
}
