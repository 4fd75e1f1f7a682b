// The CRD's schema of spec.pooler.parameters, made from the settings table: bounds and CEL rules with their messages.
import { STRING_BYTES, type Setting } from './setting.ts';
import { SETTINGS, USER_SETTINGS } from './table.ts';
import { allowedText, INTEGER_PATTERN, PARAMETERS_FIELD, refusalText, SECONDS_PATTERN } from './validate.ts';

export type ValidationRule = {
  readonly rule: string;
  readonly message: string;
  readonly messageExpression?: string;
  readonly reason?: 'FieldValueForbidden' | 'FieldValueInvalid';
};

/** A map from setting name to integer or string. Cheap enough for the API server: 64 entries, short values, one loop a rule. */
export function parametersSchema(): Readonly<Record<string, unknown>> {
  return {
    title: 'Parameters',
    description:
      "Settings of pgbouncer.ini by PgBouncer's own names, as integer or string. Most change without a restart; docs/reference/settings.md lists them all.",
    type: 'object',
    maxProperties: 64,
    additionalProperties: { 'x-kubernetes-int-or-string': true, maxLength: STRING_BYTES },
    'x-kubernetes-validations': parameterRules(),
  };
}

/** Unknown names, names that are not the user's by what to do instead, then values by what they may be. */
export function parameterRules(): readonly ValidationRule[] {
  return [unknownRule(), ...refusalRules(), ...valueRules()];
}

function unknownRule(): ValidationRule {
  const known = list([...SETTINGS.keys()]);
  return {
    rule: `self.all(k, k in ${known})`,
    message: `${PARAMETERS_FIELD} has a name that is not a setting of PgBouncer 1.26; correct or remove it.`,
    messageExpression: `self.filter(k, !(k in ${known})).map(k, ${quoted(`${PARAMETERS_FIELD}.`)} + k + ${quoted(' is not a setting of PgBouncer 1.26; correct its name or remove it.')})[0]`,
    reason: 'FieldValueInvalid',
  };
}

function refusalRules(): readonly ValidationRule[] {
  const groups = Map.groupBy(
    [...SETTINGS.values()].filter((setting) => setting.owner !== 'user'),
    refusalText,
  );
  return [...groups].map(([refusal, settings]) => {
    const names = settings.map(({ name }) => name);
    return {
      rule: `self.all(k, !(k in ${list(names)}))`,
      message: `${PARAMETERS_FIELD}: ${names.join(', ')} ${refusal}.`,
      messageExpression: `self.filter(k, k in ${list(names)}).map(k, ${quoted(`${PARAMETERS_FIELD}.`)} + k + ${quoted(` ${refusal}.`)})[0]`,
      reason: 'FieldValueForbidden' as const,
    };
  });
}

function valueRules(): readonly ValidationRule[] {
  return [...Map.groupBy(USER_SETTINGS, allowedText)].map(([allowed, settings]) => {
    const names = settings.map(({ name }) => name);
    const [first] = settings;
    const good = first === undefined ? 'true' : goodValue(first);
    return {
      rule: `self.all(k, !(k in ${list(names)}) || ${good})`,
      message: `${PARAMETERS_FIELD}: ${names.join(', ')} must be ${allowed}.`,
      messageExpression: `self.filter(k, k in ${list(names)} && !${good}).map(k, ${quoted(`${PARAMETERS_FIELD}.`)} + k + ' is ' + string(self[k]) + ${quoted(`; it must be ${allowed}.`)})[0]`,
      reason: 'FieldValueInvalid' as const,
    };
  });
}

/** CEL for "self[k] is an accepted value"; a string is looked at only after its form is known, so nothing can fail to convert. */
function goodValue(setting: Setting): string {
  const text = 'string(self[k])';
  switch (setting.type) {
    case 'int':
    case 'uint':
      return `(${text}.matches(${quoted(INTEGER_PATTERN)}) && int(self[k]) >= ${setting.min} && int(self[k]) <= ${setting.max})`;
    case 'seconds':
      return `(${text}.matches(${quoted(SECONDS_PATTERN)}) && double(self[k]) >= ${setting.min}.0 && double(self[k]) <= ${setting.max}.0)`;
    case 'bool':
      return `(${text} in ['0', '1'])`;
    case 'enum':
      return `(${text} in ${list(setting.values)})`;
    case 'string':
      return `(!${text}.matches('[\\\\p{Cc}]|^ | $') && size(bytes(${text})) <= ${setting.maxBytes})`;
  }
}

function list(names: readonly string[]): string {
  return `[${names.map(quoted).join(', ')}]`;
}

/** A CEL string literal. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
