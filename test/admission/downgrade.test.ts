// An object stored under a newer CRD, met by an older one: it stays readable, scalable and reportable, and nothing unknown is added.
// The CRD is tried under a group of its own, so that the fleets of the cluster never see the change.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { property, readCrd, rootSchema, type Crd } from '../../scripts/crd-schema.ts';
import { unknownFields } from '../../src/api/unknown-fields.ts';
import { connectToApiServer, type Answer, type Call, type Json } from './api-server.ts';
import { sample } from './corpus.ts';

const GROUP = `downgrade-${process.pid}.example`;
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const DEADLINE_MS = 20_000;

describe('a PoolConfig stored by a newer version (needs KUBECONFIG)', function () {
  this.timeout(60_000);
  let call: Call;
  let close: (() => Promise<void>) | undefined;
  const path = `/apis/${GROUP}/v1alpha1/namespaces/default/poolconfigs`;
  const stored = {
    ...sample({
      'spec/future': 1,
      'spec/server/future': 2,
      'spec/databases/0/future': 3,
      'spec/auth/users/0/future': 4,
      'spec/workloads/0/ref/future': 5,
    }),
    apiVersion: `${GROUP}/v1alpha1`,
  };

  before(async function () {
    const server = await connectToApiServer();
    if (server === undefined) this.skip();
    ({ call, close } = server);
    await install(newer());
    const created = await until(() => call('POST', path, stored), 201);
    assert.deepEqual(unknownFields(created.body['spec']).length, 5);
    await install(ours());
    // The older CRD is in force once a new object with such a field is refused.
    await until(() => call('POST', `${path}?dryRun=All`, { ...stored, metadata: { name: 'probe' } }), 422);
  });

  after(async () => {
    if (close === undefined) return;
    await call('DELETE', `${CRDS}/poolconfigs.${GROUP}`);
    await close();
  });

  const patch = (body: Json, subresource = ''): Promise<Answer> =>
    call('PATCH', `${path}/orders${subresource}`, body, 'application/merge-patch+json');

  it('still shows every unknown field, so that the operator can name it', async () => {
    const { body } = await call('GET', `${path}/orders`);
    assert.equal(unknownFields(body['spec']).length, 5);
  });

  it('takes a status, so that the operator can report the condition', async () => {
    const { status, body } = await patch({ status: { replicas: 1 } }, '/status');
    assert.equal(status, 200, String(body['message']));
  });

  it('can be scaled', async () => {
    const { status, body } = await patch({ spec: { replicas: 3 } }, '/scale');
    assert.equal(status, 200, String(body['message']));
  });

  it('can be corrected one field at a time, and refuses what it has got rid of', async () => {
    const corrected = await patch({ spec: { server: { future: null } } });
    assert.equal(corrected.status, 200, String(corrected.body['message']));
    const again = await patch({ spec: { server: { future: 1 } } });
    assert.equal(again.status, 422);
    assert.match(String(again.body['message']), /spec\.server has a field that does not exist/);
  });

  it('refuses an unknown field in an object that had none', async () => {
    const { status, body } = await patch({ spec: { budget: { future: 1 } } });
    assert.equal(status, 422);
    assert.match(String(body['message']), /spec\.budget has a field that does not exist/);
  });

  async function install(crd: Crd): Promise<void> {
    const url = `${CRDS}/poolconfigs.${GROUP}?fieldManager=test&force=true`;
    const { status, body } = await call('PATCH', url, crd, 'application/apply-patch+yaml');
    assert.ok(status <= 201, String(body['message']));
  }
});

/** Our CRD under a group of its own. */
function ours(change: (crd: Crd) => void = () => undefined): Crd {
  const crd = readCrd({ change }) as Crd & { metadata: Json; spec: Json };
  crd.metadata['name'] = `poolconfigs.${GROUP}`;
  crd.spec['group'] = GROUP;
  crd.spec['names'] = { kind: 'PoolConfig', plural: 'poolconfigs', singular: 'poolconfig', listKind: 'PoolConfigList' };
  return crd;
}

/** The same with a field more in several places. */
function newer(): Crd {
  return ours((crd) => {
    const spec = property(rootSchema(crd), 'spec');
    const places = [
      spec,
      property(spec, 'server'),
      property(spec, 'databases').items,
      property(spec, 'auth', 'users').items,
      property(property(spec, 'workloads').items ?? {}, 'ref'),
    ];
    for (const place of places) {
      assert.ok(place?.properties);
      place.properties['future'] = { type: 'integer' };
    }
  });
}

async function until(ask: () => Promise<Answer>, status: number): Promise<Answer> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const answer = await ask();
    if (answer.status === status) return answer;
    if (performance.now() > deadline)
      throw new Error(`still answers ${answer.status}: ${String(answer.body['message'])}`);
    await pause(100);
  }
}
