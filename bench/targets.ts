// The figures to reach on a machine with two processors that does nothing else.

export type Target = Readonly<{ figure: string; atMost: number; unit: string }>;

/** By measurement; `figure` is a member of its result. */
export const TARGETS: Readonly<Record<string, readonly Target[]>> = {
  applyToReady: [{ figure: 'p50Ms', atMost: 3_500, unit: 'ms' }],
  workloadToProved: [
    { figure: 'p95Ms', atMost: 3_000, unit: 'ms' },
    { figure: 'longestTransactionMs', atMost: 500, unit: 'ms' },
  ],
  parameterToProved: [
    { figure: 'p95Ms', atMost: 1_000, unit: 'ms' },
    { figure: 'maxMs', atMost: 3_000, unit: 'ms' },
  ],
  parameterToProvedIn3: [
    { figure: 'p50Ms', atMost: 500, unit: 'ms' },
    { figure: 'p95Ms', atMost: 1_000, unit: 'ms' },
    { figure: 'maxMs', atMost: 3_000, unit: 'ms' },
  ],
  passwordRotated: [{ figure: 'p95Ms', atMost: 2_000, unit: 'ms' }],
  certificateRotated: [{ figure: 'p95Ms', atMost: 2_000, unit: 'ms' }],
  podReplaced: [],
  atRest: [
    { figure: 'writesAtRest', atMost: 0, unit: 'writes' },
    { figure: 'leaseWritesPerMinute', atMost: 30, unit: 'writes a minute' },
  ],
};

export type Verdict = Readonly<{ text: string; met: boolean }>;

/** @throws when a target names a figure that was not measured: it would pass unnoticed. */
export function judge(name: string, result: Readonly<Record<string, unknown>>): readonly Verdict[] {
  return (TARGETS[name] ?? []).map(({ figure, atMost, unit }) => {
    const value = result[figure];
    if (typeof value !== 'number') throw new Error(`while judging ${name}: it has no figure ${figure}`);
    const met = value <= atMost;
    return { text: `${figure} ≤ ${atMost} ${unit}: ${met ? 'met' : 'not met'}`, met };
  });
}
