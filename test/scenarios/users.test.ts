// Several users of one database: each is let in with its own password, and one that is removed is let in no more.
import assert from 'node:assert/strict';
import { until } from '../cluster/processes.ts';
import { type Role } from '../support/cluster-postgres.ts';
import { applyBasicAuth, readPool } from '../support/pool.ts';
import { podIdentities } from '../support/pool-children.ts';
import { APP, closing, measured, POOL, seconds, Stage } from '../support/stage.ts';

const READER: Role = { name: 'reader', password: 'reader’s "own" password' };
const BATCH: Role = { name: 'Batch User', password: "back\\slash 'n quote" };
const ROLES = [APP, READER, BATCH];

describe('three users of one database', function () {
  this.timeout(90_000);
  let stage: Stage;
  let namespace: string;

  before(async () => {
    stage = await Stage.set({ prefix: 'users', roles: [READER, BATCH] });
    namespace = stage.namespace;
    await applyBasicAuth(namespace, 'reader', READER.name, READER.password);
    await applyBasicAuth(namespace, 'batch', BATCH.name, BATCH.password);
    await stage.prove(stage.pool().withUsers('orders-app', 'reader', 'batch'));
  });

  after(() => stage[Symbol.asyncDispose]());

  async function whoAmI(role: Role): Promise<string> {
    await using connection = closing(await stage.client(role));
    const { rows } = await connection.client.query<{ me: string }>('SELECT current_user AS me');
    return rows[0]?.me ?? '';
  }

  /** By each pod, asked past the Service. */
  async function refused(role: Role): Promise<void> {
    const answers = await stage.letIn(role);
    assert.equal(answers.length, 2);
    for (const answer of answers) assert.match(answer, /password|authentication|no such user/i);
  }

  for (const role of ROLES) {
    it(`lets ${role.name} in as itself`, async () => {
      assert.equal(await whoAmI(role), role.name);
    });
  }

  it('refuses a wrong password, another user’s password, and a user that it was not told of', async () => {
    await refused({ name: APP.name, password: 'wrong' });
    await refused({ name: READER.name, password: APP.password });
    await refused({ name: 'postgres', password: 'superuser-password' });
  });

  it('lets a removed user in no more, also not where it was let in before, and keeps the others', async () => {
    const pods = await podIdentities(namespace, POOL);
    // PgBouncer remembers who has logged in: without more ado it would let them in again.
    const clients = await stage.clientsOfEachPod(READER);
    for (const client of clients) await client.query('SELECT 1').finally(() => client.end());
    const kept = await stage.clientsOfEachPod(READER);
    const [inTransaction] = kept;
    assert.ok(inTransaction);
    for (const client of kept) await client.query('SELECT 1');
    await inTransaction.query('BEGIN');
    const closed = new Set<unknown>();
    for (const client of kept) client.on('end', () => closed.add(client));
    await using load = await stage.load();
    const startedMs = performance.now();
    await stage.prove(stage.pool().withUsers('orders-app', 'batch'));
    measured(`a user is removed ${seconds(performance.now() - startedMs)} after the change`);
    await refused(READER);
    await until('its idle connection to be closed', () => closed.size === kept.length - 1 || undefined, 10_000, 20);
    measured(`its idle connections are closed ${seconds(performance.now() - startedMs)} after the change`);
    const revoking = async (): Promise<readonly string[] | undefined> =>
      (await readPool(namespace, POOL)).status?.revoking?.users;
    assert.deepEqual(await revoking(), [READER.name]);
    await inTransaction.query('SELECT 1');
    await inTransaction.query('COMMIT');
    await until('the other to be closed', () => closed.size === kept.length || undefined, 10_000, 20);
    await until('it to be revoked', async () => ((await revoking()) === undefined ? true : undefined), 30_000, 100);
    measured(`it is revoked ${seconds(performance.now() - startedMs)} after the change`);
    const { done, failed, errors } = await load.stop();
    measured(`${done} transactions of another user meanwhile, ${failed} failed`);
    assert.equal(failed, 0, JSON.stringify(errors));
    assert.equal(await whoAmI(APP), APP.name);
    assert.equal(await whoAmI(BATCH), BATCH.name);
    assert.deepEqual(await podIdentities(namespace, POOL), pods);
  });

  it('lets it in again when it comes back with another password', async () => {
    const back = { ...READER, password: 'another-password' };
    await stage.sql(`ALTER ROLE reader PASSWORD '${back.password}'`);
    await applyBasicAuth(namespace, 'reader', back.name, back.password);
    await stage.prove(stage.pool().withUsers('orders-app', 'reader', 'batch'));
    await until('it to be let in', async () => (await whoAmI(back)) === READER.name || undefined, 10_000);
    await refused(READER);
  });
});
