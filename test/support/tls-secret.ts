// A Secret of type kubernetes.io/tls, as cert-manager makes them.
import type { Certificate } from './certificates.ts';
import { applyObjects } from './kubectl.ts';

export async function applyTlsSecret(
  namespace: string,
  name: string,
  { certificate, key }: Pick<Certificate, 'certificate' | 'key'>,
): Promise<void> {
  const stringData = { 'tls.crt': certificate, 'tls.key': key };
  await applyObjects([
    { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', metadata: { namespace, name }, stringData },
  ]);
}
