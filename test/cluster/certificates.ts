// The certificates and kubeconfigs of one cluster, made by openssl.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './processes.ts';
import type { Layout } from './layout.ts';

/** Who a certificate is for; a group (O=) and a user (CN=) of Kubernetes, or a server with its names. */
type Identity = Readonly<{ name: string; user: string; group?: string; serverNames?: readonly string[] }>;

export function certificateFile(layout: Layout, name: string): string {
  return join(layout.folder, 'certificates', `${name}.crt`);
}

export function keyFile(layout: Layout, name: string): string {
  return join(layout.folder, 'certificates', `${name}.key`);
}

/** Checks the tokens of service accounts. */
export function publicKeyFile(layout: Layout): string {
  return join(layout.folder, 'certificates', 'service-accounts.pub');
}

export function kubeconfigFile(layout: Layout, identity: string): string {
  return identity === 'admin' ? layout.kubeconfig : join(layout.folder, 'certificates', `${identity}.kubeconfig`);
}

function identities(layout: Layout): readonly Identity[] {
  return [
    {
      name: 'kube-apiserver',
      user: 'kube-apiserver',
      serverNames: [
        `IP:${layout.nodeAddress}`,
        `IP:${layout.apiServiceAddress}`,
        ...['', '.default', '.default.svc', '.default.svc.cluster.local'].map((suffix) => `DNS:kubernetes${suffix}`),
      ],
    },
    { name: 'kubelet-client', user: 'kube-apiserver-kubelet-client', group: 'system:masters' },
    { name: 'admin', user: 'admin', group: 'system:masters' },
    { name: 'kube-controller-manager', user: 'system:kube-controller-manager' },
    { name: 'kube-scheduler', user: 'system:kube-scheduler' },
    { name: 'kube-proxy', user: 'system:kube-proxy' },
    { name: 'coredns', user: 'system:coredns' },
    { name: 'kubelet', user: `system:node:${layout.nodeName}`, group: 'system:nodes' },
  ];
}

/** Writes all keys, certificates and kubeconfigs into the state folder. */
export async function createCertificates(layout: Layout): Promise<void> {
  const folder = join(layout.folder, 'certificates');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // Without a configuration of our own openssl adds the extensions of the machine's (CA:TRUE on every certificate).
  const config = join(folder, 'openssl.conf');
  writeFileSync(config, '[req]\ndistinguished_name = name\n[name]\n');
  const request = ['req', '-x509', '-config', config, '-days', '365', '-nodes'];
  const elliptic = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  const ca = ['-subj', '/CN=poolsmith test cluster', '-addext', 'basicConstraints=critical,CA:TRUE'];
  const own = ['-keyout', keyFile(layout, 'ca'), '-out', certificateFile(layout, 'ca')];
  await run('openssl', [...request, ...elliptic, ...ca, ...own]);
  const signed = identities(layout).map((identity) =>
    run('openssl', [
      ...request,
      ...elliptic,
      ...['-CA', certificateFile(layout, 'ca'), '-CAkey', keyFile(layout, 'ca')],
      ...['-subj', `${identity.group === undefined ? '' : `/O=${identity.group}`}/CN=${identity.user}`],
      ...(identity.serverNames === undefined
        ? ['-addext', 'extendedKeyUsage=clientAuth']
        : ['-addext', 'extendedKeyUsage=serverAuth', '-addext', `subjectAltName=${identity.serverNames.join(',')}`]),
      ...['-keyout', keyFile(layout, identity.name), '-out', certificateFile(layout, identity.name)],
    ]),
  );
  await Promise.all([...signed, createTokenKeys(layout)]);
  for (const { name, serverNames } of identities(layout)) {
    if (serverNames === undefined) writeKubeconfig(layout, name);
  }
}

/** The keys with which tokens of service accounts are signed and checked. */
async function createTokenKeys(layout: Layout): Promise<void> {
  const key = keyFile(layout, 'service-accounts');
  await run('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-out', key]);
  await run('openssl', ['pkey', '-in', key, '-pubout', '-out', publicKeyFile(layout)]);
}

/** JSON is YAML; the certificates are inside, so that the file can be copied. */
function writeKubeconfig(layout: Layout, identity: string): void {
  const base64 = (file: string): string => readFileSync(file).toString('base64');
  const name = `poolsmith-${layout.name}`;
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name,
        cluster: { server: layout.apiUrl, 'certificate-authority-data': base64(certificateFile(layout, 'ca')) },
      },
    ],
    users: [
      {
        name: identity,
        user: {
          'client-certificate-data': base64(certificateFile(layout, identity)),
          'client-key-data': base64(keyFile(layout, identity)),
        },
      },
    ],
    contexts: [{ name, context: { cluster: name, user: identity } }],
    'current-context': name,
  };
  writeFileSync(kubeconfigFile(layout, identity), `${JSON.stringify(kubeconfig, undefined, 2)}\n`, { mode: 0o600 });
}
