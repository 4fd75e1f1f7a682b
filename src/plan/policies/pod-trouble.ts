// Why a pod does not come up, in the words of what Kubernetes and PgBouncer say about it.
import type { Finding } from '../../model/finding.ts';
import { parseIso } from '../../model/iso-time.ts';
import type { Observation } from '../../model/observation.ts';
import { isCrashLooping } from '../children.ts';
import type { PodState } from '../pod-state.ts';

type Trouble = Pick<Finding, 'reason' | 'message'>;

/** A pod that takes longer than this to become ready is worth a word. */
const SLOW_START_MS = 20_000;
const SLOW_PROOF_MS = 10_000;

const IMAGE_REASONS: readonly string[] = [
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'RegistryUnavailable',
];

export function podTrouble(states: readonly PodState[], observation: Observation): Trouble | undefined {
  const failing = observation.replicaSets.find(
    (set) => set.replicaFailure !== undefined && set.replicas > set.observedReplicas,
  );
  for (const state of states) {
    if (state.phase === 'Terminating') continue;
    const trouble =
      imageTrouble(state) ?? crashTrouble(state) ?? schedulingTrouble(state) ?? readinessTrouble(state, observation);
    if (trouble !== undefined) return trouble;
  }
  if (failing === undefined) return undefined;
  return {
    reason: 'PodCreationFailed',
    message: `The namespace refuses the pods of ReplicaSet ${failing.name}: ${shortened(failing.replicaFailure)}. Change that quota or policy.`,
  };
}

function imageTrouble({ pod }: PodState): Trouble | undefined {
  const reason = pod.container.waitingReason;
  if (reason === undefined || !IMAGE_REASONS.includes(reason)) return undefined;
  // Kubernetes' words change between tries (ErrImagePull, ImagePullBackOff); the name of the image does not.
  const image = /image "([^"]{1,200})"/.exec(pod.container.waitingMessage ?? '')?.[1];
  return {
    reason: 'ImagePullFailed',
    message: `The image${image === undefined ? '' : ` ${image}`} of ${pod.name} can't be pulled. Check spec.pooler.image, and spec.fleet.template.imagePullSecrets for a private registry.`,
  };
}

function crashTrouble({ pod }: PodState): Trouble | undefined {
  if (!isCrashLooping(pod.container)) return undefined;
  return {
    reason: 'CrashLooping',
    message: `The container of ${pod.name} died twice within ten minutes; the pod is replaced. Look at its previous log, and at its memory limit.`,
  };
}

function schedulingTrouble({ pod }: PodState): Trouble | undefined {
  if (pod.unschedulable === undefined) return undefined;
  return {
    reason: 'PodUnschedulable',
    message: `${pod.name} finds no node: ${shortened(pod.unschedulable)}. Check resources, nodeSelector, affinity and tolerations in spec.fleet.template.`,
  };
}

function readinessTrouble(state: PodState, { nowMs, pool }: Observation): Trouble | undefined {
  const { pod, unproved, reading } = state;
  const { startedAtMs = 0, lastTerminatedAtMs = 0 } = pod.container;
  const ageMs = nowMs - Math.max(pod.createdAtMs, startedAtMs, lastTerminatedAtMs);
  if (!pod.ready && ageMs > SLOW_START_MS) {
    const waiting = pod.container.waitingReason === undefined ? '' : ` (${pod.container.waitingReason})`;
    return {
      reason: 'PodNotReady',
      message: `${pod.name} is not ready after ${Math.floor(SLOW_START_MS / 1000)} s${waiting}. Look at its events and log.`,
    };
  }
  // A process that hangs still has its connections accepted by the kernel, so that Kubernetes goes on calling the pod ready.
  const ready = pool.status?.conditions?.find((condition) => condition.type === 'Ready');
  const unreadyMs = ready?.status === 'False' ? nowMs - parseIso(ready.lastTransitionTime) : 0;
  if (reading?.ok === false && pod.grant !== undefined && unreadyMs > SLOW_PROOF_MS) {
    return {
      reason: 'PodNotReady',
      message: `The admin console of ${pod.name} does not answer (${reading.fault}). Look at its events and log.`,
    };
  }
  if (unproved?.kind === 'refused' && nowMs - (pod.grant?.atMs ?? nowMs) > 3_000) {
    return {
      reason: 'ConfigRefused',
      message: `PgBouncer in ${pod.name} refuses its configuration: ${unproved.message}`,
    };
  }
  if (unproved?.kind === 'mismatch' && nowMs - (pod.grant?.atMs ?? nowMs) > SLOW_PROOF_MS) {
    const [first] = unproved.mismatches;
    return {
      reason: 'ConfigRefused',
      message: `${pod.name} runs with ${first?.key ?? '?'} = "${first?.got ?? 'nothing'}" instead of "${first?.want ?? '?'}".`,
    };
  }
  return undefined;
}

/** Words of Kubernetes' own, which can be as long as it likes. */
function shortened(text = ''): string {
  const plain = text.replace(/[.\s]+$/, '');
  return plain.length > 300 ? `${plain.slice(0, 299)}…` : plain;
}
