// What of a PoolConfig a rollout is about: the pods' template as it is and as it is wanted, compared in the user's own terms.
import { LABEL } from '../model/names.ts';
import type { PodTemplateFacts, ReplicaSetFacts } from '../model/observation.ts';
import { sameData } from '../render/covers.ts';
import { commonLabels, END_SECONDS, type PodTemplate } from '../render/pod-template.ts';

type Aspect = {
  readonly field: string;
  readonly of: (template: Template) => unknown;
  /** The API server fills it in where it is left out, so its absence says nothing. */
  readonly defaulted?: true;
};

/** The parts of a pod template that a PoolConfig decides; a field of `fleet.template` that is new is a row here. */
const ASPECTS: readonly Aspect[] = [
  { field: 'pooler.image', of: ({ container }) => container['image'] },
  { field: 'fleet.drain.window', of: ({ container }) => seconds(sleepSeconds(container)) },
  { field: 'fleet.drain.timeout', of: ({ spec }) => seconds(spec['terminationGracePeriodSeconds']) },
  ...[
    'affinity',
    'nodeSelector',
    'tolerations',
    'priorityClassName',
    'imagePullSecrets',
    'topologySpreadConstraints',
  ].map((key): Aspect => ({ field: `fleet.template.${key}`, of: ({ spec }) => spec[key] })),
  { field: 'fleet.template.imagePullPolicy', of: ({ container }) => container['imagePullPolicy'], defaulted: true },
  { field: 'fleet.template.resources', of: ({ container }) => container['resources'] },
  { field: 'fleet.template.metadata.labels', of: ({ labels }) => labels },
  { field: 'fleet.template.metadata.annotations', of: ({ annotations }) => annotations },
];

type Template = {
  readonly spec: Readonly<Record<string, unknown>>;
  readonly container: Readonly<Record<string, unknown>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
};

/**
 * One text for each difference, as `pooler.image a → b`; an object is only named. Empty when the two are the same in all that a PoolConfig
 * decides: then the difference is the operator's own.
 */
export function templateChanges(live: PodTemplateFacts, wanted: PodTemplateFacts): readonly string[] {
  const [before, after] = [read(live), read(wanted)];
  return ASPECTS.flatMap(({ field, of, defaulted }) => {
    const [was, is] = [of(before), of(after)];
    if (is === undefined ? was === undefined || defaulted === true : sameData(was, is)) return [];
    return [isPlain(was) && isPlain(is) ? `${field} ${was ?? '(none)'} → ${is ?? '(none)'}` : field];
  });
}

/** `: pooler.image a → b`, against the former ReplicaSet that has most of the pods; empty where there is nothing to tell. */
export function whatChanges(replicaSets: readonly ReplicaSetFacts[], wanted: PodTemplate): string {
  const [largest] = replicaSets
    .filter((set) => !set.terminating && set.template !== wanted.hash)
    .sort((a, b) => b.replicas - a.replicas);
  const changes = largest === undefined ? [] : templateChanges(largest.podTemplate, wanted);
  return changes.length === 0 ? '' : `: ${changes.join(', ')}`;
}

function read({ metadata, spec = {} }: PodTemplateFacts): Template {
  const [container = {}] = (spec['containers'] ?? []) as readonly Readonly<Record<string, unknown>>[];
  const own = new Set([...Object.keys(commonLabels('')), LABEL.serving, LABEL.template]);
  const labels = Object.entries(metadata?.labels ?? {}).filter(([key]) => !own.has(key));
  return { spec, container, labels: Object.fromEntries(labels), annotations: metadata?.annotations ?? {} };
}

function sleepSeconds(container: Readonly<Record<string, unknown>>): unknown {
  const { preStop } = (container['lifecycle'] ?? {}) as {
    readonly preStop?: { readonly sleep?: { seconds?: number } };
  };
  return preStop?.sleep?.seconds;
}

/** As it was declared: the template has both with the time to end what is left. */
function seconds(value: unknown): string | undefined {
  return typeof value === 'number' ? `${value - END_SECONDS}s` : undefined;
}

function isPlain(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string';
}
