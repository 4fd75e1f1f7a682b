// Waiting for a condition in real time, for tests of real parts: bounded, and named in the failure.
import { setTimeout } from 'node:timers/promises';

/** Polls every few milliseconds. Throws with `what` when the condition does not hold in time. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  { timeoutMs = 5_000, everyMs = 5 }: { readonly timeoutMs?: number; readonly everyMs?: number } = {},
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    }
    await setTimeout(everyMs);
  }
}
