// Asks the ledger as planning does, with pods that boot at the floors given, and a leader whose mark is on all of them.
import type { Observation } from '../../src/model/observation.ts';
import type { Sizes } from '../../src/model/pooler-model.ts';
import type { Chosen } from '../../src/plan/basis.ts';
import { planGrants, type GrantStep } from '../../src/plan/grants.ts';

export function askedWith(
  observation: Observation,
  { states, basis, targets, wish }: Chosen,
  floors: Sizes,
  declaredBudget = wish.budget?.budget,
): GrantStep {
  const { perPod } = targets;
  return planGrants({
    observation,
    states,
    basis,
    declaredBudget,
    bootFloors: floors,
    floors,
    targets: perPod,
    mayGrow: true,
  });
}
