// Who counts as starved by a shrink, and with which limit the next server goes to them.
import assert from 'node:assert/strict';
import type { PoolRow } from '../../src/model/pooler-view.ts';
import { limitForStarved } from '../../src/pgbouncer/starved-users.ts';

function pool(database: string, user: string, servers: number, clientsWaiting = 3): PoolRow {
  const columns = {
    clientsActive: servers,
    serversActive: servers,
    serversIdle: 0,
    serversLogin: 0,
    serversCancelling: 0,
    maxWaitMs: 0,
  };
  return { database, user, servers, clientsWaiting, ...columns };
}

describe('limitForStarved', () => {
  it('is undefined while every user that waits has a server', () => {
    assert.equal(limitForStarved([pool('a', 'ada', 5), pool('a', 'zoe', 1)], { a: 6 }), undefined);
    assert.equal(limitForStarved([pool('a', 'ada', 6), pool('a', 'zoe', 0, 0)], { a: 6 }), undefined);
    assert.equal(limitForStarved([], { a: 6 }), undefined);
  });

  it('lets a user without any server have the first, and all others none beyond what they keep', () => {
    assert.equal(limitForStarved([pool('a', 'ada', 6), pool('a', 'zoe', 0)], { a: 6 }), 1);
  });

  it('counts what a starved user has in other databases, as PgBouncer does', () => {
    const elsewhere = pool('b', 'zoe', 2, 0);
    assert.equal(limitForStarved([pool('a', 'ada', 6), pool('a', 'zoe', 0), elsewhere], { a: 6 }), 3);
  });

  it('is undefined where it would hold back the starved and the sated alike', () => {
    const elsewhere = pool('b', 'zoe', 8, 0);
    assert.equal(limitForStarved([pool('a', 'ada', 6), pool('a', 'zoe', 0), elsewhere], { a: 6 }), undefined);
  });

  it('takes nobody’s only server, and minds only databases that shrink', () => {
    assert.equal(limitForStarved([pool('a', 'ada', 1), pool('a', 'zoe', 0)], { a: 1 }), undefined);
    assert.equal(limitForStarved([pool('b', 'ada', 6), pool('b', 'zoe', 0)], { a: 1 }), undefined);
  });
});
