// Tries a login straight to PostgreSQL, to name the cause when a login through the pooler failed.
import type { SecretText } from '../model/secret-text.ts';
import type { ServerTrust } from '../model/server-trust.ts';
import type { ServerFault } from '../model/server-view.ts';
import { foreignAddressesOnly } from './address-guard.ts';
import type { AddressGuard } from './address-guard.ts';
import { serverFaultOf } from './fault.ts';
import { tlsOptionsOf } from './server-tls.ts';
import { WireClient } from './wire-client.ts';

export type LoginTrial = {
  readonly host: string;
  readonly port: number;
  readonly tls: ServerTrust;
  readonly user: string;
  readonly password: SecretText;
  readonly database: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Name to resolve in place of `host`. */
  readonly lookupName?: string;
  /** Which addresses may be tried; default: none of this machine or its node. */
  readonly guard?: AddressGuard;
};

export type LoginTrialResult =
  { readonly ok: true; readonly versionNumber: number } | { readonly ok: false; readonly fault: ServerFault };

/** One login and one query, then the connection is closed. Rejects only with the signal's reason. */
export async function tryLogin(trial: LoginTrial): Promise<LoginTrialResult> {
  let wire: WireClient | undefined;
  try {
    wire = await WireClient.open(
      {
        host: trial.host,
        ...(trial.lookupName === undefined ? {} : { lookupName: trial.lookupName }),
        port: trial.port,
        user: trial.user,
        password: trial.password,
        database: trial.database,
        applicationName: 'poolsmith-trial',
        tls: tlsOptionsOf(trial.tls),
        guard: trial.guard ?? foreignAddressesOnly,
      },
      trial.timeoutMs,
      trial.signal,
    );
    const answer = await wire.query('SHOW server_version_num', trial.timeoutMs, 'asking for the version', trial.signal);
    return { ok: true, versionNumber: Number(answer.rows[0]?.['server_version_num']) };
  } catch (error) {
    trial.signal?.throwIfAborted();
    return { ok: false, fault: serverFaultOf(error) };
  } finally {
    await wire?.close();
  }
}
