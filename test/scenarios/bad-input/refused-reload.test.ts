// A setting that the user's own PgBouncer does not know: RELOAD refuses it on one pod, which goes back, and the others never see it.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import { join } from 'node:path';
import { until } from '../../cluster/processes.ts';
import { applyPool } from '../../support/pool.ts';
import { poolPods } from '../../support/pool-children.ts';
import { importPoolerWithout } from '../../support/older-pooler.ts';
import { settingInForce } from '../../support/pooler-console.ts';
import { Stage } from '../../support/stage.ts';
import { Fleet } from './fleet.ts';

/** Since 1.25; neither our defaults nor boot.ini have it. */
const SETTING = 'query_wait_notify';

describe('a RELOAD that PgBouncer refuses', function () {
  this.timeout(120_000);
  const held = new AsyncDisposableStack();
  let stage: Stage;
  let fleet: Fleet;

  before(async function () {
    const folder = await mkdtemp(join(tmpdir(), 'poolsmith-older-'));
    held.defer(() => rm(folder, { recursive: true, force: true }));
    const image = await importPoolerWithout(SETTING, folder);
    if (image === undefined) this.skip();
    stage = held.use(await Stage.set({ prefix: 'refused-reload' }));
    fleet = held.use(await Fleet.prove(stage, stage.pool().with({ pooler: { image } })));
  });

  after(() => held.disposeAsync());

  it('is told in its own words, changes nothing that stays, cuts no transaction, and the correction goes on by itself', async () => {
    const { namespace } = stage;
    const proved = await settingInForce(namespace, fleet.name, 'syslog_ident');
    await fleet.meets({
      bad: () => applyPool(fleet.pool.withParameters({ [SETTING]: 7 })),
      tells: { type: 'ConfigApplied', status: 'False', reason: 'ConfigRefused' },
      naming: [SETTING, 'last proved configuration'],
      fleet: 'blocked',
      meanwhile: async () => {
        // The refused file had been applied down to that line; on the pod that tried it boot.ini takes its place at once, the former file follows.
        const back = async (): Promise<true | undefined> =>
          isDeepStrictEqual(await settingInForce(namespace, fleet.name, 'syslog_ident'), proved) || undefined;
        await until('both pods running what they ran before', back, 10_000);
        assert.equal((await poolPods(namespace, fleet.name)).length, 2);
      },
      correct: () => applyPool(fleet.pool),
    });
  });
});
