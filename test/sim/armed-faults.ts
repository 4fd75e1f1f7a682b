// Faults that are armed and wait: each for the call, the RELOAD, the file or the event that it can strike.
import type { Clock } from '../../src/runtime/clock.ts';
import type { Draw } from '../support/random.ts';
import type { Call, Fate } from './contracts.ts';
import { LateNews } from './late-news.ts';
import { ReloadFaults } from './reload-faults.ts';
import type { SimOperator } from './sim-operator.ts';
import { Strikes, type OnStrike, type StrikesOptions } from './strikes.ts';

export type ArmedFaultsOptions = {
  readonly clock: Clock;
  readonly draw: Draw;
  readonly onStrike: OnStrike;
} & Pick<StrikesOptions, 'onCrash'>;

export class ArmedFaults {
  readonly calls: Strikes;
  readonly reloads: ReloadFaults;
  /** On their way to pods. */
  readonly files: LateNews;
  /** On their way to watches. */
  readonly events: LateNews;

  constructor({ clock, draw, onStrike, onCrash }: ArmedFaultsOptions) {
    const nowMs = (): number => clock.monotonicMs();
    this.calls = new Strikes({ random: draw.next, nowMs, onStrike, onCrash });
    this.reloads = new ReloadFaults(draw, onStrike);
    this.files = new LateNews(nowMs, (byMs, operation) => {
      onStrike('projectionDelay', operation, `files reach pods ${byMs} ms late`);
    });
    this.events = new LateNews(nowMs, (byMs, operation) => {
      onStrike('watchLag', operation, `watches lag by ${byMs} ms`);
    });
  }

  fateOf(call: Call, operator: SimOperator): Fate {
    return this.reloads.slowed(call, this.calls.fateOf(call, operator));
  }

  disarm(): void {
    for (const faults of [this.calls, this.reloads, this.files, this.events]) faults.disarm();
  }
}
