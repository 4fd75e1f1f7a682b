// The last configuration that every pod was proved to run, as it is kept beside boot.ini; what a refused change goes back to.
import type { Observation } from '../model/observation.ts';
import type { PoolerModel, Sizes } from '../model/pooler-model.ts';
import { childNames } from '../model/names.ts';
import type { SizingBasis } from './desired.ts';

/** Without it there is no fleet yet. `proved` is false until the first configuration ran everywhere once. */
export type ProvedRecord = {
  readonly proved: boolean;
  readonly model: PoolerModel;
  readonly modelHash: string;
  readonly basis: SizingBasis;
  /** Sizes in boot.ini: what a pod takes when it starts before anyone tells it more. */
  readonly floors: Sizes;
};

/** Reads the record from the ConfigMap; what is not ours to understand counts as absent and is written anew. */
export function readProvedRecord(observation: Observation): ProvedRecord | undefined {
  const name = childNames(observation.pool.metadata.name).configMap;
  const data = observation.children.get(`ConfigMap/${name}`)?.['data'] as Record<string, string> | undefined;
  if (data === undefined) return undefined;
  const known = RECORDS.get(data);
  if (known !== undefined) return known;
  const record = decode(data['proved.json']);
  if (record !== undefined) RECORDS.set(data, record);
  return record;
}

/** The same stored object gives the same record, so that what is derived from it can be kept beside it too. */
const RECORDS = new WeakMap<Readonly<Record<string, string>>, ProvedRecord>();

function decode(text: string | undefined): ProvedRecord | undefined {
  if (text === undefined) return undefined;
  try {
    const raw = JSON.parse(text) as Partial<ProvedRecord> | null;
    if (
      typeof raw?.modelHash !== 'string' ||
      raw.model === undefined ||
      raw.basis === undefined ||
      raw.floors === undefined
    ) {
      return undefined;
    }
    return {
      proved: raw.proved === true,
      model: raw.model,
      modelHash: raw.modelHash,
      basis: raw.basis,
      floors: raw.floors,
    };
  } catch {
    return undefined;
  }
}
