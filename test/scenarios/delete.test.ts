// A PoolConfig is deleted: everything made for it goes, everything of the user's stays, and its name can be used again.
import assert from 'node:assert/strict';
import { kubectl } from '../support/kubectl.ts';
import { childrenOf, waitUntilGone } from '../support/pool-children.ts';
import { closing, measured, POOL, seconds, Stage } from '../support/stage.ts';

const KINDS =
  'all,configmaps,secrets,poddisruptionbudgets,networkpolicies,poolconfigs,endpointslices,leases,serviceaccounts,roles';

describe('a PoolConfig that is deleted', function () {
  this.timeout(90_000);
  let stage: Stage;
  let namespace: string;

  before(async () => {
    stage = await Stage.set({ prefix: 'delete' });
    namespace = stage.namespace;
  });

  after(() => stage[Symbol.asyncDispose]());

  /** Everything in the namespace but what Kubernetes itself writes by the way. */
  async function everything(): Promise<readonly string[]> {
    const names = await kubectl(['get', KINDS, '-n', namespace, '-o', 'name']);
    return names
      .split('\n')
      .filter((name) => name !== '')
      .sort();
  }

  it('takes all of its children with it, by label and by name, and leaves the user’s Secrets as they were', async () => {
    const before = await everything();
    const secrets = await kubectl([
      'get',
      'secrets',
      '-n',
      namespace,
      '-o',
      'jsonpath={.items[*].metadata.resourceVersion}',
    ]);
    await stage.prove(stage.pool());
    const made = await childrenOf(namespace, POOL);
    assert.ok(made.length >= 8, made.join(', '));
    const startedMs = performance.now();
    await kubectl(['delete', '-n', namespace, 'pcfg', POOL]);
    await waitUntilGone(namespace, POOL);
    measured(`${made.length} children gone ${seconds(performance.now() - startedMs)} after kubectl delete`);
    assert.deepEqual(await everything(), before);
    const after = await kubectl([
      'get',
      'secrets',
      '-n',
      namespace,
      '-o',
      'jsonpath={.items[*].metadata.resourceVersion}',
    ]);
    assert.equal(after, secrets);
  });

  it('can be created again under the same name', async () => {
    const { live } = await stage.prove(stage.pool());
    assert.equal(live.status?.readyReplicas, 2);
    await using connection = closing(await stage.client());
    await connection.client.query('SELECT 1');
  });

  it('can be deleted and created again at once, while its former pods are still going', async () => {
    await kubectl(['delete', '-n', namespace, 'pcfg', POOL]);
    const { live, tookMs } = await stage.prove(stage.pool());
    measured(`created again at once: Ready after ${seconds(tookMs)}`);
    assert.equal(live.status?.readyReplicas, 2);
    await using sampler = await stage.sampler();
    await using load = await stage.load({ clients: 20, holdMs: 10 });
    await load.done(300);
    assert.ok(sampler.lap().peak <= 16);
  });
});
