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

const SQLSTATE = /^[0-9A-Z]{5}$/;

/** The class of an error of a direct connection, whatever it is. Never throws. */
export function serverFaultOf(error: unknown): ServerFault {
  const { code, message, severity } = error as { code?: unknown; message?: unknown; severity?: unknown };
  const text = typeof message === 'string' ? message : '';
  if (typeof code === 'string') {
    // Node's own codes can have five letters too (EPIPE); only a server's message has a severity.
    if (severity !== undefined && SQLSTATE.test(code)) {
      return faultOfSqlState(code);
    }
    if (CERTIFICATE_CODES.has(code) || code.startsWith('ERR_OSSL_PEM') || code.startsWith('ERR_OSSL_X509')) {
      return 'CertificateNotTrusted';
    }
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
export function faultOfSqlState(code: string): ServerFault {
  return BY_SQLSTATE[code] ?? 'LoginRefused';
}
