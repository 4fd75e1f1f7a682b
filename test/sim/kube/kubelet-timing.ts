// How long the cluster's machinery takes, in virtual milliseconds: drawn for each time it happens, after what a real cluster showed.

export type KubeletTiming = {
  /** Pod created → bound to a node. */
  readonly scheduleMs: () => number;
  /** Bound → the container's process runs, where nothing is in the way. */
  readonly startMs: () => number;
  /** Process runs → Ready; Infinity: never. */
  readonly readyMs: () => number;
  /** Something changed in a container → status says so. */
  readonly statusMs: () => number;
  /** A process ended → the kubelet knows, and starts the next one where nothing holds it back. */
  readonly noticeMs: () => number;
  /** The pod was changed, which makes the kubelet look at its volumes → the files are written. `sinceLastMs`: since they last were. */
  readonly projectionDelayMs: (sinceLastMs: number) => number;
  /** A mounted ConfigMap or Secret changed, and nothing tells the kubelet → the files are written. */
  readonly unpokedProjectionMs: () => number;
  /** Deletion asked for → the kubelet begins. */
  readonly deletionMs: () => number;
  /** The last process ended → the pod object is gone. */
  readonly cleanUpMs: () => number;
  /** A node fell silent → its pods are not Ready any more, and as much later they are deleted: node monitor grace, and toleration. */
  readonly silentNodeMs: { readonly notReady: number; readonly deleted: number };
};

/** The kubelet's next look at a pod whose change got lost: rare, and the operator has to poke again. */
const LOST_PROJECTION = { share: 0.006, minMs: 60_000, maxMs: 80_000 };

export function usualTiming(random: () => number): KubeletTiming {
  const between = (min: number, max: number): number => min + random() * (max - min);
  return {
    scheduleMs: () => between(2, 30),
    startMs: () => between(250, 1_500),
    readyMs: () => between(60, 1_200),
    statusMs: () => between(2, 120),
    noticeMs: () => between(10, 1_000),
    projectionDelayMs: (sinceLastMs) => {
      if (random() < LOST_PROJECTION.share) return between(LOST_PROJECTION.minMs, LOST_PROJECTION.maxMs);
      return sinceLastMs < 1_000 ? between(200, 1_500) : between(50, 450);
    },
    unpokedProjectionMs: () => between(1_000, 120_000),
    deletionMs: () => between(2, 100),
    cleanUpMs: () => between(50, 700),
    silentNodeMs: { notReady: 40_000, deleted: 300_000 },
  };
}
