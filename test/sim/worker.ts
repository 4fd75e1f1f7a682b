// A process that lives histories, one for each seed it is sent.
import { drawHistory } from './history.ts';
import { live, type Outcome } from './life.ts';

/** Without the story: who wants it lives the history again. */
export type Report = Omit<Outcome, 'story'> & { readonly seed: number };

process.on('message', (seed: number) => {
  void live(drawHistory(seed)).then(({ violation, coverage, checks, turns, virtualMs, peakShare }) => {
    process.send?.({ seed, violation, coverage, checks, turns, virtualMs, peakShare } satisfies Report);
  });
});
