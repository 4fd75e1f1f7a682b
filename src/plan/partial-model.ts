// A configuration without some of its databases: for a pod that must become smaller before there is room for all of them.
import { contentHash } from '../model/canonical.ts';
import type { Observation } from '../model/observation.ts';
import type { PoolerModel, Sizes } from '../model/pooler-model.ts';
import { sizeOf } from '../sizing/sizes.ts';
import type { NamedModel } from './canary.ts';

/** What is left of it where only these databases have a size; undefined when that is nothing. */
export function partOf({ model }: Pick<NamedModel, 'model'>, sizes: Sizes): NamedModel | undefined {
  const databases = model.databases.filter(({ name }) => sizeOf(sizes, name) !== undefined);
  if (databases.length === 0) return undefined;
  const part = { ...model, databases };
  return { model: part, modelHash: contentHash(part) };
}

/** Parts of the known configurations that pods were told to run, by hash: they are read back as any other. */
export function toldParts(
  { pods }: Observation,
  known: ReadonlyMap<string, PoolerModel>,
): ReadonlyMap<string, PoolerModel> {
  const parts = pods.flatMap(({ grant }) => {
    if (grant === undefined || known.has(grant.model)) return [];
    return [...known.values()].flatMap((model) => {
      const part = partOf({ model }, grant.sizes);
      return part?.modelHash === grant.model ? [[part.modelHash, part.model] as const] : [];
    });
  });
  return new Map(parts);
}
