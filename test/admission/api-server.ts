// The real API server as the admission tests see it: raw requests, so that no client hides what the server itself says.
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { parse } from 'yaml';
import { kubeconfigCredentials } from '../../src/kube/credentials.ts';

const CRD_FILE = new URL('../../crds/poolsmith.dev_poolconfigs.yaml', import.meta.url);
const DEADLINE_MS = 20_000;
const POLL_MS = 100;

export type Json = Record<string, unknown>;
export type Answer = { readonly status: number; readonly body: Json };
export type Call = (
  method: string,
  path: string,
  body?: unknown,
  contentType?: string,
  accept?: string,
) => Promise<Answer>;

/** Answers of the cluster that KUBECONFIG names; undefined without one. */
export async function connectToApiServer(): Promise<{ call: Call; close: () => Promise<void> } | undefined> {
  if ((process.env['KUBECONFIG'] ?? '') === '') return undefined;
  const credentials = kubeconfigCredentials();
  const { headers, tls } = await credentials.read();
  const dispatcher = new Agent({ connect: { ...tls }, connections: 4 });
  const call: Call = async (method, path, body, contentType = 'application/json', accept = 'application/json') => {
    const response = await request(`${credentials.server}${path}`, {
      dispatcher,
      method: method as 'GET',
      headers: { ...headers, accept, ...(body === undefined ? {} : { 'content-type': contentType }) },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      headersTimeout: DEADLINE_MS,
      bodyTimeout: DEADLINE_MS,
    });
    const text = await response.body.text();
    const parsed: unknown = text.startsWith('{') ? JSON.parse(text) : { message: text };
    return { status: response.statusCode, body: parsed as Json };
  };
  return { call, close: () => dispatcher.close() };
}

/** Applies the CRD of this checkout and waits until the server judges by it. */
export async function installCrd(call: Call): Promise<void> {
  const text = await readFile(CRD_FILE, 'utf8');
  const name = (parse(text) as { metadata: { name: string } }).metadata.name;
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`;
  const applied = await call(
    'PATCH',
    `${path}?fieldManager=poolsmith-admission-test&force=true`,
    text,
    'application/apply-patch+yaml',
  );
  if (applied.status > 201) throw new Error(`while applying the CRD: ${String(applied.body['message'])}`);
  const wanted = constraints(
    at(parse(text), 'spec', 'versions', '0', 'schema', 'openAPIV3Schema', 'properties', 'spec'),
  );
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const served = await call('GET', '/openapi/v3/apis/poolsmith.dev/v1alpha1');
    const schema = at(served.body, 'components', 'schemas', 'dev.poolsmith.v1alpha1.PoolConfig', 'properties', 'spec');
    if (constraints(schema) === wanted) return;
    if (performance.now() > deadline)
      throw new Error('while waiting for the CRD: the API server still serves another schema');
    await pause(POLL_MS);
  }
}

/** Everything in a schema that judges, as one text; the published schema keeps these words as they are. */
function constraints(schema: unknown): string {
  const found: string[] = [];
  JSON.stringify(schema, (key, value: unknown) => {
    if (
      /^(rule|message|messageExpression|minimum|maximum|m(in|ax)(Length|Items)|pattern)$/.test(key) &&
      (typeof value === 'string' || typeof value === 'number')
    ) {
      found.push(`${key}=${value}`);
    }
    return value;
  });
  return found.sort().join('\n');
}

function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce((inner, key) => (inner as Json | undefined)?.[key], value);
}
