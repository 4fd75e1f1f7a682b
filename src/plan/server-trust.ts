// What the operator's own logins at the server trust and show: what the poolers do, or are about to.
import type { Observation } from '../model/observation.ts';
import { SecretText } from '../model/secret-text.ts';
import type { ServerTrust } from '../model/server-trust.ts';
import { serverCertSecret } from '../api/poolconfig.ts';
import { storedFiles } from './children.ts';
import { readServerCa } from './policies/authorities.ts';
import { serverCertificateAtAnyTime } from './policies/own-certificates.ts';
import { readProvedRecord } from './proved-record.ts';

/** Where the Secret of the certificate is gone or spoiled, the pods go on with the one they have, and so does the operator. */
export function serverTrust(observation: Observation): ServerTrust {
  const { ca } = readServerCa(observation);
  const own = serverCertificateAtAnyTime(observation) ?? certificateInUse(observation);
  return {
    mode: observation.pool.spec.server.tls.mode,
    ...(ca === undefined ? {} : { caPem: ca.reveal() }),
    ...(own === undefined ? {} : { certPem: own.certificate.reveal(), keyPem: own.key }),
  };
}

function certificateInUse(
  observation: Observation,
): { readonly certificate: SecretText; readonly key: SecretText } | undefined {
  if (serverCertSecret(observation.pool) === undefined) return undefined;
  const { certFile, keyFile } = readProvedRecord(observation)?.model.serverTls ?? {};
  const { data } = storedFiles(observation);
  const read = (file: string | undefined): SecretText | undefined => {
    const text = file === undefined ? undefined : data[file];
    return text === undefined ? undefined : new SecretText(Buffer.from(text, 'base64').toString('utf8'));
  };
  const [certificate, key] = [read(certFile), read(keyFile)];
  return certificate === undefined || key === undefined ? undefined : { certificate, key };
}
