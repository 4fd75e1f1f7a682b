// The servers that other tests rely on: a query through PgBouncer to PostgreSQL, with SCRAM and with TLS.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { makeAuthority, type Authority } from '../support/certificates.ts';
import { startPgbouncer, startPostgres, type PgbouncerServer, type PostgresServer } from '../support/servers.ts';

describe('servers of tests', function () {
  this.timeout(180_000);
  let dir = '';
  let authority: Authority;
  let postgres: PostgresServer;
  let pgbouncer: PgbouncerServer;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'poolsmith-servers-'));
    authority = await makeAuthority(dir);
    const server = await authority.issue({ commonName: 'postgres', hosts: ['127.0.0.1', 'localhost'] });
    postgres = await startPostgres({
      maxConnections: 30,
      tls: server,
      settings: { password_encryption: 'scram-sha-256' },
    });
    await query(postgres.superuserUrl, "CREATE ROLE app LOGIN PASSWORD 'app-password'");
    const [row] = await query(postgres.superuserUrl, "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'");
    pgbouncer = await startPgbouncer({
      iniText: ({ port }) =>
        [
          '[databases]',
          `app = host=127.0.0.1 port=${postgres.port} dbname=postgres`,
          '[pgbouncer]',
          `listen_addr = 127.0.0.1\nlisten_port = ${port}`,
          'unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = users.txt',
          'server_tls_sslmode = verify-full\nserver_tls_ca_file = ca.crt',
          '%include extra.ini',
          '',
        ].join('\n'),
      files: {
        'users.txt': `"app" "${String(row?.['rolpassword'])}"\n`,
        'ca.crt': authority.certificate,
        'extra.ini': 'admin_users = app\n',
      },
    });
  });

  after(async () => {
    await pgbouncer.stop();
    await postgres.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  async function query(connectionString: string, sql: string): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  const through = (database: string, password = 'app-password'): string =>
    `postgresql://app:${password}@127.0.0.1:${pgbouncer.port}/${database}`;

  it('answer a query through PgBouncer with SCRAM on both sides and TLS to PostgreSQL', async () => {
    const rows = await query(
      through('app'),
      'SELECT current_user AS who, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    assert.deepEqual(rows, [{ who: 'app', ssl: true }]);
  });

  it('refuse a wrong password', async () => {
    await assert.rejects(query(through('app', 'wrong'), 'SELECT 1'), /SASL authentication failed/);
  });

  it('honour the wanted max_connections', async () => {
    assert.deepEqual(await query(postgres.superuserUrl, 'SHOW max_connections'), [{ max_connections: '30' }]);
  });

  it('let a test replace a file and have PgBouncer read it again', async () => {
    await pgbouncer.writeFile('extra.ini', 'admin_users = app\ndefault_pool_size = 7\n');
    const client = new pg.Client({ connectionString: through('pgbouncer') });
    await client.connect();
    try {
      await client.query('RELOAD');
      const { rows } = await client.query<{ key: string; value: string }>('SHOW CONFIG');
      assert.equal(rows.find(({ key }) => key === 'default_pool_size')?.value, '7');
    } finally {
      await client.end();
    }
  });

  it('tell why a server did not start', async () => {
    await assert.rejects(startPgbouncer({ iniText: () => '[pgbouncer]\nno_such_setting = 1\n' }), /no_such_setting/);
  });

  it('leave nothing behind once stopped', async () => {
    const other = await startPgbouncer({
      iniText: ({ port }) =>
        `[databases]\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\n`,
    });
    await other.stop();
    assert.equal(existsSync(other.dir), false);
    assert.throws(() => process.kill(other.pid, 0), { code: 'ESRCH' });
  });
});
