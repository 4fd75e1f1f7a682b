// A PostgreSQL that asks for certificates, on real parts: who gets through with one, what is said of those who don't, and what a renewal does.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { RenderedIni } from '../../src/model/pooler-model.ts';
import { PROOF_USER } from '../../src/model/reserved-names.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import type { ServerTrust } from '../../src/model/server-trust.ts';
import {
  markServers,
  proveServerLogin,
  tryServerLogin,
  type ServerLoginProved,
  type ServerMark,
} from '../../src/pgbouncer/server-login.ts';
import { tryLogin } from '../../src/postgres/login-trial.ts';
import { ServerMonitor } from '../../src/postgres/server-monitor.ts';
import { compareReadBack } from '../../src/render/read-back.ts';
import { proofPassword, userlistHash } from '../../src/render/userlist.ts';
import { makeAuthority, type Authority, type Certificate } from '../support/certificates.ts';
import { startPostgres, type PostgresServer } from '../support/servers.ts';
import { APP, HOST, KEYS, startRendered, type RenderedPooler } from './rendered-pooler.ts';
import { asSuperuser } from './stage.ts';

/** The databases of the server and what each asks for besides TLS. */
const PASSWORD_TOO = 'passwordtoo';
const CERTIFICATE_ALONE = 'certificatealone';
const MAPPED = 'mapped';
const PASSWORD_AND_NAME = 'passwordandname';
/** A second role of the fleet, for which there is no certificate of its own. */
const REPORTS = 'reports';

describe('a PostgreSQL that asks for certificates', function () {
  this.timeout(60_000);
  let folder: string;
  let authority: Authority;
  let own: Certificate;
  let foreign: Certificate;
  let expired: Certificate;
  let postgres: PostgresServer;
  let pooler: RenderedPooler;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'server-certificate-'));
    authority = await makeAuthority(join(folder, 'own'));
    const stranger = await makeAuthority(join(folder, 'stranger'), 'another authority');
    own = await authority.issue({ commonName: APP.name });
    foreign = await stranger.issue({ commonName: APP.name });
    expired = await authority.issue({ commonName: APP.name, days: -1 });
    const shown = await authority.issue({ commonName: 'server', hosts: [HOST] });
    const identFile = join(folder, 'pg_ident.conf');
    await writeFile(identFile, [APP.name, REPORTS].map((role) => `fleet ${APP.name} ${role}\n`).join(''));
    // PostgreSQL runs as somebody else.
    await chmod(folder, 0o755);
    postgres = await startPostgres({
      tls: { ...shown, authority: authority.certificate },
      hba: [
        'host postgres postgres all scram-sha-256',
        `hostssl ${PASSWORD_TOO} all all scram-sha-256 clientcert=verify-ca`,
        `hostssl ${CERTIFICATE_ALONE} all all cert`,
        `hostssl ${MAPPED} all all cert map=fleet`,
        `hostssl ${PASSWORD_AND_NAME} all all scram-sha-256 clientcert=verify-full`,
      ],
      settings: { ident_file: identFile },
    });
    await asSuperuser(
      postgres,
      'postgres',
      `create role ${APP.name} login password '${APP.secret.reveal()}' in role pg_monitor`,
      `create role ${REPORTS} login password '${APP.secret.reveal()}'`,
      ...[PASSWORD_TOO, CERTIFICATE_ALONE, MAPPED, PASSWORD_AND_NAME].map((name) => `create database ${name}`),
    );
  });

  after(async () => {
    await postgres.stop();
    await rm(folder, { recursive: true });
  });

  beforeEach(async () => {
    pooler = await startRendered();
  });

  afterEach(async () => {
    await pooler[Symbol.asyncDispose]();
  });

  /** All that the pooler is told, with a certificate to show or without. */
  async function load(certificate: Certificate | undefined): Promise<{ ini: RenderedIni; since: ServerMark }> {
    const since = await markServers(pooler.console);
    const ini = await pooler.load({
      databases: [PASSWORD_TOO, CERTIFICATE_ALONE].map((name) => ({
        ...{ name, host: HOST, port: postgres.port, dbname: name, poolMode: 'transaction' as const },
      })),
      serverTls: {
        mode: 'verify-full',
        authority: authority.certificate,
        ...(certificate === undefined ? {} : { certificate }),
      },
    });
    return { ini, since };
  }

  const address = () => ({ host: HOST, port: pooler.server.port });

  async function through(database: string): Promise<string> {
    const result = await tryServerLogin({
      ...{ address: address(), database, user: APP.name, password: APP.secret, timeoutMs: 2_500 },
    });
    return result.ok ? 'ok' : result.fault;
  }

  function prove(
    role: 'proof' | 'application',
    { ini, since }: { ini: RenderedIni; since: ServerMark },
    database = PASSWORD_TOO,
  ): Promise<ServerLoginProved> {
    const file = ini.config.get('auth_file')?.replace(/.*\//, '') ?? '';
    const login =
      role === 'application'
        ? { user: APP.name, password: APP.secret }
        : { user: PROOF_USER, password: proofPassword(userlistHash(file) ?? '', KEYS.proofKey) };
    const { console } = pooler;
    return proveServerLogin({ ...login, console, address: address(), database, role, since, timeoutMs: 2_500 });
  }

  async function loggedIn(): Promise<pg.Client> {
    const client = new pg.Client({
      ...{ host: HOST, port: pooler.server.port, user: APP.name, password: APP.secret.reveal() },
      database: PASSWORD_TOO,
    });
    await client.connect();
    return client;
  }

  /** Serial number of the certificate that PostgreSQL was shown by the connection in use. */
  async function serialSeen(client: pg.Client): Promise<bigint> {
    const { rows } = await client.query<{ serial: string }>(
      'select client_serial::text as serial from pg_stat_ssl where pid = pg_backend_pid()',
    );
    return BigInt(rows[0]?.serial ?? 0);
  }

  const serialOf = ({ certificate }: Certificate): bigint =>
    BigInt(`0x${new X509Certificate(certificate).serialNumber}`);

  const trust = (certificate?: Certificate): ServerTrust => ({
    ...{ mode: 'verify-full', caPem: authority.certificate },
    ...(certificate === undefined ? {} : { certPem: certificate.certificate, keyPem: new SecretText(certificate.key) }),
  });

  async function straight(tls: ServerTrust, database = PASSWORD_TOO, user = APP.name): Promise<string> {
    const login = { host: HOST, port: postgres.port, tls, user, password: APP.secret, database };
    const result = await tryLogin({ ...login, timeoutMs: 2_000, guard: () => true });
    return result.ok ? 'ok' : result.fault;
  }

  it('lets a pooler in that shows one, read back as rendered, and no other', async () => {
    const { ini } = await load(own);
    assert.deepEqual(compareReadBack(ini, await pooler.console.read()), []);
    assert.deepEqual([await through(PASSWORD_TOO), await through(CERTIFICATE_ALONE)], ['ok', 'ok']);
    const client = await loggedIn();
    assert.equal(await serialSeen(client), serialOf(own));
    await client.end();
  });

  it('is told of without one: the way that it names is the field', async () => {
    await load(undefined);
    assert.deepEqual(
      [await through(PASSWORD_TOO), await through(CERTIFICATE_ALONE)],
      ['CertificateRefused', 'CertificateRefused'],
    );
  });

  it('shows only as silence through a pooler with a certificate of another authority or an expired one', async () => {
    for (const certificate of [foreign, expired]) {
      await load(certificate);
      assert.equal(await through(PASSWORD_TOO), 'Timeout');
    }
  });

  it('proves nothing by refusing a login for want of a certificate, or for a wrong one', async () => {
    for (const role of ['proof', 'application'] as const) {
      assert.ok((await prove(role, await load(own))).proved, role);
      for (const certificate of [undefined, foreign]) {
        const result = await prove(role, await load(certificate));
        const fault = certificate === undefined ? 'CertificateRefused' : 'Timeout';
        assert.deepEqual(result, { proved: false, fault }, role);
      }
    }
  });

  it('proves the way by refusing the proving user where certificates alone decide, for it has looked at one', async () => {
    const told = await load(own);
    assert.ok((await prove('proof', told, CERTIFICATE_ALONE)).proved);
  });

  it('is shown a renewed one by new connections after RELOAD, while open transactions go on with the former', async () => {
    await load(own);
    const open = await loggedIn();
    await open.query('begin');
    assert.equal(await serialSeen(open), serialOf(own));
    const renewed = await authority.issue({ commonName: APP.name });
    const told = await load(renewed);
    const proof = await prove('application', told);
    assert.ok(proof.proved && proof.by === 'NewServer', JSON.stringify(proof));
    const later = await loggedIn();
    assert.equal(await serialSeen(later), serialOf(renewed));
    assert.equal(await serialSeen(open), serialOf(own));
    await open.query('commit');
    assert.equal(await serialSeen(open), serialOf(renewed));
    await Promise.all([open.end(), later.end()]);
  });

  it('is not reached with a file that can not be loaded, although RELOAD says OK and it reads back: only a login finds out', async () => {
    const { ini } = await load(own);
    for (const name of ['server_tls_cert_file', 'server_tls_key_file']) {
      const text = ini.text.replace(new RegExp(`^${name} = .*$`, 'm'), `${name} = /nowhere/tls`);
      const since = await markServers(pooler.console);
      await pooler.server.writeFile('pgbouncer.ini', text);
      await pooler.console.reload();
      assert.equal((await pooler.console.read()).config.get(name), '/nowhere/tls');
      assert.deepEqual(await prove('application', { ini, since }), { proved: false, fault: 'Timeout' });
    }
    await load(own);
    assert.equal(await through(PASSWORD_TOO), 'ok');
  });

  it('lets the operator’s own trial logins in with one, and says what is wrong without', async () => {
    assert.deepEqual([await straight(trust(own)), await straight(trust(own), CERTIFICATE_ALONE)], ['ok', 'ok']);
    assert.equal(await straight({ ...trust(own), mode: 'require' }), 'ok');
    assert.equal(await straight({ ...trust(own), mode: 'verify-ca' }), 'ok');
    assert.equal(await straight(trust()), 'CertificateRefused');
    assert.equal(await straight({ mode: 'require' }), 'CertificateRefused');
    assert.equal(await straight(trust(own), CERTIFICATE_ALONE, 'somebody'), 'LoginRefused');
    assert.equal(await straight({ mode: 'disable' }), 'LoginRefused');
  });

  it('lets several roles in with one certificate by its authority, or by a map; its name alone fits one role', async () => {
    const table: Record<string, string> = {};
    for (const database of [PASSWORD_TOO, CERTIFICATE_ALONE, MAPPED, PASSWORD_AND_NAME]) {
      for (const role of [APP.name, REPORTS]) table[`${database} ${role}`] = await straight(trust(own), database, role);
    }
    assert.deepEqual(table, {
      [`${PASSWORD_TOO} ${APP.name}`]: 'ok',
      [`${PASSWORD_TOO} ${REPORTS}`]: 'ok',
      [`${CERTIFICATE_ALONE} ${APP.name}`]: 'ok',
      [`${CERTIFICATE_ALONE} ${REPORTS}`]: 'LoginRefused',
      [`${MAPPED} ${APP.name}`]: 'ok',
      [`${MAPPED} ${REPORTS}`]: 'ok',
      [`${PASSWORD_AND_NAME} ${APP.name}`]: 'ok',
      [`${PASSWORD_AND_NAME} ${REPORTS}`]: 'PasswordRefused',
    });
  });

  it('says the same of a wrong certificate every time, although the server hangs up after the handshake', async () => {
    const said = new Map<string, number>();
    for (let time = 0; time < 100; time += 1) {
      for (const certificate of [foreign, expired]) {
        const fault = await straight(trust(certificate));
        said.set(fault, (said.get(fault) ?? 0) + 1);
      }
    }
    assert.deepEqual([...said], [['CertificateRefused', 200]]);
  });

  it('is read by the monitor role with one, and tells the monitor without', async () => {
    const view = async (tls: ServerTrust) => {
      const monitor = new ServerMonitor({
        ...{ host: HOST, port: postgres.port, tls, user: APP.name, password: APP.secret, database: PASSWORD_TOO },
        guard: () => true,
      });
      try {
        const seen = await monitor.observe();
        return seen.reachable ? 'reachable' : seen.fault;
      } finally {
        await monitor.close();
      }
    };
    assert.deepEqual(
      [await view(trust(own)), await view(trust()), await view(trust(foreign))],
      ['reachable', 'CertificateRefused', 'CertificateRefused'],
    );
  });
});
