// Which runs pass, and why the others do not: the rules by which the budget counts as proved.
import type { Figures } from './figures.ts';
import type { Offered } from './recording.ts';

export const LEAST_PEAK_SHARE = 0.9;
export const LONGEST_GAP_MS = 250;
/** Of the open connections kept busy before the operation, where clients ask for all that they can get. */
export const SATURATED_LEAST = 0.7;
/** The same, where half of saturation is asked for. */
export const HALF = { least: 0.35, most: 0.75 } as const;

/** `does not count`: too little was seen to say anything, so it proves nothing; it is no success. */
export type Judgement = Readonly<{ verdict: 'passed' | 'failed' | 'does not count'; reasons: readonly string[] }>;

export type Promised = Readonly<{
  error: string | undefined;
  convergeLimitMs: number | undefined;
  offered?: Offered;
  leastServed?: number | undefined;
}>;

export function judge(figures: Figures, { error, convergeLimitMs, offered = 'all', leastServed }: Promised): Judgement {
  const { samplesAboveUnexplained, lost, double, failed, planned, convergeMs, peakShare, maxGapMs } = figures;
  const { servedRatio, silentSeconds, busyShareBefore } = figures;
  const failures = [
    ...(error === undefined ? [] : [`it did not come to its end: ${error.split('\n')[0] ?? ''}`]),
    ...(samplesAboveUnexplained > 0 ? [`${samplesAboveUnexplained} samples above the budget`] : []),
    ...(lost > 0 ? [`${lost} acknowledged transactions are lost`] : []),
    ...(double > 0 ? [`${double} transactions are there twice`] : []),
    ...(planned && failed > 0 ? [`${failed} failed transactions in a planned operation`] : []),
    ...(convergeLimitMs !== undefined && convergeMs > convergeLimitMs
      ? [`converged ${seconds(convergeMs)} after the pods were Ready, promised are ${seconds(convergeLimitMs)}`]
      : []),
    ...(leastServed !== undefined && servedRatio < leastServed
      ? [`${percent(servedRatio)} of the offered load were served, promised are ${percent(leastServed)}`]
      : []),
    ...(leastServed !== undefined && silentSeconds > 0 ? [`${silentSeconds} seconds without a transaction`] : []),
  ];
  const doubts = [
    ...(offered === 'half' && (busyShareBefore < HALF.least || busyShareBefore > HALF.most)
      ? [`${percent(busyShareBefore)} of the open connections were busy before it, which is not half of saturation`]
      : []),
    ...(offered === 'all' && busyShareBefore < SATURATED_LEAST
      ? [`${percent(busyShareBefore)} of the open connections were busy before it, which is no saturation`]
      : []),
    ...(offered === 'all' && peakShare < LEAST_PEAK_SHARE
      ? [`the peak was ${percent(peakShare)} of the budget, below ${percent(LEAST_PEAK_SHARE)}`]
      : []),
    ...(maxGapMs > LONGEST_GAP_MS ? [`${maxGapMs} ms without a sample, more than ${LONGEST_GAP_MS}`] : []),
  ];
  if (failures.length > 0) return { verdict: 'failed', reasons: [...failures, ...doubts] };
  return doubts.length > 0 ? { verdict: 'does not count', reasons: doubts } : { verdict: 'passed', reasons: [] };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
