// Bugs in what keeps the texts of users inside their places in PgBouncer's files; hostile texts by the thousand find each.
import type { PlantedBug } from '../planted-bug.ts';

const FUZZ = 'test/render/fuzz.test.ts';
const LINE = 'src/render/database-line.ts';
const INI = 'src/render/ini.ts';
const USERLIST = 'src/render/userlist.ts';
const RULE =
  'what a user writes is refused by the name of its field, or PgBouncer reads that very text and nothing else';

export const TEXT_BUGS: readonly PlantedBug[] = [
  {
    name: 'quote-in-a-database-key',
    rule: `${RULE}: nothing can be escaped within the quotes of a key`,
    file: LINE,
    find: 'if (name.includes("\'")) throw',
    replace: 'if (name === "\'") throw',
    caughtBy: [{ tests: FUZZ, named: 'databases[].name is refused or read as it was written' }],
  },
  {
    name: 'database-twice-in-a-file',
    rule: `${RULE}: of two lines with one name PgBouncer takes the last`,
    file: INI,
    find: 'if (twice !== undefined) {',
    replace: "if (twice?.name === '') {",
    caughtBy: [{ tests: FUZZ, named: 'databases[].name is refused or read as it was written' }],
  },
  {
    name: 'tls-mode-unchecked',
    rule: `${RULE}: settings are not quoted, so a TLS mode with a line break would be two`,
    file: INI,
    find: 'if (!SERVER_TLS_MODES.includes(mode)) {',
    replace: 'if (mode.length > 100) {',
    caughtBy: [{ tests: FUZZ, named: 'server.tls.mode is refused or read as it was written' }],
  },
  {
    name: 'number-with-a-leading-zero',
    rule: `${RULE}: PgBouncer reads 010 as 8`,
    file: 'src/model/settings/validate.ts',
    find: "INTEGER_PATTERN = '^(0|[1-9][0-9]{0,9})$';",
    replace: "INTEGER_PATTERN = '^[0-9]{1,10}$';",
    caughtBy: [{ tests: FUZZ, named: 'parameters.max_client_conn is refused or read as it was written' }],
  },
  {
    name: 'user-name-not-doubled',
    rule: `${RULE}: a quote in a name ends the name`,
    file: USERLIST,
    find: '`"${name.replaceAll(\'"\', \'""\')}"',
    replace: '`"${name}"',
    caughtBy: [{ tests: FUZZ, named: 'users[].name is refused or read as it was written' }],
  },
  {
    name: 'broken-scram-secret-let-in',
    rule: `${RULE}: what is not exactly a SCRAM secret is a password to PgBouncer`,
    file: USERLIST,
    find: 'return text.startsWith(SCRAM_BEGINNING) && !isScramSecret(text);',
    replace: 'return text === SCRAM_BEGINNING;',
    caughtBy: [
      { tests: FUZZ, named: 'users[].secret is refused or read as it was written' },
      { tests: 'test/plan/users-are-readable.test.ts', named: 'is refused with a SCRAM secret that was cut off' },
    ],
  },
  {
    name: 'secret-of-bytes-taken-for-text',
    rule: 'a password reaches PgBouncer as it is in the Secret: bytes that are no UTF-8 are refused, not replaced',
    file: 'src/plan/policies/users-are-readable.ts',
    find: "return text.includes('\\ufffd');",
    replace: "return text === '\\ufffd';",
    caughtBy: [{ tests: 'test/plan/users-are-readable.test.ts', named: 'is refused with a password of bytes' }],
  },
];
