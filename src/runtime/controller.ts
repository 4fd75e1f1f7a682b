// The worker loop: takes keys from the queue, reconciles them, and turns each outcome into what the queue does next.
import type { Clock } from './clock.ts';
import { retryAdvice, TerminalError, toError } from './errors.ts';
import type { Log } from './log.ts';
import type { WorkQueue } from './work-queue.ts';

/** Empty: all is done until something changes. */
export type Outcome = { readonly requeueAfterMs?: number };

export type OutcomeLabel = 'success' | 'requeueAfter' | 'conflict' | 'error' | 'terminal' | 'cancelled';

export type ReconcileFacts = { readonly key: string; readonly outcome: OutcomeLabel; readonly durationMs: number };

export type ControllerOptions = {
  readonly queue: WorkQueue;
  readonly clock: Clock;
  readonly workers: number;
  /**
   * Brings one key from its current state towards the wanted one. When the signal aborts it stops at the next safe point.
   * A throw means: again, with back-off; a TerminalError: again, slowly.
   */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  readonly log: Log;
  /** Told of every reconcile when it has ended. */
  readonly onReconciled?: (facts: ReconcileFacts) => void;
};

export type ControllerMetrics = {
  readonly outcomes: Readonly<Record<OutcomeLabel, number>>;
  readonly running: number;
};

/** After a user's mistake: only a change of an object, or this, leads to the next attempt. */
export const TERMINAL_RETRY_MS = 300_000;
/** How long running reconciles may go on undisturbed after `stop`, and how long until `stop` returns without them. */
const STOP_GRACE_MS = 8_000;
const STOP_LIMIT_MS = 10_000;

/** Life: created → `start` → running until `stop` or until the signal given to `start` aborts; never started twice. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #taking = new AbortController();
  readonly #working = new AbortController();
  readonly #outcomes: Record<OutcomeLabel, number> = {
    success: 0,
    requeueAfter: 0,
    conflict: 0,
    error: 0,
    terminal: 0,
    cancelled: 0,
  };
  #workers: readonly Promise<void>[] = [];
  #running = 0;

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  metrics(): ControllerMetrics {
    return { outcomes: { ...this.#outcomes }, running: this.#running };
  }

  /** @param leadership when it aborts, running reconciles are told at once and no further key is taken */
  start(leadership?: AbortSignal): void {
    if (this.#workers.length > 0) {
      throw new Error('while starting the controller: it was started before');
    }
    const onLost = (): void => {
      this.#taking.abort(leadership?.reason);
      this.#working.abort(leadership?.reason);
    };
    if (leadership?.aborted === true) {
      onLost();
    }
    leadership?.addEventListener('abort', onLost, { once: true });
    this.#workers = Array.from({ length: this.#options.workers }, () => this.#work());
  }

  /** Takes no further key; running reconciles get 8 s to end, then their signal aborts; returns after 10 s at the latest. */
  async stop(): Promise<void> {
    const { clock, queue, log } = this.#options;
    const reason = new Error('the controller was stopped');
    this.#taking.abort(reason);
    queue.shutdown();
    const graceTimer = clock.setTimer(STOP_GRACE_MS, () => {
      this.#working.abort(reason);
    });
    const limit = Promise.withResolvers<'late'>();
    const limitTimer = clock.setTimer(STOP_LIMIT_MS, () => {
      limit.resolve('late');
    });
    const result = await Promise.race([Promise.all(this.#workers), limit.promise]);
    graceTimer.cancel();
    limitTimer.cancel();
    if (result === 'late') {
      log.warn('stopped without waiting for reconciles that go on', { running: this.#running });
    }
  }

  async #work(): Promise<void> {
    const { queue } = this.#options;
    for (;;) {
      const key = await queue.get(this.#taking.signal);
      if (key === undefined) {
        return;
      }
      this.#running += 1;
      try {
        await this.#process(key);
      } finally {
        this.#running -= 1;
        queue.done(key);
      }
    }
  }

  async #process(key: string): Promise<void> {
    const { clock, reconcile, onReconciled, log } = this.#options;
    const startedMs = clock.monotonicMs();
    let label: OutcomeLabel;
    try {
      label = this.#afterOutcome(key, await reconcile(key, this.#working.signal));
    } catch (thrown) {
      label = this.#afterError(key, toError(thrown));
    }
    this.#outcomes[label] += 1;
    try {
      onReconciled?.({ key, outcome: label, durationMs: clock.monotonicMs() - startedMs });
    } catch (thrown) {
      log.error('recording a reconcile failed', { key, error: toError(thrown) });
    }
  }

  #afterOutcome(key: string, { requeueAfterMs }: Outcome): OutcomeLabel {
    const { queue } = this.#options;
    queue.forget(key);
    if (requeueAfterMs === undefined) {
      return 'success';
    }
    queue.addAfter(key, requeueAfterMs);
    return 'requeueAfter';
  }

  #afterError(key: string, error: Error): OutcomeLabel {
    const { queue, log } = this.#options;
    if (this.#working.signal.aborted) {
      log.debug('a reconcile was cut short', { key, error: error.message });
      return 'cancelled';
    }
    if (error instanceof TerminalError) {
      log.warn('a reconcile failed for a reason that a retry cannot cure', { key, error: error.message });
      queue.forget(key);
      queue.addAfter(key, TERMINAL_RETRY_MS);
      return 'terminal';
    }
    const { expected = false, retryAfterMs = 0 } = retryAdvice(error);
    queue.addRateLimited(key, retryAfterMs);
    if (expected) {
      log.debug('a reconcile met another writer, trying again', { key, error: error.message });
      return 'conflict';
    }
    log.error('a reconcile failed, trying again', { key, failures: queue.failures(key), error });
    return 'error';
  }
}
