// News that come late for a while: files on their way to pods, or events on their way to watches.
import type { OperationKind } from './history.ts';

type Late = { readonly byMs: number; readonly untilMs: number; readonly operation: OperationKind };

export class LateNews {
  readonly #nowMs: () => number;
  readonly #onFirst: (byMs: number, operation: OperationKind) => void;
  #late: Late | undefined;
  #struck = false;

  /** `onFirst`: told once each time it is armed, of the first that are really late. */
  constructor(nowMs: () => number, onFirst: (byMs: number, operation: OperationKind) => void) {
    this.#nowMs = nowMs;
    this.#onFirst = onFirst;
  }

  /** Instead of what was armed before. */
  arm(byMs: number, forMs: number, operation: OperationKind): void {
    this.#late = { byMs, untilMs: this.#nowMs() + forMs, operation };
    this.#struck = false;
  }

  disarm(): void {
    this.#late = undefined;
  }

  /** By how much those are late that set out now. */
  lagMs(): number {
    if (this.#late === undefined || this.#nowMs() >= this.#late.untilMs) return 0;
    const { byMs, operation } = this.#late;
    if (!this.#struck) this.#onFirst(byMs, operation);
    this.#struck = true;
    return byMs;
  }
}
