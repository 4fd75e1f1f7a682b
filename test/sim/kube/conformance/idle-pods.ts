// Pods for the scripts: they idle until they are told to end, and then linger as long as a script wants to look at them.
import type { Manifest } from '../../../../src/kube/resources.ts';
import { CONTAINER } from '../../../../src/model/names.ts';
import type { Stage } from './script.ts';

export const IDLE_LABELS = { app: 'idle' };

export type IdleOptions = {
  /** Stays so long after its deletion: preStop sleep. */
  readonly lingerSeconds?: number;
  readonly graceSeconds?: number;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  /** Words for the container, which then says them and ends. */
  readonly args?: readonly string[];
};

function podSpec(image: string, { lingerSeconds, graceSeconds = 5, nodeSelector, args }: IdleOptions) {
  return {
    terminationGracePeriodSeconds: graceSeconds,
    automountServiceAccountToken: false,
    ...(nodeSelector === undefined ? {} : { nodeSelector }),
    containers: [
      {
        name: CONTAINER,
        image,
        imagePullPolicy: 'IfNotPresent',
        ...(args === undefined ? {} : { args }),
        ...(lingerSeconds === undefined ? {} : { lifecycle: { preStop: { sleep: { seconds: lingerSeconds } } } }),
      },
    ],
  };
}

export function idlePod({ namespace, idleImage }: Stage, name: string, options: IdleOptions = {}): Manifest {
  const metadata = { name, namespace, labels: IDLE_LABELS };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: podSpec(idleImage, options) };
  return pod;
}

export function idleSet({ namespace, idleImage }: Stage, replicas: number, options: IdleOptions = {}): Manifest {
  const set = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'idle', namespace },
    spec: {
      replicas,
      selector: { matchLabels: IDLE_LABELS },
      template: { metadata: { labels: IDLE_LABELS }, spec: podSpec(idleImage, options) },
    },
  };
  return set;
}
