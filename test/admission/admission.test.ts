// The PoolConfig API on a real API server: good objects are stored whole, bad ones are refused in words that help.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { connectToApiServer, installCrd, type Answer, type Call, type Json } from './api-server.ts';
import { BAD, GOOD, sample } from './corpus.ts';
import { BAD_PARAMETERS, GOOD_PARAMETERS } from './parameters.ts';

const NAMESPACE = `admission-${process.pid}`;
const POOLS = '/apis/poolsmith.dev/v1alpha1/namespaces';
const EXAMPLES = new URL('../../examples/', import.meta.url);

describe('admission of PoolConfigs (needs KUBECONFIG)', function () {
  this.timeout(60_000);
  let call: Call;
  let close: (() => Promise<void>) | undefined;

  before(async function () {
    const server = await connectToApiServer();
    if (server === undefined) {
      this.skip();
    }
    ({ call, close } = server);
    await installCrd(call);
    const created = await call('POST', '/api/v1/namespaces', { metadata: { name: NAMESPACE } });
    assert.equal(created.status, 201, String(created.body['message']));
  });

  after(async () => {
    if (close === undefined) return;
    await call('DELETE', `/api/v1/namespaces/${NAMESPACE}`);
    await close();
  });

  /** The server's own judgement: nothing is stored, and fieldValidation=Ignore is what a careless client asks for. */
  const judge = (object: Json): Promise<Answer> =>
    call('POST', `${POOLS}/${NAMESPACE}/poolconfigs?dryRun=All&fieldValidation=Ignore`, object);

  describe('accepts', () => {
    for (const [name, changes] of [...GOOD, ...GOOD_PARAMETERS]) {
      it(`${name}, and keeps every field of it`, async () => {
        const object = sample(changes);
        const { status, body } = await judge(object);
        assert.equal(status, 201, String(body['message']));
        assertHolds(body['spec'], object['spec'], 'spec');
      });
    }
  });

  describe('refuses', () => {
    for (const [name, changes, ...says] of [...BAD, ...BAD_PARAMETERS]) {
      it(`${name}, and says ${says[0] ?? 'why'}`, async () => {
        const { status, body } = await judge(sample(changes));
        assert.equal(status, 422, `answered ${status}: ${String(body['message'])}`);
        const message = String(body['message']);
        for (const words of says) assert.ok(message.includes(words), `"${words}" is not in: ${message}`);
      });
    }
  });

  describe('examples', () => {
    it('accepts every example and keeps every field of it', async () => {
      const files = (await readdir(EXAMPLES)).filter((file) => file.endsWith('.yaml'));
      assert.ok(files.length >= 3);
      for (const file of files) {
        const object = parse(await readFile(new URL(file, EXAMPLES), 'utf8')) as Json;
        const { status, body } = await judge({
          ...object,
          metadata: { ...(object['metadata'] as Json), namespace: NAMESPACE },
        });
        assert.equal(status, 201, `${file}: ${String(body['message'])}`);
        assertHolds(body['spec'], object['spec'], 'spec');
      }
    });
  });

  describe('misspelt fields', () => {
    for (const validation of ['Ignore', 'Warn', 'Strict']) {
      it(`refuses a misspelt field from a client that asks for fieldValidation=${validation}`, async () => {
        const object = sample({ 'spec/databases/0/poolmode': 'session' });
        const path = `${POOLS}/${NAMESPACE}/poolconfigs?dryRun=All&fieldValidation=${validation}`;
        const { status, body } = await call('POST', path, object);
        assert.equal(status, 422);
        assert.match(String(body['message']), /spec\.databases\[0\].*does not exist.*poolMode/);
      });
    }

    it('refuses a misspelt field in a server-side apply', async () => {
      const object = sample({ 'spec/flet': { replicas: 3 } });
      const path = `${POOLS}/${NAMESPACE}/poolconfigs/orders?dryRun=All&fieldManager=test&force=true`;
      const { status, body } = await call('PATCH', path, object, 'application/apply-patch+yaml');
      assert.equal(status, 422);
      assert.match(String(body['message']), /spec has a field that does not exist/);
    });
  });
});

/** Fails unless `actual` has everything that `expected` has; defaults may come on top. */
function assertHolds(actual: unknown, expected: unknown, path: string): void {
  if (Array.isArray(expected)) {
    assert.ok(Array.isArray(actual) && actual.length === expected.length, `${path} has another length`);
    for (const [index, item] of expected.entries()) assertHolds(actual[index], item, `${path}[${index}]`);
  } else if (typeof expected === 'object' && expected !== null) {
    for (const [key, value] of Object.entries(expected)) {
      if (value !== undefined) assertHolds((actual as Json | undefined)?.[key], value, `${path}.${key}`);
    }
  } else {
    assert.deepEqual(actual, expected, path);
  }
}
