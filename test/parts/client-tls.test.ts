// TLS towards clients on the real PgBouncer: what is let in, which certificate is shown, and what a change or a refusal does to it.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type ConnectionOptions } from 'node:tls';
import pg from 'pg';
import { AdminError } from '../../src/pgbouncer/errors.ts';
import { shownCertificate } from '../../src/pgbouncer/shown-certificate.ts';
import { compareReadBack } from '../../src/render/read-back.ts';
import type { ClientTlsMode } from '../../src/model/pooler-model.ts';
import { makeAuthority, type Authority, type Certificate } from '../support/certificates.ts';
import { freePort } from '../support/server-process.ts';
import { startPostgres, type PostgresServer } from '../support/servers.ts';
import { APP, HOST, startRendered, type RenderedPooler } from './rendered-pooler.ts';
import { asSuperuser } from './stage.ts';

describe('TLS between clients and the pooler', function () {
  this.timeout(60_000);
  let folder: string;
  let authority: Authority;
  let first: Certificate;
  let postgres: PostgresServer;
  let pooler: RenderedPooler;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'client-tls-'));
    authority = await makeAuthority(folder);
    first = await authority.issue({ commonName: 'pooler', hosts: [HOST] });
    postgres = await startPostgres({});
    await asSuperuser(
      postgres,
      'postgres',
      `create role ${APP.name} login password '${APP.secret.reveal()}'`,
      `create database app owner ${APP.name}`,
    );
    pooler = await startRendered();
  });

  after(async () => {
    await pooler[Symbol.asyncDispose]();
    await postgres.stop();
    await rm(folder, { recursive: true });
  });

  const plain = () => ({
    databases: [{ name: 'app', host: HOST, port: postgres.port, dbname: 'app', poolMode: 'transaction' as const }],
  });
  const changes = (mode: ClientTlsMode, certificate: Certificate) => ({ ...plain(), clientTls: { mode, certificate } });
  const shown = (): Promise<string | undefined> =>
    shownCertificate({ address: { host: HOST, port: pooler.server.port }, timeoutMs: 2_000 });
  const fingerprint = ({ certificate }: Certificate): string => new X509Certificate(certificate).fingerprint256;

  async function loggedIn(ssl: false | ConnectionOptions): Promise<pg.Client> {
    const client = new pg.Client({
      ...{ host: HOST, port: pooler.server.port, user: APP.name, password: APP.secret.reveal(), database: 'app', ssl },
    });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async function ask(ssl: false | ConnectionOptions): Promise<string> {
    try {
      const client = await loggedIn(ssl);
      try {
        await client.query('select 1');
        return 'answered';
      } finally {
        await client.end();
      }
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** The version and cipher that a handshake with these options ends in, or why it fails. */
  function handshake(options: ConnectionOptions): Promise<string> {
    const socket = connect({
      ...{ host: HOST, port: pooler.server.port, ALPNProtocols: ['postgresql'], rejectUnauthorized: false },
      ...options,
    });
    return new Promise<string>((resolve) => {
      socket.once('secureConnect', () => {
        resolve(`${socket.getProtocol() ?? ''} ${socket.getCipher().standardName}`);
      });
      socket.once('error', ({ message }) => {
        resolve(`refused: ${message}`);
      });
    }).finally(() => socket.destroy());
  }

  it('reads back as it was rendered, in each mode and without it', async () => {
    for (const change of [plain(), changes('prefer', first), changes('require', first), plain()]) {
      const ini = await pooler.load(change);
      assert.deepEqual(compareReadBack(ini, await pooler.console.read()), []);
    }
  });

  it('shows no certificate where it is off, and says so of a pooler that can not be reached', async () => {
    await pooler.load(plain());
    assert.equal(await shown(), undefined);
    const address = { host: HOST, port: await freePort() };
    await assert.rejects(
      shownCertificate({ address, timeoutMs: 1_000 }),
      (error) => error instanceof AdminError && error.kind === 'unreachable',
    );
  });

  it('lets clients choose with prefer, and only those with TLS in with require', async () => {
    const trusting = { ca: authority.certificate };
    await pooler.load(changes('prefer', first));
    assert.deepEqual([await ask(trusting), await ask(false)], ['answered', 'answered']);
    await pooler.load(changes('require', first));
    assert.equal(await ask(trusting), 'answered');
    assert.match(await ask(false), /SSL required/);
    assert.equal(await shown(), fingerprint(first));
  });

  it('speaks TLS 1.3, and 1.2 with forward secrecy and authenticated encryption alone', async () => {
    await pooler.load(changes('require', first));
    assert.match(await handshake({}), /^TLSv1\.3 TLS_(AES|CHACHA)/);
    assert.match(await handshake({ maxVersion: 'TLSv1.2' }), /^TLSv1\.2 TLS_ECDHE_ECDSA_WITH_(AES_\d+_GCM|CHACHA20)/);
    const weak = { minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' } as const;
    assert.match(await handshake({ ...weak, maxVersion: 'TLSv1.1' }), /^refused/);
    const cbc = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384' } as const;
    assert.match(await handshake(cbc), /^refused/);
  });

  it('refuses a certificate that a client shows unasked, unless its authority is named: PgBouncer checks it in every mode', async () => {
    const clients = await makeAuthority(join(folder, 'clients'));
    const { certificate: cert, key } = await clients.issue({ commonName: 'somebody' });
    const showing = { ca: authority.certificate, cert, key };
    for (const mode of ['prefer', 'require'] as const) {
      await pooler.load(changes(mode, first));
      assert.match(await ask(showing), /unknown ca/);
      await pooler.load({ ...plain(), clientTls: { mode, certificate: first, authority: clients.certificate } });
      assert.equal(await ask(showing), 'answered');
      assert.equal(await ask({ ca: authority.certificate }), 'answered');
    }
  });

  it('shows another certificate to new connections at once, and cuts none that is open', async () => {
    const trusting = { ca: authority.certificate };
    await pooler.load(changes('require', first));
    const open = await loggedIn(trusting);
    await open.query('begin');
    const second = await authority.issue({ commonName: 'pooler', hosts: [HOST] });
    await pooler.load(changes('require', second));
    assert.equal(await shown(), fingerprint(second));
    assert.equal(await ask(trusting), 'answered');
    await open.query('commit');
    await open.query('select 1');
    await open.end();
  });

  it('lets no plain client in while a RELOAD is refused, for a setting of the user or for the certificate itself', async () => {
    const ini = await pooler.load(changes('require', first));
    const stranger = await makeAuthority(join(folder, 'stranger'));
    const answers: string[] = [];
    const lettingIn = new AbortController();
    const tries = (async () => {
      while (!lettingIn.signal.aborted) answers.push(await ask(false));
    })();
    for (const text of [
      ini.text.replace(/^max_client_conn .*$/m, 'max_client_conn = many'),
      `${ini.text}server_idle_timeout = -1\n`,
      ini.text.replace(/^client_tls_cert_file .*$/m, 'client_tls_cert_file = /nowhere/tls.crt'),
      ini.text.replace(/^client_tls_key_file .*$/m, `client_tls_key_file = ${stranger.keyFile}`),
    ]) {
      assert.notEqual(text, ini.text);
      await pooler.server.writeFile('pgbouncer.ini', text);
      await assert.rejects(pooler.console.reload(), (error) => error instanceof AdminError && error.kind === 'refused');
      answers.push(await ask(false), await ask(false));
      const inForce = (await pooler.console.read()).config.get('client_tls_cert_file');
      // It says so whether it could load the file or not: read-back alone proves nothing.
      assert.equal(inForce, /^client_tls_cert_file = (.*)$/m.exec(text)?.[1]);
      assert.equal(await shown(), fingerprint(first));
      await pooler.server.writeFile('pgbouncer.ini', ini.text);
      await pooler.console.reload();
    }
    lettingIn.abort();
    await tries;
    const letIn = answers.filter((answer) => !answer.includes('SSL required'));
    assert.ok(answers.length >= 10, `${answers.length} tries`);
    assert.deepEqual(letIn, []);
    assert.equal(await shown(), fingerprint(first));
    // What we never write, a line that can be refused above those of TLS, does let them in: the question can be answered so.
    await pooler.server.writeFile('pgbouncer.ini', ini.text.replace('[pgbouncer]\n', '[pgbouncer]\nverbose = loud\n'));
    await assert.rejects(pooler.console.reload());
    assert.equal(await ask(false), 'answered');
  });
});
