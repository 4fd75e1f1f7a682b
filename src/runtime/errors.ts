// How an error tells the work queue what to do next, and the one place where unknown throws become errors.
import { inspect } from 'node:util';

/** Trying again soon cannot help (a user's mistake): the key gets a slow retry instead of a hot one. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

/** What an error may say about its retry; the API client's errors do. */
export type RetryAdvice = {
  /** The server's own wish (Retry-After). */
  readonly retryAfterMs?: number;
  /** An ordinary race, such as a 409: worth a debug line, not an error. */
  readonly expected?: boolean;
};

export function toError(thrown: unknown): Error {
  if (thrown instanceof Error) {
    return thrown;
  }
  return new Error(typeof thrown === 'string' ? thrown : `thrown value: ${inspect(thrown, { depth: 2 })}`);
}

export function retryAdvice(error: unknown): RetryAdvice {
  if (typeof error !== 'object' || error === null) {
    return {};
  }
  const { retryAfterMs, expected } = error as Record<string, unknown>;
  return {
    ...(typeof retryAfterMs === 'number' && retryAfterMs >= 0 ? { retryAfterMs } : {}),
    ...(expected === true ? { expected } : {}),
  };
}
