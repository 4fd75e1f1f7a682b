// Changes a list of conditions the way Kubernetes expects: one of each type, and a transition time that moves only with the status.
import type { Condition } from './poolconfig.gen.ts';
import type { ConditionStatus, ConditionType, Reason } from './reasons.ts';

export * from './reasons.ts';
export type { Condition };

export type ConditionUpdate = {
  readonly type: ConditionType;
  readonly status: ConditionStatus;
  readonly reason: Reason;
  readonly message: string;
  readonly observedGeneration: number;
};

/** Longest message that is kept, in characters; the CRD has the same bound. */
export const MESSAGE_LENGTH = 1024;

/** The list with this condition in it. The very same list when nothing changed, so that `===` tells whether to write. `nowIso`: RFC 3339. */
export function setCondition(
  conditions: readonly Condition[],
  update: ConditionUpdate,
  nowIso: string,
): readonly Condition[] {
  const former = findCondition(conditions, update.type);
  const next: Condition = {
    type: update.type,
    status: update.status,
    observedGeneration: update.observedGeneration,
    lastTransitionTime: former?.status === update.status ? former.lastTransitionTime : nowIso,
    reason: update.reason,
    message: shorten(update.message),
  };
  if (former === undefined) return [...conditions, next];
  if (isSame(former, next)) return conditions;
  return conditions.map((condition) => (condition === former ? next : condition));
}

/** The list without this condition; the very same list when it was not there. For Reconciling and Stalled, which exist only while true. */
export function removeCondition(conditions: readonly Condition[], type: ConditionType): readonly Condition[] {
  return findCondition(conditions, type) === undefined ? conditions : conditions.filter((one) => one.type !== type);
}

export function findCondition(conditions: readonly Condition[], type: ConditionType): Condition | undefined {
  return conditions.find((condition) => condition.type === type);
}

function isSame(a: Condition, b: Condition): boolean {
  return (
    a.status === b.status &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.observedGeneration === b.observedGeneration &&
    a.lastTransitionTime === b.lastTransitionTime
  );
}

/** Counted in code points, as the API server does; half a surrogate pair would be stored as another character and differ for ever. */
function shorten(message: string): string {
  if (message.length <= MESSAGE_LENGTH) return message;
  const points = Array.from(message);
  return points.length <= MESSAGE_LENGTH ? message : `${points.slice(0, MESSAGE_LENGTH - 1).join('')}…`;
}
