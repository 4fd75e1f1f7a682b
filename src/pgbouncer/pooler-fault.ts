// What a failed client login through PgBouncer says about the server behind it.
import type { ServerFault } from '../model/server-view.ts';
import { faultOfSqlState } from '../postgres/fault.ts';
import { WireTimeout } from '../postgres/wire-client.ts';

/** `fresh` is false for an answer that PgBouncer kept from an earlier attempt; `unreachable` is the pooler itself. */
export type PoolerAnswer =
  | { readonly from: 'server'; readonly fault: ServerFault; readonly fresh: boolean }
  | { readonly from: 'pooler'; readonly fault: 'Timeout' | 'PoolerRefused' }
  | { readonly from: 'network' };

/** The code of everything that PgBouncer says in its own name. */
const OWN_CODE = '08P01';

/** PgBouncer's reasons for a failed server login, as they stand in a cached error (first match wins). */
const CACHED_REASONS: readonly (readonly [RegExp, ServerFault])[] = [
  [/^server refused SSL/, 'TlsNotOffered'],
  [/requires a valid client certificate/, 'CertificateRefused'],
  [/password authentication failed/, 'PasswordRefused'],
  [/^database ".*" does not exist/, 'DatabaseMissing'],
  [/too many connections|remaining connection slots|too many clients/, 'TooManyConnections'],
  [/pg_hba\.conf|^role "/, 'LoginRefused'],
];

export function poolerAnswerOf(error: unknown): PoolerAnswer {
  if (error instanceof WireTimeout) {
    return { from: 'pooler', fault: 'Timeout' };
  }
  const { code, message, severity } = error as { code?: unknown; message?: unknown; severity?: unknown };
  if (typeof code !== 'string' || typeof message !== 'string' || severity === undefined) {
    return { from: 'network' };
  }
  if (code !== OWN_CODE) {
    return { from: 'server', fault: faultOfSqlState(code, message), fresh: true };
  }
  const cached = /cached error: (.*?)(?: \(server_login_retry\))?$/.exec(message)?.[1];
  if (cached !== undefined) {
    // A certificate that PgBouncer does not trust shows as "server conn crashed?", like a server that hangs up.
    const fault = CACHED_REASONS.find(([pattern]) => pattern.test(cached))?.[1] ?? 'ServerUnreachable';
    return { from: 'server', fault, fresh: false };
  }
  // With the server down PgBouncer keeps clients waiting until one of its own time-outs.
  return {
    from: 'pooler',
    fault: /client_login_timeout|query_wait_timeout/.test(message) ? 'Timeout' : 'PoolerRefused',
  };
}
