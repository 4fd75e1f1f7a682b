// One error for everything that can go wrong between us and the API server, classified by what a caller can do.
import type { RetryAdvice } from '../runtime/errors.ts';

export type ApiErrorKind =
  /** 409: the object changed since it was read, or a precondition (UID, resourceVersion) failed. Read again. */
  | 'conflict'
  /** 409: an object of this name exists. */
  | 'alreadyExists'
  | 'notFound'
  /** 410: the resourceVersion or continue token is too old. List again. */
  | 'gone'
  /** 429: wait for `retryAfterMs`. */
  | 'throttled'
  | 'unauthorized'
  | 'forbidden'
  /** 400, 405, 413, 415, 422, …: sending the same again cannot succeed. */
  | 'invalid'
  /** 5xx, a broken connection, a malformed answer. A write may or may not have happened. */
  | 'unavailable'
  /** No answer in time (ours, or the server's 504). A write may or may not have happened. */
  | 'timeout'
  /** The caller's signal aborted. */
  | 'cancelled';

type ApiErrorFields = {
  readonly kind: ApiErrorKind;
  readonly message: string;
  readonly status?: number;
  readonly reason?: string;
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
};

export class ApiError extends Error implements RetryAdvice {
  override readonly name = 'ApiError';
  readonly kind: ApiErrorKind;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** Kubernetes' own reason, such as `AlreadyExists`; empty when there was none. */
  readonly reason: string;
  declare readonly retryAfterMs?: number;

  constructor({ kind, message, status = 0, reason = '', retryAfterMs, cause }: ApiErrorFields) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.status = status;
    this.reason = reason;
    if (retryAfterMs !== undefined) {
      this.retryAfterMs = retryAfterMs;
    }
  }

  /** An ordinary race with another writer: read again and go on. */
  get expected(): boolean {
    return this.kind === 'conflict' || this.kind === 'alreadyExists';
  }
}

export function isApiError(error: unknown, ...kinds: readonly ApiErrorKind[]): error is ApiError {
  return error instanceof ApiError && (kinds.length === 0 || kinds.includes(error.kind));
}

const KIND_BY_STATUS: Readonly<Record<number, ApiErrorKind>> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'notFound',
  408: 'timeout',
  409: 'conflict',
  410: 'gone',
  429: 'throttled',
  504: 'timeout',
};

function kindOf(status: number, reason: string): ApiErrorKind {
  if (status === 409 && reason === 'AlreadyExists') {
    return 'alreadyExists';
  }
  return KIND_BY_STATUS[status] ?? (status >= 500 ? 'unavailable' : 'invalid');
}

/** Builds the error from an answer: a `Status` object where the server sent one, else the text it sent (a proxy's, say). */
export function errorFromAnswer(
  doing: string,
  status: number,
  body: unknown,
  retryAfterHeader?: string,
  nowMs = Date.now(),
): ApiError {
  const { reason, message, code, details } = (typeof body === 'object' && body !== null ? body : {}) as {
    readonly reason?: unknown;
    readonly message?: unknown;
    readonly code?: unknown;
    readonly details?: { readonly retryAfterSeconds?: unknown };
  };
  const effectiveStatus = status === 200 && typeof code === 'number' ? code : status;
  const effectiveReason = typeof reason === 'string' ? reason : '';
  const text = typeof message === 'string' ? message : typeof body === 'string' ? body.slice(0, 200) : 'no message';
  const seconds = details?.retryAfterSeconds;
  const retryAfterMs =
    parseRetryAfter(retryAfterHeader, nowMs) ??
    (typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : undefined);
  return new ApiError({
    kind: kindOf(effectiveStatus, effectiveReason),
    status: effectiveStatus,
    reason: effectiveReason,
    message: `while ${doing}: ${effectiveStatus} ${effectiveReason === '' ? '' : `${effectiveReason}: `}${text}`,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** Retry-After is seconds or an HTTP date (RFC 9110, 10.2.3). */
function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) {
    return undefined;
  }
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined;
}
