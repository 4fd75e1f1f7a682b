// Sorts everything that can go wrong on the way to a PostgreSQL into a closed set of classes; raw error text ends here.
import type { ServerFault } from '../model/server-view.ts';

/** SQLSTATE → class. What is not here and comes from the server's login is a LoginRefused. */
const BY_SQLSTATE: Readonly<Record<string, ServerFault>> = {
  '28P01': 'PasswordRefused',
  '3D000': 'DatabaseMissing',
  '53300': 'TooManyConnections',
  // Shutting down, crashed, starting up.
  '57P01': 'ServerUnreachable',
  '57P02': 'ServerUnreachable',
  '57P03': 'ServerUnreachable',
};

/** Codes of Node's TLS layer about the certificate itself; the other `ERR_SSL_…` ones are failed handshakes. */
const CERTIFICATE_CODES: ReadonlySet<string> = new Set([
  'CERT_CHAIN_TOO_LONG',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'HOSTNAME_MISMATCH',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** Alerts by which a server refuses what it was shown, or asks for more; whatever OpenSSL's release calls their family. */
const REFUSED_BY_ALERT = /^ERR_SSL_.*_ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_\w+)$/;

/** PostgreSQL's words for a line of pg_hba.conf that asks for a certificate; the SQLSTATE is that of every refused login. A server with other lc_messages says it otherwise, and shows as LoginRefused. */
const CERTIFICATE_WANTED = 'requires a valid client certificate';

const SQLSTATE = /^[0-9A-Z]{5}$/;

const LOGIN_REFUSED = '28000';

/** The class of an error of a direct connection, whatever it is. Never throws. */
export function serverFaultOf(error: unknown): ServerFault {
  const { code, message, severity } = error as { code?: unknown; message?: unknown; severity?: unknown };
  const text = typeof message === 'string' ? message : '';
  if (typeof code === 'string') {
    // Node's own codes can have five letters too (EPIPE); only a server's message has a severity.
    if (severity !== undefined && SQLSTATE.test(code)) {
      return faultOfSqlState(code, text);
    }
    if (CERTIFICATE_CODES.has(code) || code.startsWith('ERR_OSSL_PEM') || code.startsWith('ERR_OSSL_X509')) {
      return 'CertificateNotTrusted';
    }
    if (REFUSED_BY_ALERT.test(code)) return 'CertificateRefused';
    if (code.startsWith('ERR_SSL') || code === 'EPROTO') {
      return 'TlsNotOffered';
    }
    return 'ServerUnreachable';
  }
  if (text.includes('does not support SSL')) {
    return 'TlsNotOffered';
  }
  if (text.startsWith('SASL:')) {
    return 'PasswordRefused';
  }
  return 'ServerUnreachable';
}

/** For an error message that PostgreSQL itself sent, directly or through a pooler. */
export function faultOfSqlState(code: string, message: string): ServerFault {
  if (code === LOGIN_REFUSED && message.includes(CERTIFICATE_WANTED)) return 'CertificateRefused';
  return BY_SQLSTATE[code] ?? 'LoginRefused';
}
