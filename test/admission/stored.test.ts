// Stored PoolConfigs: patches are judged like new objects, and the scale and status subresources do what autoscalers and tools expect.
import assert from 'node:assert/strict';
import { connectToApiServer, type Call, type Json } from './api-server.ts';
import { OwnGroup } from './own-group.ts';

describe('a stored PoolConfig (needs KUBECONFIG)', function () {
  this.timeout(60_000);
  let call: Call;
  let close: (() => Promise<void>) | undefined;
  let group: OwnGroup;

  before(async function () {
    const server = await connectToApiServer();
    if (server === undefined) this.skip();
    ({ call, close } = server);
    group = new OwnGroup(call, 'stored');
    await group.install();
    await group.store(group.object('first'));
  });

  after(async () => {
    if (close === undefined) return;
    await group.remove();
    await close();
  });

  it('refuses a misspelt field in a merge-patch, and takes the right one', async () => {
    await group.store(group.object('patched'));
    const refused = await group.patch('patched', { spec: { fleet: { replica: 3 } } });
    assert.equal(refused.status, 422);
    assert.match(String(refused.body['message']), /spec\.fleet has a field that does not exist.*replicas/);
    const accepted = await group.patch('patched', { spec: { fleet: { replicas: 3 } } });
    assert.equal(accepted.status, 200, String(accepted.body['message']));
  });

  it('scales through the scale subresource, and not out of its bounds', async () => {
    await group.store(group.object('scaled'));
    const scaled = await group.patch('scaled', { spec: { replicas: 5 } }, '/scale');
    assert.equal(scaled.status, 200, String(scaled.body['message']));
    const { body } = await call('GET', `${group.path}/scaled`);
    assert.equal(((body['spec'] as Json)['fleet'] as Json)['replicas'], 5);
    for (const replicas of [0, 51]) {
      const refused = await group.patch('scaled', { spec: { replicas } }, '/scale');
      assert.equal(refused.status, 422);
      assert.match(String(refused.body['message']), new RegExp(`spec\\.fleet\\.replicas: Invalid value: ${replicas}`));
    }
  });

  it('shows replicas and selector of the status to autoscalers, and keeps the spec out of status writes', async () => {
    await group.store(group.object('observed'));
    const status = { replicas: 2, readyReplicas: 2, selector: 'poolsmith.dev/pool=observed', observedGeneration: 1 };
    const written = await group.patch('observed', { status, spec: { fleet: { replicas: 9 } } }, '/status');
    assert.equal(written.status, 200, String(written.body['message']));
    const scale = await call('GET', `${group.path}/observed/scale`);
    assert.deepEqual(scale.body['status'], { replicas: 2, selector: 'poolsmith.dev/pool=observed' });
    assert.deepEqual(scale.body['spec'], { replicas: 2 });
  });

  it('keeps the status out of spec writes, and does not raise the generation for a status', async () => {
    await group.store(group.object('apart'));
    await group.patch('apart', { status: { size: 7 } }, '/status');
    const { body } = await group.patch('apart', { status: { size: 8 }, spec: { fleet: { replicas: 3 } } });
    assert.equal((body['status'] as Json)['size'], 7);
    assert.equal((body['metadata'] as Json)['generation'], 2);
  });

  it('shows what people look for in kubectl get', async () => {
    await group.store(group.object('shown'));
    const condition = {
      type: 'Ready',
      status: 'True',
      reason: 'Proved',
      message: '',
      lastTransitionTime: '2026-11-21T10:00:00Z',
    };
    const status = {
      conditions: [condition],
      replicas: 2,
      readyReplicas: 2,
      size: 60,
      budget: { budget: 75 },
      image: 'pgbouncer:1',
    };
    const written = await group.patch('shown', { status }, '/status');
    assert.equal(written.status, 200, String(written.body['message']));
    const table = await call(
      'GET',
      `${group.path}/shown`,
      undefined,
      'application/json',
      'application/json;as=Table;v=v1;g=meta.k8s.io',
    );
    const names = (table.body['columnDefinitions'] as Json[]).map((column) => column['name']);
    const cells = (table.body['rows'] as Json[])[0]?.['cells'] as unknown[];
    const row = Object.fromEntries(names.map((name, index) => [String(name), cells[index]]));
    assert.deepEqual(
      { ...row, Age: undefined },
      {
        Name: 'shown',
        Ready: 'True',
        Pods: 2,
        Replicas: 2,
        Size: 60,
        Budget: 75,
        Server: 'orders-db.shop.svc',
        Age: undefined,
        Reason: 'Proved',
        Image: 'pgbouncer:1',
      },
    );
  });
});
