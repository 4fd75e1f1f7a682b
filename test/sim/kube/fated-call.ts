// One call over a network with a fate: it arrives or not, its answer comes or not, late or never.
import { ApiError } from '../../../src/kube/errors.ts';
import type { Clock } from '../../../src/runtime/clock.ts';
import { toError } from '../../../src/runtime/errors.ts';
import type { Fate } from '../contracts.ts';

export type FatedCall<T> = {
  readonly clock: Clock;
  readonly fate: Fate;
  readonly signal: AbortSignal | undefined;
  /** After so long without an answer the caller gets a `timeout`; what it asked may happen all the same. */
  readonly timeoutMs: number;
  /** For messages: `apply Service/a`. */
  readonly doing: string;
  /** The caller's process has died meanwhile. */
  readonly isDead: () => boolean;
  /** What happens on the other side when the call arrives; throws what the server answers as an error. */
  readonly act: () => T;
  /** Told of a result that never reached the caller. */
  readonly unheard?: (result: T) => void;
};

export function fatedCall<T>(options: FatedCall<T>): Promise<T> {
  const { clock, fate, signal, timeoutMs, doing, isDead, act, unheard } = options;
  const { delayMs, answerDelayMs = delayMs, arrives, answer } = fate;
  return new Promise<T>((resolve, reject) => {
    const error = (kind: 'cancelled' | 'timeout' | 'unavailable', what: string): ApiError =>
      new ApiError({ kind, message: `while trying to ${doing}: ${what}`, cause: signal?.reason });
    if (signal?.aborted === true) {
      reject(error('cancelled', 'cancelled'));
      return;
    }
    let waiting = answer !== 'never';
    const settle = (finish: () => void): boolean => {
      if (!waiting || isDead()) return false;
      waiting = false;
      signal?.removeEventListener('abort', onAbort);
      deadline?.cancel();
      finish();
      return true;
    };
    const fail = (failure: unknown): boolean =>
      settle(() => {
        reject(toError(failure));
      });
    const onAbort = (): void => {
      fail(error('cancelled', 'cancelled'));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const late = waiting && delayMs + answerDelayMs > timeoutMs;
    const deadline = late
      ? clock.setTimer(timeoutMs, () => fail(error('timeout', `no answer within ${timeoutMs} ms`)))
      : undefined;
    const finish = (outcome: Outcome<T> | undefined): void => {
      if (outcome === undefined || answer === 'lost') fail(error('unavailable', 'ECONNRESET: the connection broke'));
      else if ('error' in outcome) fail(outcome.error);
      else if (
        settle(() => {
          resolve(outcome.value);
        })
      ) {
        return;
      }
      if (outcome !== undefined && 'value' in outcome) unheard?.(outcome.value);
    };
    after(clock, delayMs, () => {
      const outcome = arrives ? attempt(act) : undefined;
      after(clock, answerDelayMs, () => {
        finish(outcome);
      });
    });
  });
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown };

function attempt<T>(act: () => T): Outcome<T> {
  try {
    return { value: act() };
  } catch (error) {
    return { error };
  }
}

function after(clock: Clock, ms: number, act: () => void): void {
  if (ms <= 0) queueMicrotask(act);
  else clock.setTimer(ms, act);
}
