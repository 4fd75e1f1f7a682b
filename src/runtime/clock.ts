// The only source of time and waiting, so that every test can own both.

export type Timer = { readonly cancel: () => void };

export interface Clock {
  /** Wall time in milliseconds since 1970; for timestamps that people read, never for measuring. */
  now(): number;
  /** Milliseconds of a clock that never goes back and is not comparable between processes; for measuring. */
  monotonicMs(): number;
  /** Rejects with the signal's reason when it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  setTimer(ms: number, fn: () => void): Timer;
}

/** Node counts a timer in a signed 32-bit integer and fires a longer one at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** `sleep` in terms of `setTimer`, shared by the real clock and the fake one. */
export function sleepOn(setTimer: Clock['setTimer'], ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = setTimer(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

function setSystemTimer(ms: number, fn: () => void): Timer {
  const handle = setTimeout(fn, Math.min(Math.max(ms, 0), LONGEST_TIMER_MS));
  return {
    cancel: () => {
      clearTimeout(handle);
    },
  };
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => sleepOn(setSystemTimer, ms, signal),
  setTimer: setSystemTimer,
};
