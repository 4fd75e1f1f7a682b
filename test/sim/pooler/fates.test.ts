// Calls of an operator into the simulated data plane: late, lost, in part, or never answered, as their fate says.
import assert from 'node:assert/strict';
import type { PoolConfig } from '../../../src/api/poolconfig.gen.ts';
import { PLACE, POOLER_PORT } from '../../../src/model/names.ts';
import { PROOF_USER } from '../../../src/model/reserved-names.ts';
import { SecretText } from '../../../src/model/secret-text.ts';
import type { SecretReading } from '../../../src/model/observation.ts';
import { proofPassword, userlistHash } from '../../../src/render/userlist.ts';
import { poolConfig } from '../../support/observation.ts';
import { GOOD_FATE, type Call, type Fate } from '../contracts.ts';
import { APP, iniOf, KEYS, Stage, USERLIST } from './stage.ts';

const fate = (parts: Partial<Fate>): Fate => ({ ...GOOD_FATE, ...parts });

describe('calls into the simulated data plane', () => {
  it('ask for the fate of each call once, with its kind, target and whether it writes', async () => {
    const stage = new Stage(1);
    const pod = stage.addPod({ app: 2 });
    const calls: Call[] = [];
    stage.fateOf = (call) => {
      calls.push(call);
      return GOOD_FATE;
    };
    await stage.run(pod.console.read());
    await stage.run(pod.console.loadFile(PLACE.liveFile));
    assert.deepEqual(calls, [
      { to: 'console', verb: 'read', target: pod.ip, writes: false },
      { to: 'console', verb: 'loadFile', target: pod.ip, writes: true },
    ]);
  });

  it('take effect without an answer, or not at all, as their fate says, and the console works again', async () => {
    for (const arrives of [true, false]) {
      const stage = new Stage(2);
      const pod = stage.addPod({ app: 2 });
      stage.fateOf = () => fate({ arrives, answer: 'lost' });
      await assert.rejects(stage.run(pod.console.set('server_lifetime', '7')), { kind: 'unreachable' });
      stage.fateOf = () => GOOD_FATE;
      const { config } = await stage.run(pod.console.read());
      assert.equal(config.get('server_lifetime'), arrives ? '7' : '3600');
    }
  });

  it('can break in the middle of a load: the file is named, and no RELOAD follows', async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 20; seed += 1) {
      const stage = new Stage(seed);
      const pod = stage.addPod({ app: 2 });
      pod.files.set(PLACE.liveFile, iniOf({ app: 3 }).text);
      stage.fateOf = () => fate({ answer: 'lost' });
      await assert.rejects(stage.run(pod.console.loadFile(PLACE.liveFile)), { kind: 'unreachable' });
      const process = stage.plane.processAt(pod.ip);
      outcomes.add(`${process?.config.get('conffile')} ${process?.showDatabases()[0]?.poolSize}`);
    }
    assert.deepEqual([...outcomes].sort(), [`${PLACE.liveFile} 2`, `${PLACE.liveFile} 3`]);
  });

  it('stay without an answer for ever when their caller is dead, and its sessions end', async () => {
    const stage = new Stage(3);
    const pod = stage.addPod({ app: 2 });
    await stage.run(pod.console.pools());
    assert.equal(stage.plane.processAt(pod.ip)?.sessions, 1);
    stage.fateOf = () => fate({ answer: 'never' });
    let answered = false;
    const note = (): void => {
      answered = true;
    };
    pod.console.read().then(note, note);
    await stage.clock.advance(60_000);
    stage.reach.crash();
    await stage.clock.advance(60_000);
    assert.equal(answered, false);
    assert.equal(stage.plane.processAt(pod.ip)?.sessions, 0);
  });

  it('time out when their answer takes longer than a command may, and arrive all the same', async () => {
    const stage = new Stage(4);
    const pod = stage.addPod({ app: 2 });
    stage.fateOf = () => fate({ delayMs: 5_000 });
    await assert.rejects(stage.run(pod.console.set('server_lifetime', '7')), { kind: 'timeout' });
    assert.equal(stage.clock.monotonicMs(), 3_000);
    await stage.clock.advance(2_500);
    assert.equal(stage.plane.processAt(pod.ip)?.config.get('server_lifetime'), '7');
  });

  it('end with the reason of their signal, and take the session with them', async () => {
    const stage = new Stage(5);
    const pod = stage.addPod({ app: 2 });
    const giveUp = new AbortController();
    stage.fateOf = () => fate({ delayMs: 100 });
    const reading = pod.console.read(giveUp.signal);
    reading.catch(() => undefined);
    await stage.clock.advance(150);
    giveUp.abort(new Error('no longer needed'));
    await assert.rejects(stage.run(reading), /no longer needed/);
    assert.equal(stage.plane.processAt(pod.ip)?.sessions, 0);
  });

  it('prove the userlist that is loaded, and no other', async () => {
    const stage = new Stage(6);
    const pod = stage.addPod({ app: 2 });
    const prove = async (password: SecretText): Promise<boolean> =>
      stage.run(
        stage.reach.logins.proveLogin({
          ...{ address: { host: pod.ip, port: POOLER_PORT }, user: PROOF_USER, password, timeoutMs: 1_500 },
        }),
      );
    assert.equal(await prove(proofPassword(userlistHash(USERLIST.fileName) ?? '', KEYS.proofKey)), true);
    assert.equal(await prove(proofPassword('0123456789ab', KEYS.proofKey)), false);
    pod.running.signal('SIGKILL');
    await assert.rejects(prove(new SecretText('any')), { kind: 'unreachable' });
  });

  it('prove the way to the server, by a login or by its refusal, and say why where there is none', async () => {
    const stage = new Stage(7);
    const pod = stage.addPod({ app: 2 });
    const [postgres] = stage.plane.postgres;
    assert.ok(postgres !== undefined);
    const prove = async (user: string, password: SecretText, role: 'proof' | 'application') =>
      stage.run(
        stage.reach.logins.proveServerLogin({
          ...{ address: { host: pod.ip, port: POOLER_PORT }, database: 'app', user, password, role },
          ...{ timeoutMs: 2_500, console: pod.console, since: new Set<string>() },
        }),
      );
    const proof = proofPassword(userlistHash(USERLIST.fileName) ?? '', KEYS.proofKey);
    const refused = await prove(PROOF_USER, proof, 'proof');
    assert.deepEqual([refused.proved, refused.proved && refused.by], [true, 'ServerAnswered']);
    postgres.users.set(APP.user, 'another');
    assert.deepEqual(await prove(APP.user, new SecretText(APP.password), 'application'), {
      ...{ proved: false, fault: 'PasswordRefused' },
    });
    assert.deepEqual(await prove(APP.user, new SecretText('wrong'), 'application'), {
      ...{ proved: false, fault: 'PoolerRefused' },
    });
    postgres.users.set(APP.user, APP.password);
    await stage.clock.advance(1_500);
    const login = await prove(APP.user, new SecretText(APP.password), 'application');
    assert.deepEqual([login.proved, login.proved && login.by], [true, 'NewServer']);
  });

  it('show PostgreSQL with its limits and backends, or say that it can not be reached', async () => {
    const stage = new Stage(8);
    const pod = stage.addPod({ app: 3 });
    stage.demand('app', 10);
    await stage.clock.advance(1_000);
    const pool: PoolConfig = poolConfig({
      server: { host: 'pg', tls: { mode: 'disable' }, monitorSecretRef: { name: 'monitor' } },
    });
    const secret: SecretReading = {
      state: 'present',
      data: new Map([
        ['username', new SecretText(APP.user)],
        ['password', new SecretText(APP.password)],
      ]),
    };
    const secrets = new Map([['monitor', secret]]);
    const { signal } = new AbortController();
    const look = async () =>
      stage.run(stage.reach.serverSource.observe('key', pool, secrets, { mode: 'disable' }, signal));
    const view = await look();
    assert.ok(view?.reachable === true && view.seesOthers);
    assert.deepEqual(view.backends, [{ clientAddress: pod.ip, user: APP.user, database: 'app', count: 3 }]);
    const [postgres] = stage.plane.postgres;
    const nowMs = stage.clock.monotonicMs();
    postgres?.away(nowMs, nowMs + 5_000);
    assert.deepEqual(await look(), { reachable: false, fault: 'ServerUnreachable' });
    await stage.clock.advance(5_000);
    assert.equal((await look())?.reachable, true);
  });
});
