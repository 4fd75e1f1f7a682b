// What counts as a change of the way to the server: only then are logins held back for a RELOAD, and proved anew after it.
import assert from 'node:assert/strict';
import type { PoolerModel, Sizes } from '../../src/model/pooler-model.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import type { PoolerConsole } from '../../src/pgbouncer/console.ts';
import { Prover } from '../../src/controller/prover.ts';
import { renderIni } from '../../src/render/ini.ts';
import { newPod } from '../support/observation.ts';

const CONSOLE = {} as PoolerConsole;
const POD = { ...newPod('orders-1', 't', 0), ip: '10.0.0.1' };
const { signal } = new AbortController();

function live({
  host = 'db',
  sizes = { orders: 20, billing: 8 } as Sizes,
  drainable = undefined as string[] | undefined,
}) {
  const entry = { host, port: 5432, dbname: 'prod', poolMode: 'transaction' } as const;
  const model: PoolerModel = {
    databases: [
      { ...entry, name: 'orders' },
      { ...entry, name: 'billing' },
    ],
    userlistFile: 'userlist-0123456789ab.txt',
    serverTls: { mode: 'disable' },
    settings: {},
  };
  return renderIni(model, sizes, { secretsFolder: '/files' }, drainable).text;
}

async function provedWith(text: string): Promise<Prover> {
  const prover = new Prover({
    proveLogin: async () => Promise.resolve(true),
    markServers: async () => Promise.resolve(new Set()),
    proveServerLogin: async () => Promise.resolve({ proved: true, by: 'NewServer', tookMs: 1 }),
  });
  const proof = await prover.server({
    ...{ pod: POD, live: text, console: CONSOLE, users: [], database: 'orders', nowMs: 0, signal },
    credentials: {
      adminPassword: new SecretText('admin password'),
      proofKey: new SecretText('a key that is long enough'),
    },
  });
  assert.equal(proof, 'proved');
  return prover;
}

describe('the way to the server', () => {
  it('is the same when sizes are lowered, and other databases are given their lifetime for a drain', async () => {
    const prover = await provedWith(live({}));
    const shrunk = live({ sizes: { orders: 10, billing: 8 }, drainable: ['orders'] });
    assert.match(shrunk, /^billing = .* server_lifetime='3600'$/m);
    assert.equal(await prover.beforeLoad(POD, shrunk, CONSOLE, signal), false);
  });

  it('is another one when the host changes', async () => {
    const prover = await provedWith(live({}));
    assert.equal(await prover.beforeLoad(POD, live({ host: 'other' }), CONSOLE, signal), true);
  });
});
