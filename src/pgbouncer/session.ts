// A login to PgBouncer, in whichever way its listener asks for: plain, or TLS where plain is refused.
import type { ConnectionOptions } from 'node:tls';
import type { SecretText } from '../model/secret-text.ts';
import { WireClient, WireTimeout } from '../postgres/wire-client.ts';
import { AdminError } from './errors.ts';

export type ConsoleAddress = { readonly host: string; readonly port: number };

export type PoolerLogin = {
  readonly address: ConsoleAddress;
  readonly database: string;
  readonly user: string;
  readonly password: SecretText;
  /** Shows in SHOW CLIENTS. */
  readonly applicationName?: string;
};

/**
 * The listener's certificate names the Service and belongs to the user, so it can't be checked against a pod's address; SCRAM proves both
 * sides to each other instead.
 */
const UNVERIFIED_TLS: ConnectionOptions = { rejectUnauthorized: false };

/** Opens a session. Rejects with the driver's own errors: see `adminErrorOf`. */
export async function openSession(login: PoolerLogin, timeoutMs: number, signal?: AbortSignal): Promise<WireClient> {
  const started = performance.now();
  const target = {
    ...login.address,
    user: login.user,
    password: login.password,
    database: login.database,
    applicationName: login.applicationName ?? 'poolsmith',
  };
  try {
    return await WireClient.open({ ...target, tls: false }, timeoutMs, signal);
  } catch (error) {
    if (!asksForTls(error)) {
      throw error;
    }
    const leftMs = Math.max(1, timeoutMs - (performance.now() - started));
    return await WireClient.open({ ...target, tls: UNVERIFIED_TLS }, leftMs, signal);
  }
}

function asksForTls(error: unknown): boolean {
  return error instanceof Error && /\bSSL required\b/i.test(error.message);
}

/** An error of the driver as an AdminError. `secret` never shows in its message, whatever the other side sends. */
export function adminErrorOf(error: unknown, doing: string, secret: SecretText): AdminError {
  if (error instanceof AdminError) {
    return error;
  }
  const { message, code, severity } = fieldsOf(error);
  const text = `while ${doing}: ${withoutSecret(message, secret)}`;
  if (error instanceof WireTimeout) {
    return new AdminError('timeout', text);
  }
  if (isAuthenticationFailure(message, code)) {
    return new AdminError('authentication', text);
  }
  if (severity === 'ERROR' || (severity === 'FATAL' && doing === LOGGING_IN)) {
    return new AdminError('refused', text);
  }
  return new AdminError('unreachable', text);
}

export const LOGGING_IN = 'logging in';

function isAuthenticationFailure(message: string, code: string | undefined): boolean {
  return (
    code === '28P01' ||
    code === '28000' ||
    // PgBouncer gives its own refusals the code of a protocol violation; `SASL:` is the driver finding the server's proof wrong.
    /authentication failed|^SASL:|not allowed|no authentication method/i.test(message)
  );
}

function fieldsOf(error: unknown) {
  const record = error as { message?: unknown; code?: unknown; severity?: unknown };
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return { message: text(record.message) ?? String(error), code: text(record.code), severity: text(record.severity) };
}

function withoutSecret(message: string, secret: SecretText): string {
  const text = secret.reveal();
  return text === '' ? message : message.replaceAll(text, '***');
}
