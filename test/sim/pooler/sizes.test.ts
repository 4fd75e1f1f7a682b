// The simulated PgBouncer holds to its sizes under clients that always want more, and gives up what a drain takes from it.
import assert from 'node:assert/strict';
import { drainToSize } from '../../../src/pgbouncer/lifetime-drain.ts';
import { PLACE } from '../../../src/model/names.ts';
import { Draw } from '../../support/random.ts';
import { iniOf, Stage } from './stage.ts';

describe('sizes of a simulated PgBouncer', () => {
  it('opens as many servers as its clients use, never more than its size, at every moment', async () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const stage = new Stage(seed);
      const pod = stage.addPod({ app: 7 });
      stage.demand('app', 30);
      const counts: number[] = [];
      for (let n = 0; n < 200; n += 1) {
        await stage.clock.advance(7);
        counts.push(stage.plane.backends(pod.ip));
      }
      assert.equal(Math.max(...counts), 7);
      assert.equal(counts.at(-1), 7);
    }
  });

  it('never has more backends than the largest size that was in force since it was last seen to hold to a smaller one', async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const draw = new Draw(seed);
      const stage = new Stage(seed);
      const pod = stage.addPod({ app: 6 });
      stage.demand('app', 25);
      let size = 6;
      let most = 6;
      for (let n = 0; n < 40; n += 1) {
        if (draw.chance(0.3)) {
          size = draw.integer(1, 12);
          most = Math.max(most, size);
          await stage.load(pod, { app: size });
        }
        if (draw.chance(0.2)) {
          const drain = { targets: { app: size }, fromSizes: { app: most }, deadlineMs: 20_000, clock: stage.clock };
          if ((await stage.run(drainToSize(pod.console, drain))).settled) most = size;
        }
        await stage.clock.advance(draw.between(1, 900));
        const backends = stage.plane.backends(pod.ip);
        assert.ok(backends <= most, `seed ${seed}, step ${n}: ${backends} backends, at most ${most} allowed`);
      }
    }
  });

  it('keeps every server of a saturated pool when its size is lowered', async () => {
    const stage = new Stage(3);
    const pod = stage.addPod({ app: 10 });
    stage.demand('app', 30);
    await stage.clock.advance(2_000);
    await stage.load(pod, { app: 2 });
    await stage.clock.advance(20_000);
    assert.equal(stage.plane.backends(pod.ip), 10);
  });

  it('is drained in (P0 − P1)·lifetime/P1, and a little for the transactions that run', async () => {
    for (const [from, to, lifetimeSeconds] of [
      [30, 15, 0.5],
      [20, 5, 0.2],
      [14, 1, 0.2],
    ] as const) {
      const stage = new Stage(from);
      const pod = stage.addPod({ app: from });
      stage.demand('app', 60);
      await stage.clock.advance(5_000);
      await stage.load(pod, { app: to });
      await stage.run(pod.console.set('server_lifetime', String(lifetimeSeconds)));
      const startedMs = stage.clock.monotonicMs();
      while (stage.plane.backends(pod.ip) > to) await stage.clock.advance(10);
      const tookMs = stage.clock.monotonicMs() - startedMs;
      const computedMs = (((from - to) * lifetimeSeconds) / to) * 1_000;
      assert.ok(tookMs >= computedMs * 0.85, `${from} → ${to}: ${tookMs} ms, computed ${computedMs}`);
      assert.ok(tookMs <= computedMs * 1.3 + 2_000, `${from} → ${to}: ${tookMs} ms, computed ${computedMs}`);
    }
  });

  it('keeps the short lifetime of a drain whose operator died, until the next RELOAD', async () => {
    const stage = new Stage(4);
    const pod = stage.addPod({ app: 8 });
    stage.demand('app', 20);
    await stage.clock.advance(3_000);
    await stage.load(pod, { app: 2 });
    let commands = 0;
    stage.fateOf = () => {
      commands += 1;
      return { delayMs: 1, arrives: commands <= 2, answer: commands <= 2 ? 'given' : 'never' };
    };
    const drain = { targets: { app: 2 }, fromSizes: { app: 8 }, deadlineMs: 4_000, clock: stage.clock };
    void drainToSize(pod.console, drain);
    await stage.clock.advance(100);
    stage.reach.crash();
    await stage.clock.advance(20_000);
    const process = stage.plane.processAt(pod.ip);
    assert.equal(process?.config.get('server_lifetime'), '0.2');
    assert.ok(stage.plane.backends(pod.ip) <= 2);
    assert.equal(process.reload(), true);
    assert.equal(process.config.get('server_lifetime'), '3600');
  });

  it('has applied a refused file down to its bad line: caps stay, everything behind it is at its default', async () => {
    const text = iniOf({ app: 3 }, { query_wait_timeout: 9 }).text;
    const atLine = text.split('\n').findIndex((line) => line.startsWith('query_wait_timeout')) + 1;
    const stage = new Stage(5, {
      refuseReload: ({ file }) => (file === PLACE.liveFile ? { message: 'bad line', atLine } : undefined),
    });
    const pod = stage.addPod({ app: 8 });
    pod.files.set(PLACE.liveFile, text);
    await assert.rejects(stage.run(pod.console.loadFile(PLACE.liveFile)), { kind: 'refused' });
    const { config, databases } = await stage.run(pod.console.read());
    assert.deepEqual([databases[0]?.poolSize, databases[0]?.maxConnections], [3, 3]);
    assert.equal(config.get('auth_type'), 'scram-sha-256');
    assert.equal(config.get('query_wait_timeout'), '120');
    assert.equal(config.get('server_login_retry'), '15');
    assert.equal(config.get('syslog_ident'), 'pgbouncer');
    await stage.run(pod.console.loadFile(PLACE.bootFile));
    assert.equal((await stage.run(pod.console.read())).config.get('syslog_ident'), iniOf({ app: 8 }).hash);
  });
});
