// What a simulated PgBouncer leaves behind when it ends, and what its clients notice of it.
import assert from 'node:assert/strict';
import { endDrain } from '../../../src/pgbouncer/end-drain.ts';
import { Stage } from './stage.ts';

describe('the end of a simulated PgBouncer', () => {
  it('leaves only transactions behind when it is killed, each for at most so long', async () => {
    const stage = new Stage(1);
    const pod = stage.addPod({ app: 10 });
    stage.demand('app', 6);
    await stage.clock.advance(2_000);
    pod.running.signal('SIGKILL');
    assert.deepEqual(pod.exits, [137]);
    const [group] = stage.plane.serversInForce();
    assert.deepEqual([group?.count, group?.orphans], [6, 6]);
    await stage.clock.advance(5_001);
    assert.equal(stage.plane.backends(pod.ip), 0);
    assert.deepEqual([stage.plane.service.tally.cut.SIGKILL, stage.plane.service.tally.closed.SIGKILL], [6, 0]);
  });

  it('leaves every connection behind for PostgreSQL to find out when its machine is lost', async () => {
    const stage = new Stage(2);
    const pod = stage.addPod({ app: 10 });
    stage.demand('app', 10);
    await stage.clock.advance(2_000);
    stage.plane.loseMachine(pod.ip, 40_000);
    await stage.clock.advance(39_000);
    assert.equal(stage.plane.backends(pod.ip), 10);
    await stage.clock.advance(1_500);
    assert.equal(stage.plane.backends(pod.ip), 0);
  });

  it('cuts no transaction at the end of a drain, and its clients go on at another pod', async () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const stage = new Stage(seed, { clientLifetimeMs: () => Infinity });
      const [leaving, staying] = [stage.addPod({ app: 5 }), stage.addPod({ app: 5 })];
      stage.demand('app', 20, 4);
      await stage.clock.advance(2_000);
      stage.serve(staying);
      const end = endDrain(leaving.console, { databases: ['app'], deadlineMs: 4_000, clock: stage.clock });
      assert.equal((await stage.run(end)).ended, true);
      leaving.running.signal('SIGTERM');
      await stage.clock.advance(700);
      assert.deepEqual(leaving.exits, [0]);
      const { cut, closed } = stage.plane.service.tally;
      assert.equal(
        Object.values(cut).reduce((sum, count) => sum + count, 0),
        0,
      );
      assert.ok(closed.KILL_CLIENT > 0);
      assert.equal(stage.plane.backends(leaving.ip), 0);
      assert.equal((await stage.run(staying.console.read())).clients, 24);
    }
  });

  it('moves clients to other pods as their connections grow old, and ends by SIGTERM with the last of them', async () => {
    const stage = new Stage(7, { clientLifetimeMs: (random) => 1_000 + 4_000 * random() });
    const [leaving, staying] = [stage.addPod({ app: 5 }), stage.addPod({ app: 5 })];
    stage.demand('app', 20);
    await stage.clock.advance(3_000);
    stage.serve(staying);
    leaving.running.signal('SIGTERM');
    assert.deepEqual(leaving.exits, []);
    await stage.clock.advance(12_000);
    assert.deepEqual(leaving.exits, [0]);
    const { cut, closed, turnedAway } = stage.plane.service.tally;
    assert.deepEqual(
      [cut, closed, turnedAway].flatMap((row) => Object.values(row)).filter((count) => count > 0),
      [],
    );
  });

  it('loses its servers with PostgreSQL, fails clients meanwhile, and has them again soon afterwards', async () => {
    const stage = new Stage(8);
    const pod = stage.addPod({ app: 5 });
    stage.demand('app', 20);
    await stage.clock.advance(2_000);
    const [postgres] = stage.plane.postgres;
    assert.ok(postgres !== undefined);
    stage.plane.restartPostgres(postgres, 3_000);
    assert.equal(stage.plane.backends(pod.ip), 0);
    await stage.clock.advance(2_500);
    assert.equal(stage.plane.backends(pod.ip), 0);
    assert.ok(stage.plane.service.tally.cut.server >= 5);
    await stage.clock.advance(4_000);
    assert.equal(stage.plane.backends(pod.ip), 5);
  });

  it('lives the same life again with the same seed', async () => {
    const live = async (seed: number): Promise<readonly unknown[]> => {
      const stage = new Stage(seed);
      const [first, second] = [stage.addPod({ app: 5 }), stage.addPod({ app: 3 })];
      stage.demand('app', 20, 3);
      const seen: unknown[] = [];
      for (let n = 0; n < 20; n += 1) {
        await stage.clock.advance(333);
        seen.push(await stage.run(second.console.servers()), await stage.run(second.console.read()));
        if (n === 10) first.running.signal('SIGKILL');
      }
      return [seen, stage.plane.serversInForce(), stage.plane.service.tally];
    };
    assert.deepEqual(await live(9), await live(9));
    assert.notDeepEqual(await live(9), await live(10));
  });
});
