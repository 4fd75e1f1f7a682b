// The settings table and what is made from it: validation, canonical text, defaults, schema.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import {
  DEFAULT_PARAMETERS,
  defaultMaxClientConn,
  LIMIT_SETTINGS,
  LISTEN_SETTINGS,
  pooledSettings,
} from '../../src/model/settings/defaults.ts';
import { parameterRules, parametersSchema } from '../../src/model/settings/schema.ts';
import type { Setting } from '../../src/model/settings/setting.ts';
import { SETTINGS, USER_SETTINGS } from '../../src/model/settings/table.ts';
import { parameterText, validateParameters } from '../../src/model/settings/validate.ts';
import { renderSettingsDocs, SETTINGS_DOCS_FILE } from '../../scripts/generate-settings-docs.ts';
import { CONTROL_TEXTS, NASTY_TEXTS } from '../support/nasty-texts.ts';

function setting(name: string): Setting {
  const found = SETTINGS.get(name);
  assert.ok(found, `${name} is in the table`);
  return found;
}

function messageFor(name: string, value: string | number): string | undefined {
  return validateParameters({ [name]: value })[0]?.message;
}

describe('the settings table', () => {
  it('has each setting once, sorted by name', () => {
    assert.equal(SETTINGS.size, 99);
    assert.deepEqual([...SETTINGS.keys()], [...SETTINGS.keys()].sort());
  });

  it('lets users set only what a reload can change', () => {
    assert.deepEqual(
      USER_SETTINGS.filter(({ change }) => change === 'restart').map(({ name }) => name),
      [],
    );
  });

  it('lets users set nothing that a reload would not take back', () => {
    assert.deepEqual(
      USER_SETTINGS.filter((row) => row.default === undefined).map(({ name }) => name),
      [],
    );
  });

  it('lets users set nothing that decides on the budget, on logins, on encryption or on the proof', () => {
    const kept =
      /^(auth_|admin_users|stats_users|client_tls|server_tls|listen_|unix_socket|syslog|default_pool|min_pool|reserve_pool|max_db_|max_user_|pool_mode|peer_id|conffile|logfile)/;
    assert.deepEqual(
      USER_SETTINGS.filter(({ name }) => kept.test(name)).map(({ name }) => name),
      [],
    );
  });

  it('holds a default within its own bounds for every setting of users', () => {
    for (const row of USER_SETTINGS) {
      assert.equal(parameterText(row, row.default ?? ''), row.default, row.name);
    }
  });

  it('says something of every setting in one line', () => {
    for (const { name, meaning } of SETTINGS.values()) assert.match(meaning, /^\S[^\n]{10,}\.$/, name);
  });
});

describe('validateParameters', () => {
  it('accepts good values and says nothing', () => {
    const good = {
      server_idle_timeout: 120,
      query_wait_timeout: '0.5',
      log_connections: 0,
      server_reset_query: '',
      max_client_conn: '500',
      login_notify_message: 'déjà vu; # "x"',
    };
    assert.deepEqual(validateParameters(good), []);
  });

  const refused: readonly (readonly [string, string | number, RegExp])[] = [
    [
      'query_timout',
      5,
      /spec\.pooler\.parameters\.query_timout is not a setting of PgBouncer 1\.26; correct its name or remove it/,
    ],
    ['Query-Timeout', 5, /write query_timeout/],
    ['toString', 5, /is not a setting/],
    [
      'default_pool_size',
      5,
      /belongs to the operator; remove it and use spec\.budget and spec\.databases\[\]\.poolSize/,
    ],
    ['pool_mode', 'session', /use spec\.databases\[\]\.poolMode/],
    ['listen_backlog', 5, /only at a restart; not settable in this release; remove it/],
    ['syslog_ident', 'x', /carries the hash/],
    ['query_timeout', -1, /parameters\.query_timeout is -1; it must be seconds from 0 to 86400/],
    ['query_timeout', 86_401, /is 86401/],
    ['query_timeout', '1e3', /is "1e3"/],
    ['query_timeout', 'nan', /is "nan"/],
    ['query_timeout', '1000.5', /below 1000/],
    ['query_timeout', 0.0001, /is 0\.0001/],
    ['server_lifetime', 0, /from 1 to 86400/],
    ['max_client_conn', '010', /is "010"/],
    ['max_client_conn', '0x10', /is "0x10"/],
    ['max_client_conn', 99_999_999_999, /from 10 to 100000/],
    ['max_client_conn', Number.NaN, /is NaN/],
    ['max_packet_size', 16, /from 65536 to 2147483647 \(bytes\)/],
    ['log_connections', 'on', /it must be 0 or 1/],
    ['log_connections', 2, /it must be 0 or 1/],
    ['server_reset_query', 'x\nauth_type = any', /is "x\\nauth_type = any"; it must be a text/],
    ['server_reset_query', ' select 1', /blanks at its ends/],
    ['server_reset_query', 'x'.repeat(507), /at most 506 bytes/],
    ['login_notify_message', 'é'.repeat(513), /at most 1024 bytes/],
  ];
  for (const [name, value, pattern] of refused) {
    it(`refuses ${name} = ${JSON.stringify(value).slice(0, 40)} with field, value and what to do`, () => {
      assert.match(messageFor(name, value) ?? 'no message', pattern);
    });
  }

  it('names every problem of several, in the order of the names', () => {
    const problems = validateParameters({ verbose: 1, default_pool_size: 3, query_timeout: 'x', log_stats: 1 });
    assert.deepEqual(
      problems.map(({ name }) => name),
      ['default_pool_size', 'query_timeout', 'verbose'],
    );
  });

  it('refuses every control character and broken surrogate in every text setting', () => {
    for (const row of USER_SETTINGS.filter(({ type }) => type === 'string')) {
      for (const text of CONTROL_TEXTS) assert.ok(messageFor(row.name, text), `${row.name} = ${JSON.stringify(text)}`);
    }
  });

  it('gives one line of plain text whatever comes in', () => {
    const anything = fc.dictionary(
      fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...SETTINGS.keys())),
      fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...CONTROL_TEXTS), fc.double(), fc.integer()),
      { maxKeys: 4 },
    );
    fc.assert(
      fc.property(anything, (parameters) => {
        for (const { message } of validateParameters(parameters)) {
          assert.doesNotMatch(message, /\p{Cc}/u);
          assert.ok(message.startsWith('spec.pooler.parameters.') && message.length < 900 && message.isWellFormed());
        }
      }),
    );
  }).timeout(60_000);
});

describe('parameterText', () => {
  it('spells seconds as SHOW CONFIG does', () => {
    const spelled = ['120', '1.50', '0.5', '0.500', '999.999', '0.001', '86400', '7.0'].map((text) =>
      parameterText(setting('query_timeout'), text),
    );
    assert.deepEqual(spelled, ['120', '1.5', '0.5', '0.5', '999.999', '0.001', '86400', '7']);
  });

  it('changes nothing when it is applied to its own result', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...USER_SETTINGS),
        fc.oneof(fc.integer(), fc.constantFrom(...NASTY_TEXTS), fc.stringMatching(/^[0-9]{1,3}[.][0-9]{1,3}$/)),
        (row, value) => {
          fc.pre(validateParameters({ [row.name]: value }).length === 0);
          const text = parameterText(row, value);
          assert.equal(parameterText(row, text), text);
        },
      ),
    );
  }).timeout(60_000);

  it('throws for a value that validation refuses', () => {
    assert.throws(() => parameterText(setting('query_timeout'), 'abc'), RangeError);
  });
});

describe('pooledSettings', () => {
  it('lets the user override each default, and sorts by name', () => {
    const overridden = Object.fromEntries(
      DEFAULT_PARAMETERS.map(({ name }) => [name, name === 'ignore_startup_parameters' ? 'search_path' : 3]),
    );
    const settings = pooledSettings({ ...overridden, max_client_conn: 50 }, 10);
    assert.deepEqual(Object.keys(settings), Object.keys(settings).sort());
    assert.equal(settings['server_login_retry'], '3');
    assert.equal(settings['ignore_startup_parameters'], 'search_path');
    assert.equal(settings['max_client_conn'], '50');
  });

  it('has room for all clients on half of the pods, at least 1000, at most what a pod may have', () => {
    assert.deepEqual([0, 500, 501, 4000, 80_000].map(defaultMaxClientConn), [1000, 1000, 1002, 8000, 100_000]);
  });

  it('gives a reason for each default', () => {
    for (const { name, value, reason } of DEFAULT_PARAMETERS) {
      assert.deepEqual(validateParameters({ [name]: value }), [], name);
      assert.match(reason, /\.$/);
    }
  });

  it('refuses what is not the user’s', () => {
    assert.throws(() => pooledSettings({ default_pool_size: 5 }, 10), RangeError);
  });

  it('opens no connection beside the sizes on the database lines', () => {
    const fixed = new Map(LIMIT_SETTINGS.map(({ name, text }) => [name, text]));
    assert.deepEqual(
      ['default_pool_size', 'min_pool_size', 'reserve_pool_size'].map((name) => fixed.get(name)),
      ['1', '0', '0'],
    );
  });

  it('never sets what the operator keeps at one value', () => {
    for (const { name, text } of [...LISTEN_SETTINGS, ...LIMIT_SETTINGS]) {
      const row = setting(name);
      assert.notEqual(row.owner, 'user', name);
      assert.equal(parameterText(row, text), text, name);
    }
  });
});

describe('parametersSchema', () => {
  const rules = parameterRules();
  const inLists = rules.map(({ rule }) =>
    [...(/k in \[(.*?)\]/.exec(rule)?.[1] ?? '').matchAll(/'([^']*)'/g)].map(([, name]) => name),
  );

  it('bounds the map, so that the rules stay cheap', () => {
    const schema = parametersSchema();
    assert.equal(schema['maxProperties'], 64);
    assert.ok(USER_SETTINGS.length <= 64, 'all of them can be set at once');
    assert.deepEqual(schema['additionalProperties'], { 'x-kubernetes-int-or-string': true, maxLength: 1024 });
    assert.equal(schema['x-kubernetes-validations'] instanceof Array, true);
  });

  it('knows every name, and has exactly one more rule for each', () => {
    const [known, ...others] = inLists;
    assert.deepEqual(known, [...SETTINGS.keys()]);
    assert.deepEqual(others.flat().sort(), [...SETTINGS.keys()]);
  });

  it('has balanced quotes and brackets in each expression, and messages of one line', () => {
    for (const { rule, message, messageExpression = '' } of rules) {
      for (const expression of [rule, messageExpression]) {
        const bare = expression.replaceAll(/'(?:[^'\\]|\\.)*'/g, '');
        assert.doesNotMatch(bare, /'/, expression);
        for (const pair of ['()', '[]']) {
          assert.equal(bare.split(pair.charAt(0)).length, bare.split(pair.charAt(1)).length, expression);
        }
      }
      assert.doesNotMatch(message, /\n/);
      assert.ok(message.startsWith('spec.pooler.parameters') && message.length <= 2048);
    }
  });

  it('lets in all that a text setting may hold', () => {
    for (const row of USER_SETTINGS) if (row.type === 'string') assert.ok(row.maxBytes <= 1024, row.name);
  });
});

describe('docs/reference/settings.md', () => {
  it('is what scripts/generate-settings-docs.ts writes now', () => {
    assert.equal(readFileSync(SETTINGS_DOCS_FILE, 'utf8'), renderSettingsDocs());
  });

  it('lists every setting', () => {
    const docs = renderSettingsDocs();
    for (const name of SETTINGS.keys()) assert.ok(docs.includes(`| \`${name}\` |`), name);
  });
});
