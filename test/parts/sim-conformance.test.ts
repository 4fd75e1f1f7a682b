// The scripts that say what the simulated PgBouncer does, on the real PgBouncer and PostgreSQL.
import assert from 'node:assert/strict';
import { SCRIPTS } from '../sim/pooler/conformance/scripts.ts';
import type { PostgresServer } from '../support/servers.ts';
import { runOnReal, startServer } from './sim-conformance-subject.ts';

describe('the real PgBouncer answers as the simulated one', function () {
  this.timeout(60_000);
  let server: PostgresServer;

  before(async () => {
    server = await startServer();
  });
  after(async () => {
    await server.stop();
  });

  for (const script of SCRIPTS) {
    it(script.name, async () => {
      assert.deepEqual(await runOnReal(script, server), script.answers);
    });
  }
});
