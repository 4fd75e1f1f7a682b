// The command line: what a file would do before it is applied, and why a fleet is as it is.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { attempt, type Output } from '../cluster/processes.ts';
import { clusterAccess, kubectl } from '../support/kubectl.ts';
import { poolsmith } from '../support/install.ts';
import { readPool, type PoolConfigBuilder } from '../support/pool.ts';
import { POOL, Stage } from '../support/stage.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

describe('poolsmith plan and explain', function () {
  this.timeout(90_000);
  let stage: Stage;
  let namespace: string;

  before(async () => {
    stage = await Stage.set({ prefix: 'cli' });
    namespace = stage.namespace;
  });

  after(() => stage[Symbol.asyncDispose]());

  /** On this machine, as its user: the operator itself has no right to write PoolConfigs, not even in a dry run. */
  const plan = (pool: PoolConfigBuilder | object): Promise<Output> => {
    const object = 'build' in pool ? pool.build() : pool;
    return local(['plan', '-f', '-'], stringify(object));
  };

  async function local(args: readonly string[], input = ''): Promise<Output> {
    const env = { ...process.env, KUBECONFIG: (await clusterAccess()).kubeconfig };
    return await attempt(process.execPath, [MAIN, ...args], { env, input });
  }

  it('plans a new fleet, and changes nothing', async () => {
    const { code, stdout, stderr } = await plan(stage.pool());
    assert.equal(code, 0, stderr);
    assert.match(stdout, /A new fleet of 2 pods would be created/);
    assert.match(stdout, /orders: 14\. .*60 clients/);
    assert.equal(
      (await kubectl(['get', 'pcfg,pods', '-n', namespace, '-l', 'poolsmith.dev/pool', '-o', 'name'])).trim(),
      '',
    );
  });

  it('says that nothing would change for the fleet as it is', async () => {
    await stage.prove(stage.pool());
    const { code, stdout } = await plan(stage.pool());
    assert.equal(code, 0);
    assert.match(stdout, /No setting changes/);
    assert.doesNotMatch(stdout, /RELOAD|ROLL|SCALE/);
  });

  it('plans a changed parameter as a reload without restart', async () => {
    const { code, stdout } = await plan(stage.pool().withParameters({ server_idle_timeout: 33 }));
    assert.equal(code, 0);
    assert.match(stdout, /RELOAD server_idle_timeout: .*→ 33 .*no restart/);
    assert.doesNotMatch(stdout, /ROLL/);
  });

  it('plans a changed template as a rollout, and a changed number of pods as scaling', async () => {
    const { fleet } = stage.pool().build().spec;
    const rolled = await plan(
      stage.pool().with({ fleet: { ...fleet, template: { resources: { requests: { cpu: '11m' } } } } }),
    );
    assert.equal(rolled.code, 0);
    assert.match(rolled.stdout, /ROLL .*one at a time.*: fleet\.template\.resources$/m);
    const scaled = await plan(stage.pool().withReplicas(3));
    assert.match(scaled.stdout, /SCALE {2}2 → 3 pods/);
  });

  it('fails with exit code 1 and the reason when the file would be blocked', async () => {
    const secret = await plan(stage.pool().withUsers('no-such-secret'));
    assert.equal(secret.code, 1);
    assert.match(secret.stdout, /BLOCKED SecretMissing: .*no-such-secret/);
    const budget = await plan(stage.pool().withBudget(2));
    assert.equal(budget.code, 1);
    assert.match(budget.stdout, /BLOCKED BudgetTooSmall/);
  });

  it('fails with the API server’s words, naming field and value, at a violation of the schema', async () => {
    const { code, stdout, stderr } = await plan(stage.pool().withBudget(10, 12));
    assert.equal(code, 1);
    assert.match(`${stdout}${stderr}`, /spec\.budget\.reserve is 12; it must be from 0 to 9/);
    assert.doesNotMatch(stderr, / {4}at /, 'a stack trace is no message for people');
  });

  it('fails with a message when the file holds no PoolConfig or does not exist', async () => {
    const none = await plan({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } });
    assert.equal(none.code, 1);
    assert.match(none.stderr, /no PoolConfig/);
    const missing = await local(['plan', '-f', '/no/such/file.yaml']);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /no such file/);
    const unknown = await local(['dance']);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /unknown command "dance"/);
  });

  it('explains every size in force with its numbers', async () => {
    const { status } = await readPool(namespace, POOL);
    const { code, stdout } = await poolsmith(['explain', POOL, '-n', namespace]);
    assert.equal(code, 0);
    for (const database of status?.databases ?? []) assert.ok(stdout.includes(database.reason ?? '?'), stdout);
    for (const pod of status?.pods ?? []) assert.ok(stdout.includes(`${pod.name} Serving`), stdout);
    assert.match(stdout, /16 declared − 0 reserve = 16 connections/);
    const unknown = await poolsmith(['explain', 'nobody', '-n', namespace]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /No PoolConfig nobody/);
  });
});
