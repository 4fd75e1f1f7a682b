// The end of a drain, command by command: nobody is closed while a server is in use, and what is given up is taken back.
import assert from 'node:assert/strict';
import { endDrain } from '../../src/pgbouncer/end-drain.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ScriptedConsole } from '../support/scripted-console.ts';

const DEADLINE_MS = 1_000;

function end(pooler: ScriptedConsole, clock = new FakeClock()) {
  const result = endDrain(pooler.console, { databases: ['orders'], deadlineMs: DEADLINE_MS, clock });
  // Observed now, asserted on later.
  result.catch(() => undefined);
  return { result, clock };
}
const isKill = (command: string): boolean => command.startsWith('kill');

describe('the end of a drain', () => {
  it('closes every client once nothing runs, and leaves', async () => {
    const pooler = new ScriptedConsole({ orders: { clients: ['a', 'b'] } });
    const result = await end(pooler).result;
    assert.deepEqual(result, { ended: true, closedClients: 2, tookMs: 0 });
    assert.deepEqual(pooler.changes.filter(isKill), ['kill a', 'kill b']);
    assert.equal(pooler.commands.at(-1), 'disconnect');
  });

  it('closes nobody while a transaction runs, then everybody', async () => {
    const pooler = new ScriptedConsole({ orders: { servers: 1, clients: ['a'] } });
    const { result, clock } = end(pooler);
    await clock.advance(DEADLINE_MS / 2);
    assert.deepEqual(pooler.changes.filter(isKill), []);
    for (const pool of pooler.pools.values()) pool.servers = 0;
    await clock.advance(DEADLINE_MS / 4);
    assert.equal((await result).ended, true);
    assert.deepEqual(pooler.changes.filter(isKill), ['kill a']);
  });

  it('resumes what it paused when a transaction outlasts the deadline, and closes nobody', async () => {
    const pooler = new ScriptedConsole({ orders: { servers: 1, clients: ['a'] } });
    const { result, clock } = end(pooler);
    await clock.advance(2 * DEADLINE_MS);
    assert.deepEqual(await result, { ended: false, activeServers: 1 });
    assert.deepEqual(pooler.changes.filter(isKill), []);
    assert.equal(pooler.pools.get('orders')?.paused, false);
    assert.deepEqual([...pooler.settings.values()], ['3600', '0'], 'logins are still held back');
  });

  it('closes nobody when a database is not paused although PAUSE was given', async () => {
    const pooler = new ScriptedConsole({ orders: { clients: ['a'] } });
    pooler.ignoresPause = true;
    await assert.rejects(end(pooler).result, /1 of 1 databases are not paused/);
    assert.deepEqual(pooler.changes.filter(isKill), []);
  });

  it('pauses only when no server login is under way', async () => {
    const pooler = new ScriptedConsole({ orders: { serversLogin: 1 } });
    const { result, clock } = end(pooler);
    await clock.advance(500);
    assert.ok(!pooler.commands.includes('pause orders'), 'paused in the middle of a login');
    for (const pool of pooler.pools.values()) pool.serversLogin = 0;
    await clock.advance(100);
    assert.equal((await result).ended, true);
    assert.ok(pooler.commands.includes('pause orders'));
  });
});
