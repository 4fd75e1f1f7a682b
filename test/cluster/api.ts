// The few requests to the API server that starting a cluster takes, as its administrator.
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { certificateFile, keyFile } from './certificates.ts';
import type { Layout } from './layout.ts';

const TIMEOUT_MS = 5_000;

type Node = Readonly<{
  status: { conditions?: { type: string; status: string }[] };
  spec: { taints?: { key: string }[] };
}>;

/** GETs `path`, or POSTs `body` to it; answers status and text. */
export function askApi(layout: Layout, path: string, body?: object): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const options = {
      agent: false as const,
      ca: readFileSync(certificateFile(layout, 'ca')),
      cert: readFileSync(certificateFile(layout, 'admin')),
      key: readFileSync(keyFile(layout, 'admin')),
      headers: { 'content-type': 'application/json' },
      method: body === undefined ? 'GET' : 'POST',
      timeout: TIMEOUT_MS,
    };
    const call = request(`${layout.apiUrl}${path}`, options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('error', reject).on('end', () => {
        resolve({ status: response.statusCode ?? 0, text });
      });
    });
    call.on('timeout', () => call.destroy(new Error(`${path}: no answer`)));
    call.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

export async function isApiReady(layout: Layout): Promise<boolean> {
  return (await askApi(layout, '/readyz')).status === 200;
}

/** Whether the node is ready, pods may be scheduled on it, and its kubelet answers now (its condition lags by up to 40 s). */
export async function isNodeReady(layout: Layout): Promise<boolean> {
  const path = `/api/v1/nodes/${layout.nodeName}`;
  const { status, text } = await askApi(layout, path);
  if (status !== 200) return false;
  const node = JSON.parse(text) as Node;
  const isReady = node.status.conditions?.some(
    (condition) => condition.type === 'Ready' && condition.status === 'True',
  );
  const isBarred = node.spec.taints?.some(({ key }) => /^node\.kubernetes\.io\/(not-ready|unreachable)$/.test(key));
  if (isReady !== true || isBarred === true) return false;
  return (await askApi(layout, `${path}/proxy/healthz`)).status === 200;
}

export async function hasDefaultServiceAccount(layout: Layout): Promise<boolean> {
  return (await askApi(layout, '/api/v1/namespaces/default/serviceaccounts/default')).status === 200;
}
