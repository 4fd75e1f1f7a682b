// What goes wrong with the next RELOADs: refused as a whole, refused after a part, or slow.
import type { Draw } from '../support/random.ts';
import type { Call, Fate } from './contracts.ts';
import type { Fault, OperationKind } from './history.ts';
import type { RefusedReload } from './pooler/pgbouncer-model.ts';
import type { OnStrike } from './strikes.ts';

export type ReloadFault = Extract<Fault, { kind: 'reloadRefused' | 'reloadHalfApplied' | 'reloadSlow' }>;

export class ReloadFaults {
  readonly #draw: Draw;
  readonly #onStrike: OnStrike;
  /** How many are still to be struck. */
  #refused = 0;
  #halfApplied = 0;
  #slow = 0;
  #slowMs = 0;
  /** The one that armed them last. */
  #operation: OperationKind = 'editParameter';

  constructor(draw: Draw, onStrike: OnStrike) {
    this.#draw = draw;
    this.#onStrike = onStrike;
  }

  arm(fault: ReloadFault, operation: OperationKind): void {
    this.#operation = operation;
    switch (fault.kind) {
      case 'reloadRefused':
        this.#refused = fault.times;
        return;
      case 'reloadHalfApplied':
        this.#halfApplied = fault.times;
        return;
      case 'reloadSlow':
        this.#slow = fault.times;
        this.#slowMs = fault.delayMs;
    }
  }

  disarm(): void {
    this.#refused = 0;
    this.#halfApplied = 0;
    this.#slow = 0;
  }

  /** Why this pod does not take the file that it is told to read. */
  refusal(pod: string, text: string): RefusedReload | undefined {
    const message = 'RELOAD failed, see logs for additional details';
    if (this.#refused > 0) {
      this.#refused -= 1;
      this.#onStrike('reloadRefused', this.#operation, `${pod} refuses a RELOAD`);
      return { message };
    }
    if (this.#halfApplied > 0) {
      this.#halfApplied -= 1;
      this.#onStrike('reloadHalfApplied', this.#operation, `${pod} applies a part of its file and refuses the rest`);
      // Logins, encryption and limits stand above all that a user may set, so a line that is refused is one of the last.
      return { message, atLine: text.trimEnd().split('\n').length - this.#draw.integer(0, 3) };
    }
    return undefined;
  }

  /** The fate of a call, which takes longer where it is a slow RELOAD. */
  slowed({ verb }: Call, fate: Fate): Fate {
    if (verb !== 'loadFile' || this.#slow <= 0) return fate;
    this.#slow -= 1;
    this.#onStrike('reloadSlow', this.#operation, `a RELOAD takes ${this.#slowMs} ms`);
    return { ...fate, delayMs: fate.delayMs + this.#slowMs / 2 };
  }
}
