// Label and field selectors as text, as far as the operator writes them: `a`, `!a`, `a=b`, `a!=b`, joined by commas.
import type { LiveObject } from '../../../src/kube/resources.ts';
import type { Selection } from '../../../src/kube/client.ts';

export type Matches = (object: LiveObject) => boolean;

type Requirement = (labels: Readonly<Record<string, string>>) => boolean;

const KNOWN = new Map<string, readonly Requirement[]>();

/** Whether an object is in a collection. Throws for a field selector that the real server would not know for every kind. */
export function selects({ namespace, labelSelector = '', fieldSelector = '' }: Selection): Matches {
  const requirements = parseLabels(labelSelector);
  const fields = fieldSelector === '' ? [] : fieldSelector.split(',').map(parseField);
  return ({ metadata }) => {
    if (namespace !== undefined && metadata.namespace !== namespace) return false;
    const labels = metadata.labels ?? {};
    return requirements.every((holds) => holds(labels)) && fields.every(([name, value]) => metadata[name] === value);
  };
}

/** The selector of a ReplicaSet, Service or disruption budget: labels that must all be there with that value. */
export function hasLabels(object: LiveObject, wanted: Readonly<Record<string, string>>): boolean {
  const labels = object.metadata.labels ?? {};
  return Object.entries(wanted).every(([name, value]) => labels[name] === value);
}

function parseLabels(text: string): readonly Requirement[] {
  let parsed = KNOWN.get(text);
  if (parsed === undefined) {
    parsed = text === '' ? [] : text.split(',').map(parseRequirement);
    KNOWN.set(text, parsed);
  }
  return parsed;
}

function parseRequirement(text: string): Requirement {
  const unequal = /^([^=!]+)!=(.*)$/.exec(text);
  if (unequal !== null) return (labels) => labels[unequal[1] ?? ''] !== unequal[2];
  const equal = /^([^=!]+)==?(.*)$/.exec(text);
  if (equal !== null) return (labels) => labels[equal[1] ?? ''] === equal[2];
  if (text.startsWith('!')) return (labels) => !Object.hasOwn(labels, text.slice(1));
  return (labels) => Object.hasOwn(labels, text);
}

function parseField(text: string): readonly ['name' | 'namespace', string] {
  const match = /^metadata\.(name|namespace)==?(.+)$/.exec(text);
  if (match === null) throw new Error(`the simulated API server has no field selector ${text}`);
  return [match[1] as 'name' | 'namespace', match[2] ?? ''];
}
