// An object stored under a newer CRD, met by an older one: it stays readable, scalable and reportable, and nothing unknown is added.
import assert from 'node:assert/strict';
import { property, rootSchema, type Crd } from '../../scripts/crd-schema.ts';
import { unknownFields } from '../../src/api/unknown-fields.ts';
import { connectToApiServer, type Call } from './api-server.ts';
import { OwnGroup } from './own-group.ts';

const FUTURE = {
  'spec/future': 1,
  'spec/server/future': 2,
  'spec/databases/0/future': 3,
  'spec/auth/users/0/future': 4,
  'spec/workloads/0/ref/future': 5,
};

describe('a PoolConfig stored by a newer version (needs KUBECONFIG)', function () {
  this.timeout(60_000);
  let call: Call;
  let close: (() => Promise<void>) | undefined;
  let group: OwnGroup;

  before(async function () {
    const server = await connectToApiServer();
    if (server === undefined) this.skip();
    ({ call, close } = server);
    group = new OwnGroup(call, 'downgrade');
    await group.install(addFuture);
    await group.store(group.object('orders', FUTURE));
    await group.install();
    // The older CRD is in force once a new object with such a field is refused.
    await group.until(() => call('POST', `${group.path}?dryRun=All`, group.object('probe', FUTURE)), 422);
  });

  after(async () => {
    if (close === undefined) return;
    await group.remove();
    await close();
  });

  it('still shows every unknown field, so that the operator can name it', async () => {
    const { body } = await call('GET', `${group.path}/orders`);
    assert.equal(unknownFields(body['spec']).length, Object.keys(FUTURE).length);
  });

  it('takes a status, so that the operator can report the condition', async () => {
    const { status, body } = await group.patch('orders', { status: { replicas: 1 } }, '/status');
    assert.equal(status, 200, String(body['message']));
  });

  it('can be scaled', async () => {
    const { status, body } = await group.patch('orders', { spec: { replicas: 3 } }, '/scale');
    assert.equal(status, 200, String(body['message']));
  });

  it('can be corrected one field at a time, and refuses what it has got rid of', async () => {
    const corrected = await group.patch('orders', { spec: { server: { future: null } } });
    assert.equal(corrected.status, 200, String(corrected.body['message']));
    const again = await group.patch('orders', { spec: { server: { future: 1 } } });
    assert.equal(again.status, 422);
    assert.match(String(again.body['message']), /spec\.server has a field that does not exist/);
  });

  it('refuses an unknown field in an object that had none', async () => {
    const { status, body } = await group.patch('orders', { spec: { budget: { future: 1 } } });
    assert.equal(status, 422);
    assert.match(String(body['message']), /spec\.budget has a field that does not exist/);
  });
});

/** A field more in every place of FUTURE. */
function addFuture(crd: Crd): void {
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
}
