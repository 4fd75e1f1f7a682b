import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inClusterCredentials, kubeconfigCredentials } from '../../src/kube/credentials.ts';

const KUBECONFIG = `
apiVersion: v1
kind: Config
current-context: first
clusters:
  - {name: one, cluster: {server: 'https://one:6443/', certificate-authority-data: ${btoa('the ca')}}}
  - {name: two, cluster: {server: 'https://two:6443', insecure-skip-tls-verify: true}}
users:
  - {name: certificate, user: {client-certificate-data: ${btoa('the certificate')}, client-key-data: ${btoa('the key')}}}
  - {name: token, user: {token: secret}}
contexts:
  - {name: first, context: {cluster: one, user: certificate, namespace: shop}}
  - {name: second, context: {cluster: two, user: token}}
`;

describe('credentials', () => {
  let folder: string;
  const former = process.env['KUBECONFIG'];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'credentials-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
    if (former === undefined) {
      delete process.env['KUBECONFIG'];
    } else {
      process.env['KUBECONFIG'] = former;
    }
  });

  it('of a pod come from its service account, and follow a token that is renewed', async () => {
    await writeFile(join(folder, 'token'), 'one\n');
    await writeFile(join(folder, 'ca.crt'), 'the ca');
    await writeFile(join(folder, 'namespace'), 'poolsmith\n');
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    const credentials = inClusterCredentials(env, folder);
    assert.equal(credentials?.server, 'https://[fd00::1]:443');
    assert.equal(credentials.namespace, 'poolsmith');
    assert.equal((await credentials.read()).headers['authorization'], 'Bearer one');
    await writeFile(join(folder, 'token'), 'two');
    const { headers, tls } = await credentials.read();
    assert.equal(headers['authorization'], 'Bearer two');
    assert.equal(String(tls.ca), 'the ca');
  });

  it('of a pod do not exist outside of one', () => {
    assert.equal(inClusterCredentials({}, folder), undefined);
    const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' };
    assert.equal(inClusterCredentials(env, folder), undefined);
  });

  it('of a kubeconfig are those of its current context, or of the one that is named', async () => {
    process.env['KUBECONFIG'] = join(folder, 'config');
    await writeFile(process.env['KUBECONFIG'], KUBECONFIG);
    const first = kubeconfigCredentials();
    assert.deepEqual([first.server, first.namespace], ['https://one:6443', 'shop']);
    const { tls } = await first.read();
    assert.deepEqual([tls.ca, tls.cert, tls.key].map(String), ['the ca', 'the certificate', 'the key']);
    const second = kubeconfigCredentials('second');
    const access = await second.read();
    assert.equal(second.server, 'https://two:6443');
    assert.equal(access.headers['authorization'], 'Bearer secret');
    assert.equal(access.tls.rejectUnauthorized, false);
  });

  it('are refused, with a sentence, when a context names no cluster', async () => {
    process.env['KUBECONFIG'] = join(folder, 'config');
    await writeFile(process.env['KUBECONFIG'], KUBECONFIG);
    assert.throws(() => kubeconfigCredentials('third'), /third/);
  });
});
