// One thing that is not as it should be, in the words a user reads in a condition.

import type { Reason } from '../api/reasons.ts';

/** The conditions a finding can speak for; `Ready` follows from all of them. */
export type FindingCondition = 'ConfigApplied' | 'BudgetSatisfied' | 'ServerReachable' | 'Ready';

export type Finding = {
  readonly condition: FindingCondition;
  readonly reason: Reason;
  /** What is wrong, where, and what to do; never raw text from a server, never a secret. */
  readonly message: string;
  /** True: the declared state can't be planned; the fleet stays on its last proved one. */
  readonly blocking: boolean;
};
