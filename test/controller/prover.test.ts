// What the operator remembers of a pod from look to look: how its server was proved, and which file it ran.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PoolerModel, Sizes } from '../../src/model/pooler-model.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import type { PoolerConsole } from '../../src/pgbouncer/console.ts';
import { Prover } from '../../src/controller/prover.ts';
import { PLACE } from '../../src/model/names.ts';
import { renderIni } from '../../src/render/ini.ts';
import { makeAuthority, type Certificate } from '../support/certificates.ts';
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
  return renderIni(model, sizes, { secretsFolder: '/files' }, drainable === undefined ? {} : { drainable }).text;
}

function newProver(shown?: string | (() => string)): Prover {
  return new Prover({
    proveLogin: async () => Promise.resolve(true),
    markServers: async () => Promise.resolve(new Set()),
    proveServerLogin: async () => Promise.resolve({ proved: true, by: 'NewServer', tookMs: 1 }),
    shownCertificate: async () => Promise.resolve(typeof shown === 'function' ? shown() : shown),
  });
}

async function provedWith(text: string): Promise<Prover> {
  const prover = newProver();
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

describe('the certificate that a pod shows', () => {
  let folder: string;
  let own: Certificate;
  let former: Certificate;
  const tls = (file: string): string =>
    `client_tls_sslmode = require\nclient_tls_cert_file = ${PLACE.secretsFolder}/${file}\n`;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'prover-'));
    const authority = await makeAuthority(folder);
    own = await authority.issue({ commonName: 'pooler' });
    former = await authority.issue({ commonName: 'pooler' });
  });

  after(() => {
    rmSync(folder, { recursive: true });
  });

  const base64 = ({ certificate }: Certificate): string => Buffer.from(certificate).toString('base64');
  const shownBy = ({ certificate }: Certificate): string => new X509Certificate(certificate).fingerprint256;
  const files = () => ({ 'client-1.crt': base64(own), 'client-0.crt': base64(former) });

  it('is proved when it is that of the file that its live.ini names', async () => {
    assert.equal(await newProver(shownBy(own)).certificate(POD, tls('client-1.crt'), files(), signal), true);
    for (const shown of [shownBy(former), undefined])
      assert.equal(await newProver(shown).certificate(POD, tls('client-1.crt'), files(), signal), false);
  });

  it('is not asked for where live.ini names none, and not proved where the file is not stored', async () => {
    assert.equal(await newProver().certificate(POD, live({}), files(), signal), undefined);
    assert.equal(await newProver(shownBy(own)).certificate(POD, tls('client-2.crt'), files(), signal), false);
  });

  it('is asked for again after a restart of the container, after another file, and of a new pod', async () => {
    let asked = 0;
    const prover = newProver(() => {
      asked += 1;
      return shownBy(own);
    });
    const prove = (pod = POD, file = 'client-1.crt') => prover.certificate(pod, tls(file), files(), signal);
    await prove();
    await prove();
    assert.equal(asked, 1);
    assert.equal(await prove(POD, 'client-0.crt'), false);
    await prove();
    const restarted = { ...POD, container: { ...POD.container, id: 'another' } };
    await prove(restarted);
    prover.forgetPod(POD.uid);
    await prove(restarted);
    assert.equal(asked, 4);
  });
});

describe('a pod that runs boot.ini after its live.ini, in the container that the API names', () => {
  const POD_IN = (container: string) => ({ ...POD, container: { ...POD.container, id: container } });

  it('has restarted, which the API is about to tell; when it never does, a leader of before had it go back', () => {
    const prover = newProver();
    const unseen = (conffile: string, nowMs: number, container = 'c1'): boolean =>
      prover.restartedUnseen(POD_IN(container), conffile, nowMs);
    assert.equal(unseen(PLACE.bootFile, 0), false, 'it has never run another');
    assert.equal(unseen(PLACE.liveFile, 1_000), false);
    assert.equal(unseen(PLACE.bootFile, 20_000), true);
    assert.equal(unseen(PLACE.bootFile, 49_000), true);
    assert.equal(unseen(PLACE.bootFile, 50_000), false);
    assert.equal(unseen(PLACE.liveFile, 51_000), false);
    assert.equal(unseen(PLACE.bootFile, 52_000), true);
    assert.equal(unseen(PLACE.bootFile, 53_000, 'c2'), false, 'the API tells of the new container');
  });

  it('is known to have its live.ini from when that was in force', () => {
    const prover = newProver();
    assert.equal(prover.ranLive(POD, false), false);
    prover.restartedUnseen(POD, PLACE.liveFile, 0);
    assert.equal(prover.ranLive(POD, false), false, 'it was told to read it, which may have been refused');
    assert.equal(prover.ranLive(POD, true), true);
    assert.equal(prover.ranLive(POD, false), true);
    prover.forgetPod(POD.uid);
    assert.equal(prover.ranLive(POD, false), false);
  });
});
