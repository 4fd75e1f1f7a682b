// Reads the Puma side of the sum, workers and threads, from what a pod template says literally.

/** A whole number, or the environment variable that holds it and the number to take where the variable says nothing usable. */
export type Count =
  | { readonly integer: number }
  | { readonly env: string; readonly default: number; readonly container?: string | undefined };

/** The containers of a pod template in their order; init containers, sidecars among them, are left out by whoever reads it. */
export type PodTemplateFacts = { readonly containers: readonly ContainerFacts[] };
export type ContainerFacts = { readonly name: string; readonly env: readonly EnvFacts[] };
export type EnvFacts = { readonly name: string; readonly value?: string | undefined; readonly hasValueFrom: boolean };

/** What is counted decides what a zero means: Puma's `workers 0` is one process, `threads 0` means nothing. */
export type CountRole = 'workers' | 'threads';

export type ResolvedCount = {
  readonly value: number;
  readonly source: 'spec' | 'env' | 'default';
  /** A sentence for status, where the number is not simply the one that was written. */
  readonly note?: string;
};

/** Numbers above this are typing errors; bounding each factor keeps the product an exact integer. */
export const COUNT_LIMIT = 10_000;

/**
 * The number of workers or threads (≥ 1, ≤ COUNT_LIMIT). Only literal values count, as a controller sees no other: a value taken
 * from elsewhere, a missing one, `auto` or any text that is no plain decimal integer gives the declared default, and a note says so.
 */
export function resolveCount(count: Count, template: PodTemplateFacts, role: CountRole): ResolvedCount {
  if ('integer' in count) return bounded(count.integer, 'spec', [], role);

  const found = literalValue(count.env, count.container, template);
  if ('missing' in found) return bounded(count.default, 'default', [`${found.missing}: ${role} taken as`], role);
  if (found.value === 0 && role === 'threads') {
    return bounded(count.default, 'default', [`${count.env} is 0: threads taken as`], role);
  }
  return bounded(found.value, 'env', [], role);
}

function bounded(
  value: number,
  source: ResolvedCount['source'],
  why: readonly string[],
  role: CountRole,
): ResolvedCount {
  const kept = Math.min(COUNT_LIMIT, Math.max(1, value));
  const notes = why.map((text) => `${text} ${kept}`);
  if (value > COUNT_LIMIT) notes.push(`${role} bounded to ${COUNT_LIMIT}`);
  if (value < 1) notes.push(`${role} 0 counts as 1`);
  return notes.length === 0 ? { value: kept, source } : { value: kept, source, note: notes.join('; ') };
}

function literalValue(
  variable: string,
  containerName: string | undefined,
  template: PodTemplateFacts,
): { readonly value: number } | { readonly missing: string } {
  const container =
    containerName === undefined
      ? template.containers.find(({ env }) => env.some(({ name }) => name === variable))
      : template.containers.find(({ name }) => name === containerName);
  if (container === undefined) {
    return {
      missing: containerName === undefined ? `${variable} is not set` : `there is no container ${containerName}`,
    };
  }
  // Kubernetes lets the last of several entries with one name win.
  const entry = container.env.findLast(({ name }) => name === variable);
  if (entry === undefined) return { missing: `${variable} is not set in container ${container.name}` };
  if (entry.hasValueFrom) return { missing: `${variable} comes from elsewhere (valueFrom)` };
  const text = (entry.value ?? '').trim();
  // Leading zeros are left out on purpose: languages disagree on whether 010 is ten or eight.
  if (!/^(0|[1-9][0-9]{0,14})$/.test(text)) return { missing: `${variable} is not an integer` };
  return { value: Number(text) };
}
