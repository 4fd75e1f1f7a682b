// Checks spec.pooler.parameters against the settings table, and spells accepted values as PgBouncer shows them.
import type { Setting } from './setting.ts';
import { SETTINGS } from './table.ts';

export type ParameterValue = string | number;

/** One parameter that can't be used; `message` names field, value, what is allowed and what to do. */
export type ParameterProblem = { readonly name: string; readonly value: ParameterValue; readonly message: string };

/** The field's name as a user writes it. */
export const PARAMETERS_FIELD = 'spec.pooler.parameters';

/** Decimal without sign, blanks or leading zeros: PgBouncer would read 010 as 8 and 0x10 as 16. */
export const INTEGER_PATTERN = '^(0|[1-9][0-9]{0,9})$';
/** Whole seconds, or below 1000 with up to three decimals: more digits would not read back equal. */
export const SECONDS_PATTERN = '^((0|[1-9][0-9]{0,5})|(0|[1-9][0-9]{0,2})[.][0-9]{1,3})$';

/** All problems, in the order of the names. Total: any text and any number gives an answer. */
export function validateParameters(parameters: Readonly<Record<string, ParameterValue>>): readonly ParameterProblem[] {
  return Object.entries(parameters)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, value]) => {
      const message = problemOf(name, value);
      return message === undefined ? [] : [{ name, value, message }];
    });
}

function problemOf(name: string, value: ParameterValue): string | undefined {
  const field = `${PARAMETERS_FIELD}.${printable(name)}`;
  const setting = SETTINGS.get(name);
  if (setting === undefined) {
    const meant = name.trim().toLowerCase().replaceAll('-', '_');
    const advice = SETTINGS.has(meant) ? `write ${meant}` : 'correct its name or remove it';
    return `${field} is not a setting of PgBouncer 1.26; ${advice}.`;
  }
  if (setting.owner !== 'user') return `${field} ${refusalText(setting)}.`;
  if (acceptedText(setting, value) !== undefined) return undefined;
  return `${field} is ${shown(value)}; it must be ${allowedText(setting)}. Correct it, or remove it for the default.`;
}

/** Why a setting that is not the user's is refused, and what to use instead; continues "the setting …". */
export function refusalText(setting: Setting & { readonly owner: 'operator' | 'forbidden' }): string {
  if ('insteadUse' in setting) return `belongs to the operator; remove it and use ${setting.insteadUse}`;
  return `can't be set: ${setting.because}; remove it`;
}

/** What a user may write, in words; continues "it must be …". */
export function allowedText(setting: Setting): string {
  switch (setting.type) {
    case 'int':
    case 'uint':
      return `a whole number from ${setting.min} to ${setting.max}${setting.unit === undefined ? '' : ` (${unitName(setting.unit)})`}`;
    case 'seconds':
      return `seconds from ${setting.min} to ${setting.max}, whole, or below 1000 and quoted with up to three decimals ("0.5")`;
    case 'bool':
      return '0 or 1';
    case 'enum':
      return `one of ${setting.values.join(', ')}`;
    case 'string':
      return `a text of at most ${setting.maxBytes} bytes without line breaks, other control characters and blanks at its ends`;
  }
}

function unitName(unit: 'bytes' | 's' | 'ms'): string {
  return unit === 's' ? 'seconds' : unit === 'ms' ? 'milliseconds' : unit;
}

/**
 * The value as pgbouncer.ini gets it and SHOW CONFIG shows it: 1.50 s is `1.5`.
 * @throws RangeError for a value that `validateParameters` refuses.
 */
export function parameterText(setting: Setting, value: ParameterValue): string {
  const text = acceptedText(setting, value);
  if (text === undefined)
    throw new RangeError(`${setting.name} is ${shown(value)}; it must be ${allowedText(setting)}`);
  return text;
}

function acceptedText(setting: Setting, value: ParameterValue): string | undefined {
  const text = String(value);
  switch (setting.type) {
    case 'int':
    case 'uint':
      return new RegExp(INTEGER_PATTERN).test(text) && inRange(setting, Number(text)) ? text : undefined;
    case 'seconds':
      return new RegExp(SECONDS_PATTERN).test(text) && inRange(setting, Number(text))
        ? String(Number(text))
        : undefined;
    case 'bool':
      return text === '0' || text === '1' ? text : undefined;
    case 'enum':
      return setting.values.includes(text) ? text : undefined;
    case 'string':
      return isSafeText(text) && !/^ | $/.test(text) && byteLength(text) <= setting.maxBytes ? text : undefined;
  }
}

function inRange(setting: { readonly min: number; readonly max: number }, value: number): boolean {
  return value >= setting.min && value <= setting.max;
}

/** Without control characters (a line break is a new setting, NUL the end of the file) and writable as UTF-8. */
export function isSafeText(text: string): boolean {
  return !/\p{Cc}/u.test(text) && text.isWellFormed();
}

export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function shown(value: ParameterValue): string {
  return typeof value === 'number' ? String(value) : quoted(value);
}

function printable(name: string): string {
  return /^[A-Za-z0-9_.-]{1,60}$/.test(name) ? name : quoted(name);
}

/** For messages: short, and without anything that moves a cursor. */
function quoted(text: string): string {
  const short = text.length <= 60 ? text : `${text.slice(0, 60)}…`;
  return JSON.stringify(short.toWellFormed()).replaceAll(
    /\p{Cc}/gu,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
