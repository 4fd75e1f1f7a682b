// Users come from Secrets, which hold bytes: what is not text is refused, and never changed into something else.
import assert from 'node:assert/strict';
import { secretReading } from '../../src/controller/facts.ts';
import type { Observation } from '../../src/model/observation.ts';
import { readUsers } from '../../src/plan/policies/users-are-readable.ts';
import { observation, poolConfig } from '../support/observation.ts';

const LATIN_1 = Buffer.from('caf\u00e9', 'latin1');

const SCRAM_SECRET = `SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$${'A'.repeat(43)}=:${'B'.repeat(43)}=`;

function observed(data: Readonly<Record<string, Buffer | string>>): Observation {
  const bytes = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')] as const);
  const stored = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'app' }, data: Object.fromEntries(bytes) };
  const pool = poolConfig({ auth: { users: [{ secretRef: { name: 'app' } }] } });
  return observation(pool, {
    secrets: new Map([['app', secretReading(stored as Parameters<typeof secretReading>[0])]]),
  });
}

describe('a user of a Secret', () => {
  it('has the very name and password that are in there', () => {
    const { users, findings } = readUsers(observed({ username: 'caf\u00e9', password: '\ufeffp\u00e4ss "w\u00f6rd"' }));
    assert.deepEqual(findings, []);
    assert.deepEqual(
      users.map(({ name, secret }) => [name, secret.reveal()]),
      [['caf\u00e9', '\ufeffp\u00e4ss "w\u00f6rd"']],
    );
  });

  it('is refused with a password of bytes that are no text, of which only U+FFFD would have come to the pooler', () => {
    const { users, findings } = readUsers(
      observed({ username: 'app', password: Buffer.from([0xde, 0xad, 0xbe, 0xef]) }),
    );
    assert.deepEqual(users, []);
    assert.equal(findings[0]?.reason, 'SecretInvalid');
    assert.match(findings[0].message, /spec\.auth\.users\[0\]\.secretRef: Secret app: the password is not UTF-8 text/);
  });

  it('may have a SCRAM secret instead of a password, which then is no password to log in with', () => {
    const { users, findings } = readUsers(observed({ username: 'app', password: SCRAM_SECRET }));
    assert.deepEqual(findings, []);
    assert.deepEqual(
      users.map(({ plain, secret }) => [plain, secret.reveal()]),
      [[false, SCRAM_SECRET]],
    );
  });

  it('is refused with a SCRAM secret that was cut off, which PgBouncer would take for the password itself', () => {
    for (const broken of [SCRAM_SECRET.slice(0, -1), SCRAM_SECRET.replace('4096', ''), 'SCRAM-SHA-256$']) {
      const { users, findings } = readUsers(observed({ username: 'app', password: broken }));
      assert.deepEqual(users, [], broken);
      assert.match(findings[0]?.message ?? '', /Secret app: the password begins as a SCRAM secret and is none/);
      assert.ok(!findings[0]?.message.includes('c2Fsd'), 'nothing of it is told');
    }
  });

  it('is refused with a name of another encoding, which would have become the name of another role', () => {
    const { users, findings } = readUsers(observed({ username: LATIN_1, password: 'pw' }));
    assert.deepEqual(users, []);
    assert.match(findings[0]?.message ?? '', /Secret app: the user name is not UTF-8 text/);
  });
});
