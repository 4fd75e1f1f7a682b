// Classification of errors on the way to a server, directly and through a pooler.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { poolerAnswerOf } from '../../src/pgbouncer/pooler-fault.ts';
import { serverFaultOf } from '../../src/postgres/fault.ts';
import { WireTimeout } from '../../src/postgres/wire-client.ts';

const fromServer = (code: string, message = 'no') => Object.assign(new Error(message), { code, severity: 'FATAL' });
const fromNode = (code: string) => Object.assign(new Error('no'), { code });

describe('faults', () => {
  it('class what PostgreSQL says by its SQLSTATE', () => {
    for (const [code, fault] of [
      ['28P01', 'PasswordRefused'],
      ['28000', 'LoginRefused'],
      ['3D000', 'DatabaseMissing'],
      ['53300', 'TooManyConnections'],
      ['57P03', 'ServerUnreachable'],
      ['42501', 'LoginRefused'],
      ['0A000', 'LoginRefused'],
    ] as const) {
      assert.equal(serverFaultOf(fromServer(code)), fault, code);
    }
  });

  it('class what Node says of sockets, names and certificates', () => {
    for (const code of [
      'ECONNREFUSED',
      'ENOTFOUND',
      'EAI_AGAIN',
      'ETIMEDOUT',
      'EHOSTUNREACH',
      'ECONNRESET',
      'EPIPE',
      'EFORBIDDENADDRESS',
    ]) {
      assert.equal(serverFaultOf(fromNode(code)), 'ServerUnreachable', code);
    }
    for (const code of [
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'CERT_HAS_EXPIRED',
      'ERR_TLS_CERT_ALTNAME_INVALID',
      'ERR_OSSL_PEM_NO_START_LINE',
    ]) {
      assert.equal(serverFaultOf(fromNode(code)), 'CertificateNotTrusted', code);
    }
    assert.equal(serverFaultOf(fromNode('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')), 'TlsNotOffered');
    assert.equal(serverFaultOf(new Error('The server does not support SSL connections')), 'TlsNotOffered');
    assert.equal(serverFaultOf(new WireTimeout('logging in', 5)), 'ServerUnreachable');
  });

  it('tell a server that asks for a certificate, or refuses one, from one that refuses the login', () => {
    const wanted = 'connection requires a valid client certificate';
    assert.equal(serverFaultOf(fromServer('28000', wanted)), 'CertificateRefused');
    assert.deepEqual(poolerAnswerOf(fromServer('28000', wanted)), {
      ...{ from: 'server', fault: 'CertificateRefused', fresh: true },
    });
    assert.equal(
      serverFaultOf(fromServer('28000', 'certificate authentication failed for user "app"')),
      'LoginRefused',
    );
    for (const alert of [
      'TLSV1_ALERT_UNKNOWN_CA',
      'SSLV3_ALERT_BAD_CERTIFICATE',
      'SSLV3_ALERT_CERTIFICATE_EXPIRED',
      'SSL/TLS_ALERT_CERTIFICATE_EXPIRED',
      'SSLV3_ALERT_UNSUPPORTED_CERTIFICATE',
      'TLSV13_ALERT_CERTIFICATE_REQUIRED',
    ]) {
      assert.equal(serverFaultOf(fromNode(`ERR_SSL_${alert}`)), 'CertificateRefused', alert);
    }
    assert.equal(serverFaultOf(fromNode('ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE')), 'TlsNotOffered');
  });

  it('have a class for anything that is thrown', () => {
    fc.assert(
      fc.property(fc.anything(), (thrown) => {
        assert.equal(typeof serverFaultOf(Object(thrown)), 'string');
      }),
    );
  });

  it('tell a pooler that repeats an old answer from one that tried now, and both from a pooler that is away', () => {
    const cached = (reason: string) =>
      fromServer('08P01', `server login has been failing, cached error: ${reason} (server_login_retry)`);
    for (const [reason, fault] of [
      ['connect failed', 'ServerUnreachable'],
      ['connect timeout', 'ServerUnreachable'],
      ['server DNS lookup failed', 'ServerUnreachable'],
      ['server conn crashed?', 'ServerUnreachable'],
      ['connect string changed', 'ServerUnreachable'],
      ['server refused SSL', 'TlsNotOffered'],
      ['connection requires a valid client certificate', 'CertificateRefused'],
      ['password authentication failed for user "app"', 'PasswordRefused'],
      ['database "x" does not exist', 'DatabaseMissing'],
      ['role "x" does not exist', 'LoginRefused'],
      ['no pg_hba.conf entry for host "10.0.0.1", user "app", database "x", no encryption', 'LoginRefused'],
      ['too many connections for role "app"', 'TooManyConnections'],
      ['remaining connection slots are reserved for roles with the SUPERUSER attribute', 'TooManyConnections'],
    ] as const) {
      assert.deepEqual(poolerAnswerOf(cached(reason)), { from: 'server', fault, fresh: false }, reason);
    }
    assert.deepEqual(poolerAnswerOf(fromServer('3D000')), { from: 'server', fault: 'DatabaseMissing', fresh: true });
    assert.deepEqual(poolerAnswerOf(fromServer('08P01', 'client_login_timeout (server down)')), {
      from: 'pooler',
      fault: 'Timeout',
    });
    assert.deepEqual(poolerAnswerOf(fromServer('08P01', 'SASL authentication failed')), {
      from: 'pooler',
      fault: 'PoolerRefused',
    });
    assert.deepEqual(poolerAnswerOf(new WireTimeout('logging in', 5)), { from: 'pooler', fault: 'Timeout' });
    assert.deepEqual(poolerAnswerOf(fromNode('ECONNREFUSED')), { from: 'network' });
  });
});
