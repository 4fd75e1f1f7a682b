// The address of a Service as this machine reaches it, once somebody answers there.
import { connect } from 'node:net';
import { RESOURCES } from '../../src/kube/resources.ts';
import { until } from '../cluster/processes.ts';
import { cluster } from './kubectl.ts';

export type Address = Readonly<{ host: string; port: number }>;

const CONNECT_LIMIT_MS = 1_000;

/** Waits for the Service and for an answer: kube-proxy follows endpoints up to a second late, and refuses until then. */
export async function serviceAddress(namespace: string, name: string, timeoutMs = 20_000): Promise<Address> {
  const kube = await cluster();
  const find = async (): Promise<Address | undefined> => {
    const { spec } = (await kube.find(RESOURCES.Service, namespace, name)) ?? {};
    const [host, port] = [spec?.clusterIP, spec?.ports?.[0]?.port];
    if (host === undefined || port === undefined) return undefined;
    await answers({ host, port });
    return { host, port };
  };
  return await until(`Service ${namespace}/${name} to answer`, find, timeoutMs);
}

function answers({ host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: CONNECT_LIMIT_MS });
    socket.on('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.on('timeout', () => socket.destroy(new Error(`${host}:${port} does not answer`)));
    socket.on('error', reject);
  });
}
