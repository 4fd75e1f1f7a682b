// Secrets and fields that can't be used: told by name, without their text, while the running fleet goes on.
import assert from 'node:assert/strict';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { ADMIN_USER } from '../../../src/model/reserved-names.ts';
import { applyObjects, cluster, kubectl, tryKubectl } from '../../support/kubectl.ts';
import { applyBasicAuth, applyPool, conditionOf, readPool } from '../../support/pool.ts';
import { childrenOf, podIdentities, poolPods } from '../../support/pool-children.ts';
import { APP, MONITOR, POOL, Stage } from '../../support/stage.ts';
import { assertNaming, Fleet, tells, type Told } from './fleet.ts';

const SECRET = 'orders-app';
const SECOND = { name: 'reporter', password: 'reporter-sesame' };
const WRONG = 'wrong-sesame';
const blocked = (reason: Told['reason']): Told => ({ type: 'ConfigApplied', status: 'False', reason });

describe('a running fleet whose Secrets can not be used', function () {
  this.timeout(120_000);
  const held = new AsyncDisposableStack();
  let stage: Stage;
  let namespace: string;
  let fleet: Fleet;

  before(async () => {
    stage = held.use(await Stage.set({ prefix: 'bad-auth', roles: [SECOND] }));
    namespace = stage.namespace;
    fleet = held.use(await Fleet.prove(stage, stage.pool()));
  });

  after(() => held.disposeAsync());

  const restore = (): Promise<void> => applyBasicAuth(namespace, SECRET, APP.name, APP.password);
  const restorePool = (): Promise<unknown> => applyPool(fleet.pool);
  const remove = async (name: string): Promise<unknown> => (await cluster()).delete(RESOURCES.Secret, namespace, name);

  it('goes on when a user is added whose Secret does not exist', async () => {
    await fleet.meets({
      bad: () => applyPool(fleet.pool.withUsers(SECRET, 'reporter')),
      tells: blocked('SecretMissing'),
      naming: ['spec.auth.users[1].secretRef', 'Secret reporter', 'does not exist', /Create it/],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('goes on when the Secret of its user is deleted', async () => {
    await fleet.meets({
      bad: () => remove(SECRET),
      tells: blocked('SecretMissing'),
      naming: ['spec.auth.users[0].secretRef', `Secret ${SECRET}`, 'does not exist'],
      fleet: 'blocked',
      correct: restore,
    });
  });

  it('goes on when a key is missing, and names the key', async () => {
    await fleet.meets({
      bad: () =>
        applyPool(fleet.pool.with({ auth: { users: [{ secretRef: { name: SECRET }, passwordKey: 'passphrase' }] } })),
      tells: blocked('SecretKeyMissing'),
      naming: [`Secret ${SECRET}`, '"passphrase"', 'passwordKey'],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  const unusable: readonly (readonly [string, string, string, RegExp])[] = [
    ['a password with a newline at its end', APP.name, `${WRONG}\n`, /password.*newline/],
    ['an empty password', APP.name, '', /password is empty/],
    ['a user name with a newline', `${APP.name}\n`, WRONG, /user name.*newline/],
    ['a user name that adds a line to the userlist', `x" ""\n"${ADMIN_USER}`, WRONG, /user name.*control character/],
    ['the user name of the operator itself', ADMIN_USER, WRONG, new RegExp(`"${ADMIN_USER}" is reserved`)],
  ];
  for (const [what, user, password, complaint] of unusable) {
    it(`goes on when its Secret holds ${what}`, async () => {
      await fleet.meets({
        bad: () => applyBasicAuth(namespace, SECRET, user, password),
        tells: blocked('SecretInvalid'),
        naming: ['spec.auth.users[0].secretRef', `Secret ${SECRET}`, complaint],
        fleet: 'blocked',
        correct: restore,
      });
    });
  }

  it('goes on when two Secrets give the same user, and names both', async () => {
    await applyBasicAuth(namespace, 'twin', APP.name, WRONG);
    await fleet.meets({
      bad: () => applyPool(fleet.pool.withUsers(SECRET, 'twin')),
      tells: blocked('SecretInvalid'),
      naming: ['spec.auth.users[1].secretRef', 'Secret twin', `already given by Secret ${SECRET}`],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('goes on when the Secret of its monitor role does not exist', async () => {
    await fleet.meets({
      bad: () => applyPool(fleet.pool.withMonitor('no-monitor')),
      tells: blocked('SecretMissing'),
      naming: ['spec.server.monitorSecretRef', 'Secret no-monitor', 'does not exist'],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('goes on when the Secret of its monitor role lacks a key', async () => {
    const metadata = { namespace, name: 'half-monitor' };
    await applyObjects([{ apiVersion: 'v1', kind: 'Secret', metadata, stringData: { username: MONITOR.name } }]);
    await fleet.meets({
      bad: () => applyPool(fleet.pool.withMonitor('half-monitor')),
      tells: blocked('SecretKeyMissing'),
      naming: ['spec.server.monitorSecretRef', 'Secret half-monitor', '"password"'],
      fleet: 'blocked',
      correct: restorePool,
    });
  });

  it('goes on, and stays Ready, when the password of its monitor role is refused', async () => {
    await fleet.meets({
      bad: () => applyBasicAuth(namespace, 'monitor', MONITOR.name, WRONG),
      tells: { type: 'ServerReachable', status: 'False', reason: 'PasswordRefused' },
      naming: ['monitor', 'Secret monitor'],
      fleet: 'served',
      correct: () => applyBasicAuth(namespace, 'monitor', MONITOR.name, MONITOR.password),
    });
  });

  it('never stores a field that it does not know, whatever the client asks the API server to ignore', async () => {
    const before = await readPool(namespace, POOL);
    const { spec, ...rest } = fleet.pool.build();
    const manifest = { ...rest, spec: { ...spec, fleet: { ...spec.fleet, replica: 3 }, poolr: {} } };
    const { code, stderr } = await tryKubectl(['apply', '--validate=ignore', '-f', '-'], JSON.stringify(manifest));
    assert.notEqual(code, 0, 'the field was lost in silence');
    assert.match(stderr, /replica|poolr/);
    const after = await readPool(namespace, POOL);
    assert.equal(after.metadata.generation, before.metadata.generation);
  });

  it('takes an added user up as soon as his Secret exists, and keeps him when it is deleted again', async () => {
    const pods = await podIdentities(namespace, POOL);
    const mark = fleet.load.mark();
    const letIn = async (): Promise<void> => {
      const client = await stage.client(SECOND);
      await client.query('SELECT 1');
      await client.end();
    };
    await applyPool(fleet.pool.withUsers(SECRET, 'reporter'));
    await tells(namespace, POOL, blocked('SecretMissing'));
    await applyBasicAuth(namespace, 'reporter', SECOND.name, SECOND.password);
    await fleet.whole();
    await letIn();
    await remove('reporter');
    await tells(namespace, POOL, blocked('SecretMissing'));
    // He goes by being left out of the spec: until then nothing of the fleet moves.
    await letIn();
    await restorePool();
    await fleet.whole();
    assert.deepEqual(await podIdentities(namespace, POOL), pods);
    assert.equal(fleet.load.since(mark).failed, 0, JSON.stringify(fleet.load.tally.errors));
  });

  it('has let no password out', async () => {
    await fleet.keptSecret([APP.password, MONITOR.password, SECOND.password, WRONG]);
  });

  it('is not built before the Secret of a new PoolConfig exists, and is Ready by itself when it does', async () => {
    const pool = stage.pool('early').withUsers('later').withBudget(8);
    await applyPool(pool);
    const live = await tells(namespace, 'early', { type: 'Ready', status: 'False', reason: 'SecretMissing' });
    assertNaming(live, { tells: blocked('SecretMissing'), naming: ['spec.auth.users[0].secretRef', 'Secret later'] });
    assert.equal(conditionOf(live, 'Stalled')?.reason, 'SecretMissing');
    assert.deepEqual(await poolPods(namespace, 'early'), []);
    await applyBasicAuth(namespace, 'later', SECOND.name, SECOND.password);
    await tells(namespace, 'early', { type: 'Ready', status: 'True', reason: 'Proved' });
    assert.ok((await childrenOf(namespace, 'early')).length > 0);
    await kubectl(['delete', 'poolconfig', '-n', namespace, 'early', '--wait=false']);
  });
});
