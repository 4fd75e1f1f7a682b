// The reader that the pure tests judge by, against the program itself: raw hostile lines, which nobody has quoted, read alike by both.
import assert from 'node:assert/strict';
import { SecretText } from '../../src/model/secret-text.ts';
import { proveLogin } from '../../src/pgbouncer/server-login.ts';
import { renderUserlist } from '../../src/render/userlist.ts';
import { hostileNumber, hostileText, mutate, printableText, scramLike } from '../support/hostile-texts.ts';
import { connectionPairs, parseIni, parseUserlist, secretKind, shownNumber } from '../support/pgbouncer-grammar.ts';
import { Draw } from '../support/random.ts';
import { APP, HOST, KEYS, openConsole, startRendered, usersOf, type RenderedPooler } from './rendered-pooler.ts';

const SEED = Number(process.env['SEED'] ?? 1);
const LINES = 600;
const NUMBERS = 300;
const USERLISTS = 300;
const SECRETS = 150;

/** What was read, or that it was refused; undefined for what the reader does not judge. */
type Reading = string | undefined;

async function readBy(pooler: RenderedPooler, ini: string, show: () => Promise<string>): Promise<string> {
  await pooler.server.writeFile('pgbouncer.ini', ini);
  const took = await pooler.console.reload().then(
    () => true,
    (error: unknown) => {
      assert.match(String(error), /RELOAD failed/);
      return false;
    },
  );
  return took ? await show() : 'refused';
}

function judged(read: () => Reading): Reading {
  try {
    return read();
  } catch (error) {
    if (error instanceof SyntaxError) return 'refused';
    throw error;
  }
}

/** One line; about half of them are written as they should be. */
function rawLine(draw: Draw): string {
  const text = (quote: string): string => {
    const raw = (draw.chance(0.7) ? printableText(draw) : hostileText(draw)).slice(0, 70);
    return draw.chance(0.8) ? raw.replaceAll("'", quote) : raw;
  };
  const quote = draw.chance(0.8) ? "'" : draw.pick(['', '"']);
  const line = `'${text('"')}' = host=${quote}${text("''")}${quote} dbname='${text("''")}'`;
  return (draw.chance(0.5) ? mutate(draw, line) : line).replaceAll(/[\n\0]/g, '').toWellFormed();
}

/** Keys that PgBouncer may know; what it makes of them is not judged here. */
const OTHER_KEYS = /^[a-z_]+$/;

/** Names, hosts and databases as SHOW DATABASES has them. Other sections and the fallback database are not judged either. */
function databasesOf(file: string): Reading {
  const [databases, ...others] = parseIni(file);
  const [entry, ...more] = databases?.entries ?? [];
  if (others.length > 0 || more.length > 0 || entry?.[0] === '*') return undefined;
  if (entry === undefined) return '[]';
  const [name, line] = entry;
  const { host, dbname, ...rest } = Object.fromEntries(connectionPairs(line));
  const keys = Object.keys(rest);
  if (keys.length > 0 && keys.every((key) => OTHER_KEYS.test(key))) return undefined;
  const refused = keys.length > 0 || name === 'pgbouncer' || Buffer.byteLength(name) > 63;
  return refused ? 'refused' : JSON.stringify([[name, host, dbname ?? name]]);
}

function rawUser(draw: Draw): string {
  const quoted = (text: string): string => (draw.chance(0.4) ? text.replaceAll('"', '""') : text);
  return mutate(draw, `"${quoted(hostileText(draw))}" "${quoted(hostileText(draw))}"`).toWellFormed();
}

describe('the reader of PgBouncer’s files', function () {
  this.timeout(120_000);
  let pooler: RenderedPooler;
  let plain: string;

  before(async () => {
    pooler = await startRendered();
    plain = (await pooler.load({})).text;
    console.log(`    seed ${SEED}`);
  });

  after(async () => {
    await pooler[Symbol.asyncDispose]();
  });

  function told(what: string, verdicts: readonly Reading[], least: number): void {
    const refused = verdicts.filter((verdict) => verdict === 'refused').length;
    const read = verdicts.length - refused - verdicts.filter((verdict) => verdict === undefined).length;
    console.log(`      ${what}: ${read} read alike, ${refused} refused by both`);
    assert.ok(Math.min(read, refused) >= least, `${read} read and ${refused} refused show nothing`);
  }

  it('reads raw database lines as PgBouncer does', async () => {
    const draw = new Draw(SEED);
    const verdicts: Reading[] = [];
    for (let index = 0; index < LINES; index += 1) {
      const line = rawLine(draw);
      const want = judged(() => databasesOf(`[databases]\n${line}\n`));
      verdicts.push(want);
      if (want === undefined) continue;
      const got = await readBy(
        pooler,
        plain.replace('[databases]\n', () => `[databases]\n${line}\n`),
        async () =>
          JSON.stringify((await pooler.console.databases()).map(({ name, host, database }) => [name, host, database])),
      );
      assert.equal(got, want, `SEED=${SEED}, line ${index}: ${JSON.stringify(line)}`);
    }
    told('database lines', verdicts, 100);
  });

  for (const [type, key] of [
    ['int', 'query_wait_notify'],
    ['seconds', 'transaction_timeout'],
  ] as const) {
    it(`reads raw numbers of type ${type} as PgBouncer does`, async () => {
      const draw = new Draw(SEED + 1);
      const verdicts: Reading[] = [];
      for (let index = 0; index < NUMBERS; index += 1) {
        const text = hostileNumber(draw, { min: 0, max: 86_400 })
          .replaceAll(/[\n\0]/g, '')
          .toWellFormed();
        const value = parseIni(`[pgbouncer]\nx = ${text}\n`)[0]?.entries[0]?.[1] ?? '';
        const want =
          /nan|inf|0x/i.test(value) && type === 'seconds' ? undefined : judged(() => shownNumber(type, value));
        verdicts.push(want);
        if (want === undefined) continue;
        const got = await readBy(
          pooler,
          plain.replace('syslog_ident', () => `${key} = ${text}\nsyslog_ident`),
          async () => (await pooler.console.read()).config.get(key) ?? 'nothing',
        );
        assert.equal(got, want, `SEED=${SEED}, number ${index}: ${JSON.stringify(text)}`);
      }
      told(`numbers (${type})`, verdicts, 50);
    });
  }

  it('takes secrets that look like hashes for what PgBouncer takes them', async () => {
    const draw = new Draw(SEED + 3);
    const secrets = Array.from({ length: SECRETS }, () => {
      const start = draw.chance(0.7) ? scramLike(draw) : `md5${'0a'.repeat(16)}`;
      return mutate(draw, start).replaceAll(/[^ -~]/g, '') || 'x';
    });
    const { text, fileName } = renderUserlist([APP], KEYS);
    const lines = secrets.map((secret, index) => `"user${index}" "${secret.replaceAll('"', '""')}"`);
    await pooler.server.writeFile(fileName, `${text.reveal()}${lines.join('\n')}\n`);
    // Who may look at the console can log in without a server.
    const names = secrets.map((_, index) => `user${index}`).join(',');
    await pooler.server.writeFile(
      'pgbouncer.ini',
      plain.replace('syslog_ident', `stats_users = ${names}\nsyslog_ident`),
    );
    await pooler.console.reload();
    const address = { host: HOST, port: pooler.server.port };
    const kinds: Reading[] = [];
    for (const [index, secret] of secrets.entries()) {
      const password = new SecretText(secret);
      const isPassword = await proveLogin({ address, user: `user${index}`, password, timeoutMs: 3000 });
      assert.equal(isPassword, secretKind(secret) === 'plain', `SEED=${SEED}: ${secret}`);
      kinds.push(isPassword ? 'plain' : 'refused');
    }
    told('secrets', kinds, 20);
  });

  it('reads raw userlists as PgBouncer does', async () => {
    const draw = new Draw(SEED + 2);
    const { text, fileName } = renderUserlist([APP], KEYS);
    const verdicts: Reading[] = [];
    await pooler.load({});
    const admin = await openConsole(pooler);
    const known = new Set(await usersOf(admin));
    for (let index = 0; index < USERLISTS; index += 1) {
      // With another size each time: a change within a second would not be seen.
      const lines = `${text.reveal()}${rawUser(draw)}\n"after ${index}" "x"\n;${'x'.repeat(index)}\n`;
      const want = judged(() =>
        JSON.stringify(
          [...new Set(parseUserlist(lines).map(([name]) => name))].filter((name) => !known.has(name)).sort(),
        ),
      );
      verdicts.push(want);
      await pooler.server.writeFile(fileName, lines);
      await pooler.console.reload();
      const fresh = (await usersOf(admin)).filter((name) => !known.has(name));
      for (const name of fresh) known.add(name);
      const where = `SEED=${SEED}, userlist ${index}: ${JSON.stringify(lines)}`;
      if (want === 'refused') assert.ok(!fresh.includes(`after ${index}`), where);
      else assert.equal(JSON.stringify(fresh), want, where);
    }
    await admin.end();
    told('userlists', verdicts, 50);
  });
});
