// Spelling of admin commands: whatever the value, it stays one value of one command.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AdminError } from '../../src/pgbouncer/errors.ts';
import { databaseStatement, killClientStatement, setStatement } from '../../src/pgbouncer/statements.ts';

/** Reads a quoted argument as PgBouncer does; the text after it must be nothing. */
function unquoted(text: string, quote: string): string {
  assert.equal(text[0], quote);
  let value = '';
  let at = 1;
  for (; at < text.length; at += 1) {
    if (text[at] !== quote) {
      value += text[at] ?? '';
    } else if (text[at + 1] === quote) {
      value += quote;
      at += 1;
    } else {
      break;
    }
  }
  assert.equal(at, text.length - 1, 'something follows the closing quote');
  return value;
}

const isRefused = (error: unknown): boolean => error instanceof AdminError && error.kind === 'refused';
const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', "'", '"', '\\', ';', '-', '%', '\u00e9', '\u{1F418}') });

describe('admin commands', () => {
  it('carry any value as one argument of SET, or refuse it', () => {
    fc.assert(
      fc.property(text, (value) => {
        const statement = setStatement('syslog_ident', value);
        assert.ok(statement.startsWith('SET syslog_ident = '));
        assert.equal(unquoted(statement.slice('SET syslog_ident = '.length), "'"), value);
      }),
    );
  });

  it('carry any database name as one argument, bare where PgBouncer allows two bytes more for it', () => {
    fc.assert(
      fc.property(
        text.filter((name) => name !== ''),
        (name) => {
          const argument = databaseStatement('PAUSE', name).slice('PAUSE '.length);
          assert.equal(/^\w+$/.test(name) ? argument : unquoted(argument, '"'), name);
        },
      ),
    );
    assert.equal(databaseStatement('RESUME', 'x'.repeat(63)), `RESUME ${'x'.repeat(63)}`);
    assert.throws(() => databaseStatement('RESUME', 'x'.repeat(64)), isRefused);
    assert.throws(() => databaseStatement('PAUSE', `${'x'.repeat(60)}-y`), isRefused);
    assert.throws(() => databaseStatement('PAUSE', ''), isRefused);
  });

  it('refuse control characters, long values and names that are no names', () => {
    for (const value of ['a\nb', '\0', '\u007f', 'x'.repeat(254), "'".repeat(127)]) {
      assert.throws(() => setStatement('syslog_ident', value), isRefused);
    }
    for (const key of ['', 'a b', 'A', "a'", 'a=1;b']) {
      assert.throws(() => setStatement(key, '1'), isRefused);
    }
    for (const id of ['', '1; SHUTDOWN', '0x', 'x1', '-1']) {
      assert.throws(() => killClientStatement(id), isRefused);
    }
    assert.equal(killClientStatement('17'), 'KILL_CLIENT 17');
  });

  it('never repeat a value that may be secret in the complaint about it', () => {
    assert.throws(
      () => setStatement('auth_user', `s3cret\n`),
      (error) => error instanceof Error && !error.message.includes('s3cret'),
    );
  });
});
