// Where the API server is and how to prove who we are: from the pod's service account, or from a kubeconfig.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isIPv6 } from 'node:net';
import type { KubeConfig } from '@kubernetes/client-node';

export type TlsMaterial = {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
};

export type Access = {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsMaterial;
  readonly proxyUrl?: string;
};

export interface Credentials {
  /** Base URL of the API server. */
  readonly server: string;
  /** The namespace we run in, or the kubeconfig's. */
  readonly namespace: string | undefined;
  /** Reads everything anew: tokens and certificates rotate under a running process. */
  read(): Promise<Access>;
}

const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The service account that the kubelet mounts into every pod; undefined outside of one. */
export function inClusterCredentials(
  env: NodeJS.ProcessEnv = process.env,
  folder = SERVICE_ACCOUNT_FOLDER,
): Credentials | undefined {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'];
  if (host === undefined || port === undefined) {
    return undefined;
  }
  let namespace: string;
  try {
    readFileSync(`${folder}/token`);
    namespace = readFileSync(`${folder}/namespace`, 'utf8').trim();
  } catch {
    return undefined;
  }
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    namespace,
    read: () =>
      Promise.resolve({
        headers: { authorization: `Bearer ${readFileSync(`${folder}/token`, 'utf8').trim()}` },
        tls: { ca: readFileSync(`${folder}/ca.crt`) },
      }),
  };
}

/** What client-node calls the context it makes up (plain HTTP to this machine) when it finds nothing. */
const CLIENT_NODE_FALLBACK = 'loaded-context';

/**
 * The kubeconfig that KUBECONFIG names, or the one in the home folder.
 * client-node is loaded only here: it costs 80 MB and 0.6 s, and a pod with a service account needs none of it.
 */
export function kubeconfigCredentials(context?: string): Credentials {
  const require = createRequire(import.meta.url);
  const { KubeConfig } = require('@kubernetes/client-node') as typeof import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromDefault();
  if (context !== undefined) {
    config.setCurrentContext(context);
  }
  if (config.getCurrentContext() === CLIENT_NODE_FALLBACK) {
    throw new Error('while looking for a cluster: there is no kubeconfig; set KUBECONFIG, or run in a pod');
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new Error(
      `while reading the kubeconfig: context ${JSON.stringify(config.getCurrentContext())} names no cluster`,
    );
  }
  return {
    server: cluster.server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    read: () => readKubeconfig(config, cluster.proxyUrl),
  };
}

type HttpsOptions = Parameters<KubeConfig['applyToHTTPSOptions']>[0];

async function readKubeconfig(config: KubeConfig, proxyUrl: string | undefined): Promise<Access> {
  if (proxyUrl?.startsWith('socks')) {
    throw new Error('while reading the kubeconfig: a SOCKS proxy is not supported, use an HTTP proxy');
  }
  const options: Record<string, unknown> = {};
  await config.applyToHTTPSOptions(options as HttpsOptions);
  const { headers, auth, ca, cert, key, servername, rejectUnauthorized } = options as {
    readonly headers?: Readonly<Record<string, string>>;
    readonly auth?: string;
  } & TlsMaterial;
  return {
    headers: {
      ...Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])),
      ...(auth === undefined ? {} : { authorization: `Basic ${Buffer.from(auth).toString('base64')}` }),
    },
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(servername === undefined ? {} : { servername }),
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
    },
    ...(proxyUrl === undefined ? {} : { proxyUrl }),
  };
}
