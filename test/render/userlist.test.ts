// The rendered userlist: quoting, its name, and the password that proves which one is loaded.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ADMIN_USER, PROOF_USER, RESERVED_USERS } from '../../src/model/reserved-names.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import { RenderError } from '../../src/render/render-error.ts';
import { proofPassword, renderUserlist, userlistHash, type UserlistUser } from '../../src/render/userlist.ts';
import { CONTROL_TEXTS, GRAMMAR_CHARACTERS, NASTY_TEXTS } from '../support/nasty-texts.ts';
import { parseUserlist } from '../support/pgbouncer-grammar.ts';

const KEYS = {
  adminPassword: new SecretText('admin-password'),
  proofKey: new SecretText('0123456789abcdef0123456789abcdef'),
};
const OTHER_KEYS = { ...KEYS, proofKey: new SecretText('fedcba9876543210fedcba9876543210') };

function user(name: string, secret = 'pw'): UserlistUser {
  return { name, secret: new SecretText(secret) };
}

describe('renderUserlist', () => {
  it('has the operator, the users by name, and the proving user', () => {
    const { text } = renderUserlist([user('web', 'x'), user('app', 'say "hi"')], KEYS);
    const lines = parseUserlist(text.reveal());
    assert.deepEqual(lines.slice(0, 3), [
      [ADMIN_USER, 'admin-password'],
      ['app', 'say "hi"'],
      ['web', 'x'],
    ]);
    assert.deepEqual(lines[3]?.[0], PROOF_USER);
  });

  it('is named after its content, in whatever order it comes', () => {
    const one = renderUserlist([user('a'), user('b')], KEYS);
    assert.match(one.fileName, /^userlist-[0-9a-f]{12}\.txt$/);
    assert.equal(renderUserlist([user('b'), user('a')], KEYS).fileName, one.fileName);
    const others = [
      renderUserlist([user('a')], KEYS),
      renderUserlist([user('a'), user('b', 'pw2')], KEYS),
      renderUserlist([user('a'), user('b')], KEYS, ['c']),
      renderUserlist([user('a'), user('b')], { ...KEYS, adminPassword: new SecretText('other') }),
    ];
    assert.equal(new Set([one, ...others].map(({ fileName }) => fileName)).size, 5);
  });

  it('has a name from which a password can not be guessed without the key', () => {
    assert.notEqual(renderUserlist([user('a')], KEYS).hash, renderUserlist([user('a')], OTHER_KEYS).hash);
  });

  it('has a proving password that follows from file name and key, and from nothing less', () => {
    const { fileName, hash, text } = renderUserlist([user('a')], KEYS);
    const proof = new Map(parseUserlist(text.reveal())).get(PROOF_USER);
    assert.match(proof ?? '', /^[0-9a-f]{64}$/);
    assert.equal(proofPassword(hash, KEYS.proofKey).reveal(), proof);
    assert.equal(proofPassword(userlistHash(fileName) ?? '', KEYS.proofKey).reveal(), proof);
    assert.notEqual(proofPassword(hash, OTHER_KEYS.proofKey).reveal(), proof);
    assert.notEqual(proofPassword(renderUserlist([user('b')], KEYS).hash, KEYS.proofKey).reveal(), proof);
    assert.equal(userlistHash('server-ca-0123456789ab.crt'), undefined);
  });

  it('keeps a removed user with an empty secret, once, unless the user is back', () => {
    const { text } = renderUserlist([user('back')], KEYS, ['gone', 'gone', 'back']);
    const lines = parseUserlist(text.reveal());
    assert.deepEqual(
      lines.filter(([name]) => name === 'gone'),
      [['gone', '']],
    );
    assert.deepEqual(
      lines.filter(([name]) => name === 'back'),
      [['back', 'pw']],
    );
  });

  it('shows no secret when it is printed', () => {
    const list = renderUserlist([user('a', 'very-secret')], KEYS);
    assert.doesNotMatch(JSON.stringify(list), /very-secret|admin-password/);
  });

  const refused: readonly (readonly [string, readonly UserlistUser[], RegExp])[] = [
    ...RESERVED_USERS.map((name) => [`the name ${name}`, [user(name)], /the name is reserved/] as const),
    ['an empty name', [user('')], /the name is empty/],
    ['a name of 64 bytes', [user('x'.repeat(64))], /more than 63 bytes/],
    ['a user twice', [user('a'), user('a', 'b')], /user "a": it is there twice/],
    ['an empty secret', [user('a', '')], /the secret is empty/],
    ['a secret that would be taken for a hash', [user('a', `md5${'0'.repeat(32)}`)], /looks like an MD5 hash/],
    [
      'a SCRAM secret that was cut off, which PgBouncer would take for the password itself',
      [user('a', `SCRAM-SHA-256$4096:c2FsdA==$${'A'.repeat(43)}=:${'B'.repeat(42)}`)],
      /begins as a SCRAM secret and is none/,
    ],
    ['an endless secret', [user('a', 'x'.repeat(1025))], /more than 1024 bytes/],
  ];
  for (const [what, users, pattern] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => renderUserlist(users, KEYS),
        (error) => error instanceof RenderError && pattern.test(error.message),
      );
    });
  }

  it('refuses control characters and never repeats a secret in the message', () => {
    for (const text of CONTROL_TEXTS) {
      assert.throws(() => renderUserlist([user(text)], KEYS), RenderError);
      assert.throws(
        () => renderUserlist([user('a', `secret${text}`)], KEYS),
        (error) =>
          error instanceof RenderError && !error.message.includes('secret\n') && !/secret[^ ]/.test(error.message),
      );
    }
  });

  it('refuses a key that could be guessed', () => {
    assert.throws(() => renderUserlist([], { ...KEYS, proofKey: new SecretText('') }), RenderError);
  });

  it('either refuses users or PgBouncer reads those very users', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.string({ unit: fc.constantFrom(...GRAMMAR_CHARACTERS) }),
      fc.constantFrom(...NASTY_TEXTS),
    );
    let rendered = 0;
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ name: text, secret: text }), { selector: ({ name }) => name, maxLength: 4 }),
        (entries) => {
          let list;
          try {
            list = renderUserlist(
              entries.map(({ name, secret }) => user(name, secret)),
              KEYS,
            );
          } catch (error) {
            assert.ok(error instanceof RenderError);
            return;
          }
          rendered += 1;
          const read = parseUserlist(list.text.reveal()).filter(([name]) => name !== ADMIN_USER && name !== PROOF_USER);
          assert.deepEqual(new Map(read), new Map(entries.map(({ name, secret }) => [name, secret])));
          assert.equal(read.length, entries.length);
        },
      ),
      { numRuns: 2000 },
    );
    assert.ok(rendered > 200, `only ${rendered} were rendered`);
  }).timeout(60_000);
});
