// What the simulated API server answers when it refuses: the error as the real client would make it of the answer.
import { ApiError, type ApiErrorKind } from '../../../src/kube/errors.ts';

const STATUS_CODES: Partial<Record<ApiErrorKind, { readonly status: number; readonly reason: string }>> = {
  conflict: { status: 409, reason: 'Conflict' },
  alreadyExists: { status: 409, reason: 'AlreadyExists' },
  notFound: { status: 404, reason: 'NotFound' },
  gone: { status: 410, reason: 'Expired' },
  unavailable: { status: 500, reason: 'InternalError' },
  invalid: { status: 422, reason: 'Invalid' },
};

export function refusal(kind: ApiErrorKind, message: string): ApiError {
  return new ApiError({ kind, message, ...STATUS_CODES[kind] });
}
