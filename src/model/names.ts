// Every name, label, annotation, port and path by which the operator and its pods recognise each other.

export const GROUP = 'poolsmith.dev';
export const API_VERSION = `${GROUP}/v1alpha1`;
export const FIELD_MANAGER = 'poolsmith';
export const STATUS_FIELD_MANAGER = 'poolsmith-status';

export const LABEL = {
  /** The PoolConfig a child belongs to. */
  pool: `${GROUP}/pool`,
  /** Hash of the pod template that a ReplicaSet and its pods were made from. */
  template: `${GROUP}/template`,
  /** Only the Service selects on it: taking it off stops new connections without touching the pod. */
  serving: `${GROUP}/serving`,
} as const;

export const ANNOTATION = {
  /** The whole configuration of this one pod, projected into the container as live.ini. */
  live: `${GROUP}/live.ini`,
  /** What the operator granted this pod (JSON, see `Grant`). */
  grant: `${GROUP}/grant`,
  /** When and why the pod is being drained (JSON, see `DrainMark`). */
  drain: `${GROUP}/drain`,
  /** Leadership epoch of the operator that wrote boot.ini; on a pod it stands in the grant. */
  epoch: `${GROUP}/epoch`,
  /** The pod takes no new clients for a while because it has more than the others. */
  crowded: `${GROUP}/crowded`,
  /** A fresh value makes the kubelet project the pod's volumes at once. */
  nonce: `${GROUP}/nonce`,
  /** Content hash of a rendered child, to see at a glance what it was made from. */
  contentHash: `${GROUP}/content-hash`,
  /** Kubernetes' own: the ReplicaSet controller deletes the pod with the lowest cost first. */
  deletionCost: 'controller.kubernetes.io/pod-deletion-cost',
} as const;

export const POOLER_PORT = 6432;
export const CONTAINER = 'pgbouncer';

/** Folders and files inside a pooler pod. */
export const PLACE = {
  bootFolder: '/etc/poolsmith/boot',
  bootFile: '/etc/poolsmith/boot/boot.ini',
  liveFolder: '/etc/poolsmith/live',
  liveFile: '/etc/poolsmith/live/live.ini',
  secretsFolder: '/etc/poolsmith/files',
} as const;

/** Names of a PoolConfig's children; all begin with `<pool>-pooler`. */
export type ChildNames = {
  readonly service: string;
  readonly configMap: string;
  readonly disruptionBudget: string;
  /** Secret mounted into the pods: userlist and certificates, versioned by content. */
  readonly files: string;
  /** Secret that only the operator reads: the admin password and the key of the proving user. */
  readonly operatorSecret: string;
  readonly replicaSet: (templateHash: string) => string;
};

export function childNames(pool: string): ChildNames {
  const stem = `${pool}-pooler`;
  return {
    service: stem,
    configMap: stem,
    disruptionBudget: stem,
    files: `${stem}-files`,
    operatorSecret: `${stem}-operator`,
    replicaSet: (templateHash) => `${stem}-${templateHash}`,
  };
}

export function isChildName(pool: string, name: string): boolean {
  const { service, files, operatorSecret } = childNames(pool);
  return name === service || name === files || name === operatorSecret;
}
