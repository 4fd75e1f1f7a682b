// Which certificate a pooler shows to clients: a TLS handshake as a client makes it, without a login.
import { connect, type TLSSocket } from 'node:tls';
import { AdminError } from './errors.ts';
import type { ConsoleAddress } from './session.ts';

export type HandshakeOptions = {
  readonly address: ConsoleAddress;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
};

/**
 * SHA-256 fingerprint of the certificate, as `X509Certificate.fingerprint256` writes it; undefined where the pooler speaks no TLS: then it
 * answers nothing. PgBouncer takes a handshake without the SSLRequest message before it since 1.25 (as PostgreSQL 17 does, asked for by ALPN).
 * @throws AdminError `unreachable` or `timeout` when there is no connection at all.
 */
export async function shownCertificate({ address, timeoutMs, signal }: HandshakeOptions): Promise<string | undefined> {
  signal?.throwIfAborted();
  const socket = connect({ ...address, ALPNProtocols: ['postgresql'], rejectUnauthorized: false });
  try {
    return await new Promise<string | undefined>((resolve, reject) => {
      let isOpen = false;
      socket.setTimeout(timeoutMs, () => {
        if (isOpen) resolve(undefined);
        else reject(new AdminError('timeout', `while asking for the certificate: no answer within ${timeoutMs} ms`));
      });
      signal?.addEventListener('abort', () => {
        reject(signal.reason as Error);
      });
      socket.once('connect', () => (isOpen = true));
      socket.once('secureConnect', () => {
        resolve(fingerprintOf(socket));
      });
      socket.once('error', ({ message }) => {
        if (isOpen) resolve(undefined);
        else reject(new AdminError('unreachable', `while asking for the certificate: ${message}`));
      });
      socket.once('close', () => {
        resolve(undefined);
      });
    });
  } finally {
    socket.destroy();
  }
}

function fingerprintOf(socket: TLSSocket): string | undefined {
  return socket.getPeerX509Certificate()?.fingerprint256;
}
