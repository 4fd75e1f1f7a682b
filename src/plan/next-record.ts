// What boot.ini becomes: the configuration that every pod was proved to run, at sizes that a pod may take unasked.
import { sameJson } from '../model/canonical.ts';
import type { Sizes } from '../model/pooler-model.ts';
import { leastBudget } from '../sizing/size-fleet.ts';
import { sizeOf } from '../sizing/sizes.ts';
import type { Chosen } from './basis.ts';
import type { Choice } from './canary.ts';
import type { GrantStep } from './grants.ts';
import { mayRaiseFloors } from './ledger.ts';
import type { ProvedRecord } from './proved-record.ts';

/** boot.ini follows when every staying pod is proved; before the first proof it follows the specification at once. */
export function nextRecord(
  { desired, states, fleet, basis, target }: Chosen,
  record: ProvedRecord | undefined,
  choice: Choice,
  grants: GrantStep,
): { record: ProvedRecord; why: string } | undefined {
  if (desired === undefined)
    return record === undefined ? undefined : { record, why: 'boot.ini is not as it was proved' };
  const next = { model: target.model, modelHash: target.modelHash, basis, floors: fleet.floors };
  if (record === undefined) return { record: { ...next, proved: false }, why: 'boot.ini for the first pods' };
  const staying = states.filter((state) => state.phase === 'Serving');
  const allProved =
    staying.length >= Math.min(1, basis.replicas) &&
    states.every(
      (state) => state.phase === 'Terminating' || state.phase === 'Draining' || state.provedModel === target.modelHash,
    );
  const affordable = mayRaiseFloors(grants.asked, fleet.floors);
  if (allProved && affordable && choice.refusal === undefined) {
    const proved = { ...next, proved: true };
    return {
      record: sameJson(proved, record) ? record : proved,
      why: 'every pod is proved to run this configuration: it becomes what new pods boot with',
    };
  }
  if (!record.proved && record.modelHash !== target.modelHash && affordable) {
    return { record: { ...next, proved: false }, why: 'nothing was proved yet: boot.ini follows the specification' };
  }
  return lowered(record, fleet.floors, basis.budget);
}

/** Smaller floors need no proof, and in a tight budget larger ones would keep back what has to be proved first. */
function lowered(record: ProvedRecord, wanted: Sizes, budget: number): { record: ProvedRecord; why: string } {
  const floors = Object.fromEntries(
    Object.entries(record.floors).map(([name, floor]) => [name, Math.min(floor, sizeOf(wanted, name) ?? floor)]),
  );
  // A lower budget holds from when it is kept to, whatever else of the specification can be had later; but not below what this one can live on.
  const { replicas, databases } = record.basis;
  const least = Math.max(budget, leastBudget(replicas, databases.length));
  const basis = least < record.basis.budget ? { ...record.basis, budget: least } : record.basis;
  if (basis === record.basis && sameJson(floors, record.floors))
    return { record, why: 'boot.ini is not as it was proved' };
  return { record: { ...record, basis, floors }, why: 'pods are to boot with smaller sizes' };
}
