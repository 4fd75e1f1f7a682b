// The part of the corpus that follows from the settings table: each setting with a good value, and each way to get it wrong.
import { STRING_BYTES, type Setting } from '../../src/model/settings/setting.ts';
import { SETTINGS, USER_SETTINGS } from '../../src/model/settings/table.ts';
import { allowedText, refusalText } from '../../src/model/settings/validate.ts';
import type { Bad, Good } from './corpus.ts';

const FIELD = 'spec.pooler.parameters';

const changes = (name: string, value: unknown): Readonly<Record<string, unknown>> => ({
  'spec/pooler/parameters': { [name]: value },
});

export const GOOD_PARAMETERS: readonly Good[] = [
  ...USER_SETTINGS.flatMap((setting) =>
    goodValues(setting).map((value): Good => [
      `${setting.name} = ${JSON.stringify(value)}`,
      changes(setting.name, value),
    ]),
  ),
  [
    'every parameter at once, as long as it may be',
    { 'spec/pooler/parameters': Object.fromEntries(USER_SETTINGS.map((setting) => [setting.name, longest(setting)])) },
  ],
];

function longest(setting: Setting): string | number {
  return setting.type === 'string' ? 'x'.repeat(setting.maxBytes) : (goodValues(setting).at(-1) ?? 0);
}

export const BAD_PARAMETERS: readonly Bad[] = [...SETTINGS.values()].flatMap((setting): readonly Bad[] => {
  const { name } = setting;
  const field = `${FIELD}.${name}`;
  if (setting.owner !== 'user') {
    return [[`${name}, which is not the user's`, changes(name, 1), field, refusalText(setting)]];
  }
  return badValues(setting).map((value): Bad => [
    `${name} = ${JSON.stringify(value).slice(0, 40)}`,
    changes(name, value),
    // The API server shows no message that holds a line break; then the general one tells the name and what is allowed.
    ...(isShowable(value) ? [field, `is ${value}`] : [FIELD, name]),
    allowedText(setting),
  ]);
});

function isShowable(value: string | number): boolean {
  return typeof value === 'number' || (!value.includes('\n') && value.length < 100);
}

function goodValues(setting: Setting): readonly (string | number)[] {
  switch (setting.type) {
    case 'int':
    case 'uint':
      return [setting.min, setting.max, String(setting.min)];
    case 'seconds':
      return [setting.min, setting.max];
    case 'bool':
      return [0, '1'];
    case 'enum':
      return setting.values;
    case 'string':
      return ['a', 'a b "c" % ; # x'];
  }
}

function badValues(setting: Setting): readonly (string | number)[] {
  switch (setting.type) {
    case 'int':
    case 'uint':
      return [setting.min - 1, setting.max + 1, '1x', '010', '0x10', '-1', '99999999999', '', '1\n2'];
    case 'seconds':
      return [setting.min - 1, setting.max + 1, '1s', 'nan', '1e3', '1.2345', '1\n2'];
    case 'bool':
      return [2, 'on', 'true', '1\n0'];
    case 'enum':
      return ['no-such-value', '', 'a\nb'];
    case 'string':
      return [
        'a\nb',
        'a\u0000b',
        'a\u007fb',
        ' a',
        ...(setting.maxBytes < STRING_BYTES ? ['x'.repeat(setting.maxBytes + 1)] : []),
      ];
  }
}
