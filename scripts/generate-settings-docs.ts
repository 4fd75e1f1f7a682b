// Writes docs/reference/settings.md from the settings table: who owns a setting, what it may hold, and what it is for.
import { writeFileSync } from 'node:fs';
import {
  DEFAULT_PARAMETERS,
  LIMIT_SETTINGS,
  LISTEN_SETTINGS,
  type FixedSetting,
} from '../src/model/settings/defaults.ts';
import type { Setting } from '../src/model/settings/setting.ts';
import { SETTINGS, USER_SETTINGS } from '../src/model/settings/table.ts';
import { refusalText } from '../src/model/settings/validate.ts';

export const SETTINGS_DOCS_FILE = new URL('../docs/reference/settings.md', import.meta.url);

/** Written by the renderer from the PoolConfig, so without one value for all. */
const RENDERED: ReadonlyMap<string, string> = new Map([
  ['admin_users', 'the operator'],
  ['stats_users', 'the proving user'],
  ['auth_type', '`scram-sha-256`, or `hba` with rules'],
  ['auth_file', 'a file named after its content'],
  ['auth_hba_file', 'a file named after its content, with rules'],
  ['client_tls_sslmode', '`spec.pooler.tls.mode`'],
  ['client_tls_ca_file', 'a file named after its content'],
  ['client_tls_cert_file', 'a file named after its content'],
  ['client_tls_key_file', 'a file named after its content'],
  ['client_tls_ciphers', 'with TLS: `ECDHE+AESGCM:ECDHE+CHACHA20`'],
  ['client_tls_protocols', '`secure`'],
  ['server_tls_sslmode', '`spec.server.tls.mode`'],
  ['server_tls_ca_file', 'a file named after its content'],
  ['server_tls_protocols', '`secure`'],
  ['listen_addr', '`*`'],
  ['listen_port', '`6432`'],
  ['peer_id', "each pod's own"],
  ['pool_mode', 'on each database line'],
  ['syslog_ident', 'hash of the configuration'],
]);

export function renderSettingsDocs(): string {
  const others = [...SETTINGS.values()].filter((setting) => setting.owner !== 'user');
  const fixed = [...LISTEN_SETTINGS, ...LIMIT_SETTINGS];
  return (
    [
      '# Settings of PgBouncer',
      'Generated from `src/model/settings/`. Do not edit.',
      `PgBouncer 1.26 has ${SETTINGS.size} settings. ${USER_SETTINGS.length} of them can stand under \`spec.pooler.parameters\`, by PgBouncer's own names; a change of those is loaded without a restart and read back from every pod. ` +
        "The others belong to the operator or stay at PgBouncer's default, because a promise hangs on them.",
      '## For `spec.pooler.parameters`',
      'Numbers are plain decimals: PgBouncer would read `010` as 8 and wrap what is too large, so Poolsmith has bounds of its own. Seconds below 1000 may have up to three decimals, then in quotes: `"0.5"`. ' +
        'Switches are 0 or 1. Texts have no line breaks or other control characters, and no blanks at their ends.',
      table(
        ['Setting', 'Values', "PgBouncer's default", 'Ours', 'Since', 'Meaning'],
        USER_SETTINGS.map((setting) => [
          `\`${setting.name}\``,
          valuesOf(setting),
          textOf(setting.default),
          oursOf(setting),
          setting.since ?? '',
          setting.reach === 'newConnections'
            ? `${setting.meaning} For connections made after a change.`
            : setting.meaning,
        ]),
      ),
      '### Defaults that Poolsmith writes',
      table(
        ['Setting', 'Value', 'Why'],
        [
          [
            '`max_client_conn`',
            'twice the clients of all workloads, from 1000 to 100000',
            'When one pod is gone the others carry its clients.',
          ],
          ...DEFAULT_PARAMETERS.map(({ name, value, reason }) => [`\`${name}\``, textOf(String(value)), reason]),
        ],
      ),
      '## Not for `spec.pooler.parameters`',
      table(
        ['Setting', 'Owner', 'Change', "PgBouncer's default", 'Ours', 'Instead', 'Meaning'],
        others.map((setting) => [
          `\`${setting.name}\``,
          setting.owner === 'operator' ? 'operator' : 'nobody',
          setting.change,
          textOf(setting.default),
          oursOf(setting),
          refusalText(setting),
          setting.meaning,
        ]),
      ),
      '### Values that never change',
      table(['Setting', 'Value', 'Why'], fixed.map(fixedRow)),
    ].join('\n\n') + '\n'
  );
}

function valuesOf(setting: Setting): string {
  switch (setting.type) {
    case 'int':
    case 'uint':
      return `${setting.min} to ${setting.max}${setting.unit === undefined ? '' : ` ${setting.unit}`}`;
    case 'seconds':
      return `${setting.min} to ${setting.max} s`;
    case 'bool':
      return '0, 1';
    case 'enum':
      return setting.values.join(', ');
    case 'string':
      return `text, ${setting.maxBytes} bytes`;
  }
}

function oursOf({ name }: Setting): string {
  if (name === 'max_client_conn') return 'computed';
  const own = DEFAULT_PARAMETERS.find((row) => row.name === name);
  if (own !== undefined) return textOf(String(own.value));
  const fixed = [...LISTEN_SETTINGS, ...LIMIT_SETTINGS].find((row) => row.name === name);
  return fixed === undefined ? (RENDERED.get(name) ?? '') : textOf(fixed.text);
}

function fixedRow({ name, text, reason }: FixedSetting): string[] {
  return [`\`${name}\``, textOf(text), reason];
}

function textOf(text: string | undefined): string {
  if (text === undefined) return 'none';
  return text === '' ? 'empty' : `\`${text}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

if (import.meta.filename === process.argv[1]) writeFileSync(SETTINGS_DOCS_FILE, renderSettingsDocs());
