// What a fleet is planned by: the declared state if it can be had, else what was last proved.
import { REASONS } from '../api/reasons.ts';
import type { Finding } from '../model/finding.ts';
import type { Observation } from '../model/observation.ts';
import { renderPodTemplate, type PodTemplate } from '../render/pod-template.ts';
import type { FleetSizes } from '../sizing/size-fleet.ts';
import { standingRefusal, type NamedModel } from './canary.ts';
import type { Desired, SizingBasis, Wish } from './desired.ts';
import { toldParts } from './partial-model.ts';
import { podStates, type PodState } from './pod-state.ts';
import type { ProvedRecord } from './proved-record.ts';
import { followClients } from './rebalance.ts';
import { sizePods, type Targets } from './targets.ts';
import type { Follow } from '../sizing/split-by-load.ts';

export type Chosen = {
  readonly wish: Wish;
  readonly desired: Desired | undefined;
  readonly target: { readonly model: ProvedRecord['model']; readonly modelHash: string };
  readonly basis: SizingBasis;
  readonly fleet: FleetSizes & { feasible: true };
  /** Whether pods' parts may follow their clients now. */
  readonly follow: Follow;
  readonly states: readonly PodState[];
  readonly targets: Targets;
  readonly template: PodTemplate;
};

/** What is declared, if it can be had; else what was last proved; else only the wish, with what stands in its way. */
export function chooseBasis(
  observation: Observation,
  wish: Wish,
  record: ProvedRecord | undefined,
  image: string,
): Chosen | Pick<Chosen, 'wish'> {
  const whole = new Map(
    [wish.desired, record].flatMap((known) => (known === undefined ? [] : [[known.modelHash, known.model] as const])),
  );
  const states = podStates(observation, new Map([...whole, ...toldParts(observation, whole)]));
  const choose = (from: Wish, target: NamedModel & { readonly basis: SizingBasis }): Chosen | string => {
    const template = templateFor(observation, from.desired, image);
    const rolling = isRolling(observation, template);
    const follow = followClients(observation, states);
    const targets = sizePods(target.basis, states, rolling, record?.floors, follow);
    const { fleet } = targets;
    if (!fleet.feasible) return `spec.budget: ${fleet.message}. ${REASONS.BudgetTooSmall.remedy}`;
    return { wish: from, desired: from.desired, target, basis: target.basis, fleet, states, targets, template, follow };
  };
  const { desired } = wish;
  // What is proved already is taken from the record, which stays the same object from look to look.
  const same = desired !== undefined && desired.modelHash === record?.modelHash;
  const declared =
    desired === undefined
      ? undefined
      : choose(wish, {
          ...(same ? { ...desired, model: record.model } : desired),
          basis: basisInUse(observation, desired, record),
        });
  if (typeof declared === 'object') return declared;
  const standing =
    declared === undefined
      ? wish
      : blocked(wish, { condition: 'BudgetSatisfied', reason: 'BudgetTooSmall', message: declared, blocking: true });
  for (const last of record === undefined ? [] : standingBases(record, wish.budget?.budget)) {
    const chosen = choose(standing, last);
    if (typeof chosen === 'object') return chosen;
  }
  return { wish: standing };
}

/** While a configuration stands refused the pods run the one before it, so its databases are what there is to be sized. */
function basisInUse(observation: Observation, desired: Desired, record: ProvedRecord | undefined): SizingBasis {
  if (record === undefined || standingRefusal(observation, desired) === undefined) return desired.basis;
  return { ...desired.basis, databases: record.basis.databases };
}

/** What was proved last may be of a time of more connections: a lower budget holds for it too where its pods can live within it. */
function standingBases(record: ProvedRecord, declared: number | undefined): readonly ProvedRecord[] {
  if (declared === undefined || declared >= record.basis.budget) return [record];
  return [{ ...record, basis: { ...record.basis, budget: declared } }, record];
}

/** Pods of another template are still there. */
export function isRolling({ replicaSets }: Observation, template: PodTemplate): boolean {
  return replicaSets.some((set) => set.template !== template.hash && set.replicas > 0);
}

/** While the declared state is blocked no rollout begins: the template in use stays the wanted one. */
function templateFor(observation: Observation, desired: Desired | undefined, image: string): PodTemplate {
  const rendered = renderPodTemplate(observation.pool, image);
  if (desired !== undefined) return rendered;
  const [largest] = [...observation.replicaSets].sort((a, b) => b.replicas - a.replicas);
  return largest === undefined ? rendered : { ...rendered, hash: largest.template };
}

/** The same wish with one more thing in its way. */
export function blocked(wish: Wish, finding: Finding): Wish {
  return { ...wish, desired: undefined, findings: [finding, ...wish.findings] };
}
