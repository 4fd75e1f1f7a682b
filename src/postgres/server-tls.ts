// The four TLS modes as libpq means them, in the words of Node's TLS.
import type { ConnectionOptions } from 'node:tls';
import type { ServerTlsMode } from '../model/pooler-model.ts';

/** `caPem` is used by the verifying modes; without it they trust the public authorities. */
export type ServerTls = { readonly mode: ServerTlsMode; readonly caPem?: string };

export function tlsOptionsOf({ mode, caPem }: ServerTls): false | ConnectionOptions {
  const trust = caPem === undefined ? {} : { ca: caPem };
  switch (mode) {
    case 'disable':
      return false;
    case 'require':
      return { rejectUnauthorized: false };
    case 'verify-ca':
      return { ...trust, rejectUnauthorized: true, checkServerIdentity: () => undefined };
    case 'verify-full':
      return { ...trust, rejectUnauthorized: true };
  }
}
