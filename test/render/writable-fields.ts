// Every text of a user that gets into a file of PgBouncer: how hostile ones are drawn, and the trial that one goes through.
import assert from 'node:assert/strict';
import type { PoolerModel, PoolMode, ServerTlsMode } from '../../src/model/pooler-model.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import { pooledSettings } from '../../src/model/settings/defaults.ts';
import type { Setting } from '../../src/model/settings/setting.ts';
import { SETTINGS, USER_SETTINGS } from '../../src/model/settings/table.ts';
import { PARAMETERS_FIELD, validateParameters, type ParameterValue } from '../../src/model/settings/validate.ts';
import { RenderError } from '../../src/render/render-error.ts';
import { hostileNumber, hostileOf, hostileText, printableText } from '../support/hostile-texts.ts';
import type { Draw } from '../support/random.ts';
import { NEIGHBOURS, OTHER_USERS, poolerModel, readsBack, readsUsers, same, SUBJECT } from './as-meant.ts';

export type WritableField = {
  readonly name: string;
  readonly cases: number;
  readonly draw: (draw: Draw) => ParameterValue;
  /** False: refused, by the name of the field. @throws AssertionError when PgBouncer would read anything but what was meant. */
  readonly accepts: (value: ParameterValue) => boolean;
};

const HOSTS = ['db.shop.svc', '10.0.0.1', '2001:db8::1', 'db-1_x.example.com', 'a'.repeat(253)];
const POOL_MODES: readonly string[] = ['transaction', 'session', 'statement'];
const TLS_MODES: readonly string[] = ['disable', 'require', 'verify-ca', 'verify-full'];

/** True when it was done, false when it was refused by a field that fits. */
function unlessRefused(field: RegExp, attempt: () => void): boolean {
  try {
    attempt();
    return true;
  } catch (error) {
    if (!(error instanceof RenderError)) throw error;
    assert.match(error.message, field, 'it is refused by the name of another field');
    return false;
  }
}

/** Sometimes the name of a neighbour. */
function hostileName(draw: Draw): string {
  return draw.chance(0.02) ? 'zz' : hostileText(draw);
}

function databaseField(key: 'name' | 'dbname' | 'host' | 'poolMode', draw: (draw: Draw) => string): WritableField {
  const named =
    key === 'name'
      ? /^while rendering databases\[".*"\](\.name)?: /s
      : new RegExp(`^while rendering databases\\["m"\\]\\.${key}: `);
  return {
    name: `databases[].${key}`,
    cases: key === 'poolMode' ? 2000 : 15_000,
    draw,
    accepts: (value) =>
      unlessRefused(named, () => {
        const subject = { ...SUBJECT, [key]: key === 'poolMode' ? (value as PoolMode) : String(value) };
        readsBack(poolerModel({ databases: [...NEIGHBOURS, subject] }));
      }),
  };
}

const USER_FIELDS: readonly WritableField[] = [
  {
    name: 'users[].name',
    cases: 15_000,
    draw: hostileName,
    accepts: (name) =>
      unlessRefused(/^while rendering user ".*": (the name |it is there twice)/s, () => {
        readsUsers([...OTHER_USERS, { name: String(name), secret: new SecretText('pw') }]);
      }),
  },
  {
    name: 'users[].secret',
    cases: 15_000,
    draw: hostileText,
    accepts: (secret) =>
      unlessRefused(/^while rendering user "m": the secret [a-zA-Z0-9 ]+$/, () => {
        readsUsers([...OTHER_USERS, { name: 'm', secret: new SecretText(String(secret)) }]);
      }),
  },
  {
    name: 'users that are gone',
    cases: 8000,
    draw: hostileName,
    accepts: (name) =>
      unlessRefused(/^while rendering user ".*": the name /s, () => {
        readsUsers(OTHER_USERS, [String(name), 'yy']);
      }),
  },
];

/** Through the whole way of a parameter: the check of the spec, the defaults under it, the file. */
function acceptsParameter(name: string, value: ParameterValue): boolean {
  const problems = validateParameters({ [name]: value });
  const raw = (): void => {
    readsBack(poolerModel({ settings: { [name]: String(value) } }));
  };
  if (problems.length > 0) {
    same(
      problems.map((problem) => [problem.name, problem.value]),
      [[name, value]],
      'the problems',
    );
    assert.ok(problems[0]?.message.startsWith(`${PARAMETERS_FIELD}.`), problems[0]?.message);
    assert.throws(() => pooledSettings({ [name]: value }, 10), RangeError);
    assert.ok(
      !unlessRefused(/^while rendering settings\["/, raw),
      'the renderer takes what the check of the spec refuses',
    );
    return false;
  }
  const setting = SETTINGS.get(name);
  const text = pooledSettings({ [name]: value }, 10)[name] ?? '';
  same(text, setting?.type === 'string' || setting?.type === 'enum' ? value : String(Number(value)), 'what is meant');
  readsBack(poolerModel({ settings: { [name]: text } }));
  return true;
}

function parameterField(setting: Setting): WritableField {
  const bounds = 'min' in setting ? setting : { min: 0, max: 1 };
  const number = (draw: Draw): ParameterValue => {
    const text = hostileNumber(draw, bounds);
    return draw.chance(0.2) ? Number(text) : text;
  };
  return {
    name: `parameters.${setting.name}`,
    cases: setting.type === 'string' ? 5000 : 500,
    draw:
      setting.type === 'string'
        ? hostileText
        : setting.type === 'enum'
          ? (draw) => hostileOf(draw, setting.values)
          : number,
    accepts: (value) => acceptsParameter(setting.name, value),
  };
}

const PARAMETERS_BY_NAME: WritableField = {
  name: 'names of parameters',
  cases: 5000,
  draw: (draw) => hostileOf(draw, [...SETTINGS.keys()]),
  accepts: (name) => acceptsParameter(String(name), SETTINGS.get(String(name))?.default ?? '1'),
};

/** What one text leaves open another one could close. The value is all of them as JSON. */
const ALL_AT_ONCE: WritableField = {
  name: 'all texts of a file at once',
  cases: 6000,
  draw: (draw) => {
    const settings = USER_SETTINGS.filter(({ type }) => type === 'string').map(({ name }) => [
      name,
      printableText(draw),
    ]);
    const databases = [1, 2, 3].map((number) => {
      const name = `${draw.chance(0.1) ? "'" : ''}${number}${printableText(draw).replaceAll("'", '"')}`;
      return { ...SUBJECT, name, dbname: printableText(draw), connectQuery: printableText(draw) };
    });
    return JSON.stringify({ databases, settings: Object.fromEntries(settings) as unknown });
  },
  accepts: (value) =>
    unlessRefused(/^while rendering (databases|settings)\[".*"\](\.name|\.dbname|\.connectQuery)?: /s, () => {
      readsBack(poolerModel(JSON.parse(String(value)) as Partial<PoolerModel>));
    }),
};

export const WRITABLE_FIELDS: readonly WritableField[] = [
  databaseField('name', hostileName),
  databaseField('dbname', hostileText),
  databaseField('host', (draw) => hostileOf(draw, HOSTS)),
  databaseField('poolMode', (draw) => hostileOf(draw, POOL_MODES)),
  {
    name: 'server.tls.mode',
    cases: 2000,
    draw: (draw) => hostileOf(draw, TLS_MODES),
    accepts: (mode) =>
      unlessRefused(/^while rendering serverTls\.mode: /, () => {
        readsBack(poolerModel({ serverTls: { mode: mode as ServerTlsMode, caFile: 'ca-1.crt' } }));
      }),
  },
  ...USER_FIELDS,
  ALL_AT_ONCE,
  PARAMETERS_BY_NAME,
  ...USER_SETTINGS.map(parameterField),
];
