// A pod that had server connections a moment ago and has none is a witness of a lost server; one that was idle is not.
import assert from 'node:assert/strict';
import { LostServers } from '../../src/controller/lost-servers.ts';

const having = (servers: number, serversLogin = 0) => [{ servers, serversLogin }];

describe('server connections that are gone', () => {
  it('are told of a pod that had some a moment ago; logins that never end are none', () => {
    const lost = new LostServers();
    assert.equal(lost.look('a', having(3), 0), false);
    assert.equal(lost.look('a', having(2, 1), 5_000), false);
    assert.equal(lost.look('a', having(1, 1), 15_000), true);
    assert.equal(lost.look('a', having(0), 20_000), true);
    assert.equal(lost.look('a', having(1), 20_100), false);
  });

  it('are not told of a pod that has been idle, or was never seen with one', () => {
    const lost = new LostServers();
    lost.look('a', having(3), 0);
    assert.equal(lost.look('a', having(0), 15_001), false);
    assert.equal(lost.look('b', having(0), 0), false);
  });

  it('are forgotten with their pod', () => {
    const lost = new LostServers();
    lost.look('a', having(3), 0);
    lost.look('b', having(3), 0);
    lost.forgetPod('a');
    assert.equal(lost.look('a', having(0), 1_000), false);
    assert.equal(lost.look('b', having(0), 1_000), true);
  });
});
