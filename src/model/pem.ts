// PEM texts: the certificates and the key that Secrets hold, or what is wrong with them in words for the user.
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';

/** Up to the next mark of any kind, so that a block without its end is one of them, and is refused below. */
const CERTIFICATE = /-----BEGIN CERTIFICATE-----(?:(?!-----)[^])*(?:-----END CERTIFICATE-----)?/g;

/** Every certificate in the order of the text, at least one; or what is wrong. */
export function readCertificates(text: string): readonly [X509Certificate, ...X509Certificate[]] | string {
  const certificates: X509Certificate[] = [];
  for (const block of text.match(CERTIFICATE) ?? []) {
    try {
      certificates.push(new X509Certificate(block));
    } catch {
      return 'holds a PEM block that is not a certificate.';
    }
  }
  const [first, ...rest] = certificates;
  return first === undefined ? 'holds no PEM certificate (-----BEGIN CERTIFICATE-----).' : [first, ...rest];
}

/** One authority is often replaced by two in one file, of which the former may have expired meanwhile. */
export function lastsUntilMs(certificates: readonly X509Certificate[]): number {
  return Math.max(...certificates.map(({ validToDate }) => validToDate.getTime()));
}

/** The private key, or what is wrong; nothing of the text shows in the words. */
export function readPrivateKey(text: string): KeyObject | string {
  if (!text.includes('PRIVATE KEY-----')) return 'holds no PEM private key (-----BEGIN PRIVATE KEY-----).';
  if (/BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED/m.test(text))
    return 'holds a key that is encrypted with a passphrase; PgBouncer can read plain ones only.';
  try {
    return createPrivateKey(text);
  } catch {
    return 'holds a PEM block that is not a private key.';
  }
}
