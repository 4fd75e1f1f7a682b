// A process that lives histories, one for each seed it is sent.
import type { Coverage } from './coverage.ts';
import { drawHistory } from './history.ts';
import { live } from './life.ts';

export type Report = {
  readonly seed: number;
  readonly violation: string | undefined;
  readonly coverage: Coverage;
  readonly checks: number;
  readonly turns: number;
  readonly virtualMs: number;
  readonly peakShare: number;
};

process.on('message', (seed: number) => {
  void live(drawHistory(seed)).then(({ story: _, ...outcome }) => {
    process.send?.({ seed, ...outcome } satisfies Report);
  });
});
