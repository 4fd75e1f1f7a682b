// A namespace that enforces the Pod Security level "restricted": a fleet comes up there and serves.
import assert from 'node:assert/strict';
import { imageOf } from '../support/cluster-images.ts';
import { kubectl } from '../support/kubectl.ts';
import { closing, POOL, Stage } from '../support/stage.ts';

describe('a namespace that enforces the restricted Pod Security level', function () {
  this.timeout(90_000);
  let stage: Stage;

  before(async () => {
    stage = await Stage.set({ prefix: 'restricted', enforceRestricted: true });
  });

  after(() => stage[Symbol.asyncDispose]());

  it('refuses a pod that breaks it, so that the next test shows something', async () => {
    const args = ['run', 'root', '-n', stage.namespace, `--image=${imageOf('postgres')}`, '--restart=Never'];
    await assert.rejects(() => kubectl(args), /violates PodSecurity "restricted/);
  });

  it('runs a fleet that is Ready and serves', async () => {
    const { live } = await stage.prove(stage.pool());
    assert.equal(live.status?.readyReplicas, 2);
    await using connection = closing(await stage.client());
    assert.equal((await connection.client.query('SELECT 1')).rowCount, 1);
  });

  it('makes no object that the level would warn of', async () => {
    const pods = await kubectl([
      'get',
      'pods',
      '-n',
      stage.namespace,
      '-l',
      `poolsmith.dev/pool=${POOL}`,
      '-o',
      'json',
    ]);
    const { items } = JSON.parse(pods) as {
      items: {
        spec: { containers: { securityContext: Record<string, unknown> }[]; automountServiceAccountToken?: boolean };
      }[];
    };
    assert.equal(items.length, 2);
    for (const { spec } of items) {
      assert.equal(spec.automountServiceAccountToken, false);
      for (const { securityContext } of spec.containers) {
        assert.equal(securityContext['allowPrivilegeEscalation'], false);
        assert.equal(securityContext['readOnlyRootFilesystem'], true);
      }
    }
  });
});
