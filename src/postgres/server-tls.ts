// The four TLS modes as libpq means them, in the words of Node's TLS.
import type { ConnectionOptions } from 'node:tls';
import type { ServerTrust } from '../model/server-trust.ts';

export function tlsOptionsOf({ mode, caPem, certPem, keyPem }: ServerTrust): false | ConnectionOptions {
  const trust = caPem === undefined ? {} : { ca: caPem };
  const own = certPem === undefined || keyPem === undefined ? {} : { cert: certPem, key: keyPem.reveal() };
  switch (mode) {
    case 'disable':
      return false;
    case 'require':
      return { ...own, rejectUnauthorized: false };
    case 'verify-ca':
      return { ...trust, ...own, rejectUnauthorized: true, checkServerIdentity: () => undefined };
    case 'verify-full':
      return { ...trust, ...own, rejectUnauthorized: true };
  }
}
