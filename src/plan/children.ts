// Which of the fleet's own objects have to be written: the mounted files, boot.ini, the Service and the disruption budget.
import { contentHash } from '../model/canonical.ts';
import type { KubeObject } from '../model/kube-object.ts';
import { ANNOTATION, childNames, PLACE } from '../model/names.ts';
import type { Observation } from '../model/observation.ts';
import type { Action } from '../model/plan.ts';
import { filesOf } from '../model/pooler-model.ts';
import { SecretText } from '../model/secret-text.ts';
import { renderBootConfigMap, renderFilesSecret, STATIC_CHILDREN } from '../render/children.ts';
import { covers, sameData } from '../render/covers.ts';
import { renderIni } from '../render/ini.ts';
import type { PodState } from './pod-state.ts';
import type { ProvedRecord } from './proved-record.ts';

export type StoredFiles = {
  /** Name → text in base64. */
  readonly data: Readonly<Record<string, string>>;
  readonly names: ReadonlySet<string>;
  readonly writtenAtMs: number;
};

/** The mounted Secret as it is stored. */
export function storedFiles(observation: Observation): StoredFiles {
  const live = observation.children.get(`Secret/${childNames(observation.pool.metadata.name).files}`);
  const data = (live?.['data'] as Record<string, string> | undefined) ?? {};
  return {
    data,
    names: new Set(Object.keys(data)),
    writtenAtMs: Number(live?.metadata.annotations?.[WRITTEN_AT] ?? 0),
  };
}

const WRITTEN_AT = 'poolsmith.dev/written-at-ms';

/** Adds the files that a new model names; a former version stays as long as boot.ini or a pod's live.ini names it. */
export function planFiles(
  observation: Observation,
  files: ReadonlyMap<string, SecretText>,
  record: ProvedRecord | undefined,
): readonly Action[] {
  const name = childNames(observation.pool.metadata.name).files;
  const live = observation.children.get(`Secret/${name}`);
  const data = (live?.['data'] as Record<string, string> | undefined) ?? {};
  const named = (file: string): boolean =>
    (record !== undefined && filesOf(record.model).includes(file)) ||
    observation.pods.some((pod) => pod.live?.includes(`/${file}`) === true);
  const kept = Object.entries(data).flatMap(([file, text]) =>
    files.has(file) || !named(file)
      ? []
      : [[file, new SecretText(Buffer.from(text, 'base64').toString('utf8'))] as const],
  );
  const rendered = renderFilesSecret(observation.pool, new Map([...kept, ...files]));
  if (live !== undefined && sameData(data, rendered['data']) && covers(live, rendered)) return [];
  const { metadata } = rendered;
  const object = inVersionOf(live, {
    ...rendered,
    metadata: { ...metadata, annotations: { [WRITTEN_AT]: String(observation.nowMs) } },
  });
  const added = [...files.keys()].filter((file) => data[file] === undefined);
  return [
    {
      kind: 'applyChild',
      object,
      why: added.length > 0 ? `new file ${added.join(', ')}` : `Secret ${name} is not as it should be`,
    },
  ];
}

/** The hash of boot.ini as it is stored; empty while there is none. */
export function storedBootHash(observation: Observation): string {
  const live = observation.children.get(`ConfigMap/${childNames(observation.pool.metadata.name).configMap}`);
  const data = live?.['data'] as Record<string, string> | undefined;
  return data?.['boot.ini'] === undefined ? '' : contentHash(data['boot.ini']);
}

/** The epoch of the leader that wrote boot.ini as it is stored; undefined where there is no boot.ini, or nobody's mark on it. */
export function bootEpoch({ children, pool }: Observation): number | undefined {
  const live = children.get(`ConfigMap/${childNames(pool.metadata.name).configMap}`);
  const mark = Number(live?.metadata.annotations?.[ANNOTATION.epoch]);
  return Number.isSafeInteger(mark) ? mark : undefined;
}

export function planBoot(observation: Observation, record: ProvedRecord, why: string): readonly Action[] {
  const live = observation.children.get(`ConfigMap/${childNames(observation.pool.metadata.name).configMap}`);
  const ini = renderIni(record.model, record.floors, { secretsFolder: PLACE.secretsFolder });
  const { epoch } = observation;
  const object = renderBootConfigMap(observation.pool, { iniText: ini.text, record, epoch });
  const same = live !== undefined && sameData(live['data'], object['data']);
  if (same && covers(live, object)) return [];
  const marks = same && bootEpoch(observation) !== epoch;
  return [
    {
      kind: 'applyChild',
      object: inVersionOf(live, object),
      why: marks ? `the leader of epoch ${epoch} puts its mark on boot.ini` : why,
    },
  ];
}

/**
 * A child with the precondition of writing it, where it exists: a leader that was halted in between must not put back what its successor has
 * replaced, as floors in boot.ini that are no longer affordable.
 */
function inVersionOf(live: KubeObject | undefined, object: KubeObject): KubeObject {
  const resourceVersion = live?.metadata.resourceVersion;
  return resourceVersion === undefined ? object : { ...object, metadata: { ...object.metadata, resourceVersion } };
}

export function planStaticChildren(observation: Observation): readonly Action[] {
  const { pool, budgetsOfOthers = [] } = observation;
  const standsAside = budgetsOfOthers.length > 0;
  return STATIC_CHILDREN.map((render) => render(pool, { standsAside })).flatMap((object): readonly Action[] => {
    const live = observation.children.get(`${object.kind}/${object.metadata.name}`);
    if (live !== undefined && covers(live, object)) return [];
    const why = staticWhy(object, live, budgetsOfOthers);
    return [{ kind: 'applyChild', object: inVersionOf(live, object), why }];
  });
}

export const STANDS_ASIDE = 'stands aside for';

function staticWhy(
  { kind, metadata: { name } }: KubeObject,
  live: KubeObject | undefined,
  budgetsOfOthers: readonly string[],
): string {
  if (kind === 'PodDisruptionBudget' && budgetsOfOthers.length > 0)
    return `${kind} ${name} ${STANDS_ASIDE} ${budgetsOfOthers.join(', ')}: no pod that two of them choose can be evicted`;
  return live === undefined ? `${kind} ${name} is missing` : `${kind} ${name} was changed`;
}

/** Children of ours by name that belong to somebody else: nothing of them is touched. */
export function foreignChildren(observation: Observation): readonly string[] {
  const uid = observation.pool.metadata.uid;
  return [...observation.children]
    .filter(([, object]) => object.metadata.ownerReferences?.some((owner) => owner.uid === uid) !== true)
    .map(([key]) => key.replace('/', ' '));
}

/** Pods that can't come to rest by themselves: ended for good, or in a container that keeps dying. */
export function planReplacements(observation: Observation, states: readonly PodState[]): readonly Action[] {
  return states.flatMap(({ pod, phase }): readonly Action[] => {
    if (pod.terminatingSinceMs !== undefined) return [];
    const deletion = { kind: 'deletePod', name: pod.name, uid: pod.uid, resourceVersion: pod.resourceVersion } as const;
    if (pod.finished) return [{ ...deletion, why: `${pod.name} has ended and will not start again` }];
    const settled = observation.nowMs - pod.createdAtMs > MIN_AGE_MS;
    if (phase !== 'Terminating' && isCrashLooping(pod.container) && settled) {
      return [
        {
          ...deletion,
          why: `the container of ${pod.name} died twice within ten minutes: a new pod starts sooner than the back-off ends`,
        },
      ];
    }
    return [];
  });
}

/** Younger pods are left to the kubelet's back-off: a fleet that can't run must not be created over and over. */
export const MIN_AGE_MS = 30_000;

/** The kubelet backs off from the second death within ten minutes on. */
export function isCrashLooping(container: {
  readonly waitingReason: string | undefined;
  readonly restartCount: number;
}): boolean {
  return container.waitingReason === 'CrashLoopBackOff' && container.restartCount >= 1;
}
