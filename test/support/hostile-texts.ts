// Texts that want out: pieces of PgBouncer's grammars put together, grown to the bounds of lengths and mutated; a seed gives the same one again.
import { CONTROL_TEXTS, GRAMMAR_CHARACTERS, NASTY_TEXTS } from './nasty-texts.ts';
import type { Draw } from './random.ts';

/** Each alone ends a value, a name, a line, a section or a file in one of the grammars, or looks as if it did. */
const DELIMITERS: readonly string[] = [
  ...[...GRAMMAR_CHARACTERS, ...CONTROL_TEXTS],
  ...["'", "''", "'''", '"', '""', '"""', '\\', "\\'", '\\"', ';', '#', '=', ' = ', ' ', '\t', ',', '[', ']', '*', '`'],
  ...['\n', '\r', '\r\n', '\n\n', '\v', '\f', '\0', '\u007f', '\u0080', '\u0085', '\u009f', '\u2028', '\u2029'],
  ...['\ufeff', '\ufffe', '\ufffd', '\u00a0', '\u200b', '\u202e', '\u0301', '\ud800', '\udfff', '\u{10ffff}', '🐘'],
];

const KEYS: readonly string[] = [
  ...['host', 'port', 'dbname', 'user', 'password', 'pool_size', 'min_pool_size', 'reserve_pool_size', 'pool_mode'],
  ...['max_db_connections', 'connect_query', 'auth_user', 'auth_dbname', 'server_lifetime', 'application_name'],
  ...['admin_users', 'stats_users', 'auth_type', 'auth_file', 'auth_query', 'listen_addr', 'conffile', 'logfile'],
  ...['server_tls_sslmode', 'client_tls_sslmode', 'syslog_ident', 'max_client_conn', 'server_reset_query', 'verbose'],
];

const WORDS: readonly string[] = [
  ...['orders', 'a', 'Ünïcode', '日本', 'evil', 'any', 'trust', 'session', '127.0.0.1', '/etc/passwd', 'select 1'],
  ...['pgbouncer', '*', 'poolsmith-admin', 'poolsmith-proof', 'poolsmith-x', '__proto__', 'constructor', 'toString'],
  ...['%include /etc/passwd', '%include\t/tmp/x', '%includes', '[pgbouncer]', '[databases]', '[users]', '[peers]', '['],
  ...['(none)', '<empty>', 'NULL', 'default', '$1', '${HOME}', '~', '~root/x', 'cafe\u0301', 'café'],
];

const ODD_NUMBERS: readonly string[] = [
  ...[
    '0',
    '1',
    '-1',
    '+1',
    '-0',
    '00',
    '010',
    '08',
    '0x10',
    '0b1',
    '0o7',
    '1e3',
    '1E3',
    '.5',
    '0.5',
    '5.',
    '1.50',
    '0.290',
  ],
  ...['2147483647', '2147483648', '4294967295', '4294967296', '9999999999', '99999999999', '9223372036854775808'],
  ...[
    'nan',
    'inf',
    '-inf',
    'infinity',
    'NaN',
    '0x1p3',
    '1_000',
    '1,000',
    '1 000',
    ' 1',
    '1 ',
    '1\n',
    '\t1',
    '1;',
    '1 ; x',
  ],
  ...[
    '٣',
    '１',
    '1\u00a0',
    'on',
    'off',
    'true',
    'false',
    'yes',
    '5s',
    '5min',
    '1000.5',
    '999.999',
    '0.0001',
    '86400.001',
  ],
];

/** Where one of the programs, or one of our own rules, has its bound; bytes. */
const BOUNDS: readonly number[] = [63, 64, 127, 128, 253, 255, 256, 506, 512, 1024, 2048, 4096];

const HEX = ['0123456789abcdef', '0123456789abcdef', '0123456789abcdefABCDEF'];
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Any text at all: half of them are left without what no file may have, so that they reach the file. */
export function hostileText(draw: Draw): string {
  const start = draw.chance(0.08) ? nearBound(draw) : phrase(draw);
  const mutated = mutate(draw, start);
  return draw.chance(0.5) ? mutated : presentable(mutated);
}

/** One that reaches a file nearly always. */
export function printableText(draw: Draw): string {
  return presentable(mutate(draw, phrase(draw))).slice(0, 60) || 'x';
}

/** One of the good ones as it is, or changed, or any text. */
export function hostileOf(draw: Draw, good: readonly string[]): string {
  const choice = draw.next();
  if (choice < 0.3) return draw.pick(good);
  if (choice < 0.4) return otherCase(draw, draw.pick(good));
  if (choice < 0.75) return mutate(draw, draw.pick(good));
  return hostileText(draw);
}

/** A number within the bounds, at or beside them, oddly spelled, or no number at all. */
export function hostileNumber(draw: Draw, { min, max }: { readonly min: number; readonly max: number }): string {
  const choice = draw.next();
  if (choice < 0.25) return String(draw.integer(min, max));
  if (choice < 0.35) return String(draw.pick([min, max]) + draw.pick([-1, 0, 1]));
  if (choice < 0.5)
    return draw.between(Math.max(0, min), draw.chance(0.3) ? max : Math.min(max, 1000)).toFixed(draw.integer(0, 4));
  if (choice < 0.7) return draw.pick(ODD_NUMBERS);
  if (choice < 0.9) return mutate(draw, draw.chance(0.5) ? String(draw.integer(min, max)) : draw.pick(ODD_NUMBERS));
  return hostileText(draw);
}

const PHRASES: readonly ((draw: Draw) => string)[] = [
  (draw) => draw.pick(NASTY_TEXTS),
  (draw) => draw.pick(WORDS),
  (draw) => draw.pick(DELIMITERS),
  (draw) => draw.pick(ODD_NUMBERS),
  (draw) => several(draw, () => draw.pick(DELIMITERS)).join(''),
  (draw) => several(draw, () => draw.pick([...DELIMITERS, ...WORDS])).join(''),
  // Another line of the file, after whatever ends this one.
  (draw) => `${draw.pick(WORDS)}${draw.pick(['\n', '\r', '\0', '; ', ''])}${draw.pick(KEYS)} = ${atom(draw)}`,
  (draw) =>
    `${draw.pick(['', 'x', "'", '"'])}\n[${draw.pick(['pgbouncer', 'databases', 'users', 'peers', 'x'])}]\n${pair(draw)}`,
  // Another pair of the connection string.
  (draw) => `${atom(draw)}${draw.pick(["'", "' ", ' ', "''", "\\' ", ''])}${several(draw, () => pair(draw)).join(' ')}`,
  (draw) => `'${draw.pick(WORDS)}' = ${several(draw, () => pair(draw)).join(' ')}`,
  // Another user.
  (draw) =>
    `${draw.pick(WORDS)}${draw.pick(['"', '""', '"\n', '" "'])}${draw.pick(['', ' '])}"${atom(draw)}" "${atom(draw)}"`,
  (draw) =>
    draw.pick(['md5', 'md5', 'md5', 'MD5', 'md5 ']) +
    characters(draw, draw.pick(HEX), 32 + draw.pick([-1, 0, 0, 0, 1])),
  scramLike,
  (draw) => String.fromCodePoint(...several(draw, () => draw.integer(0, 0x10ffff))),
  (draw) => String.fromCodePoint(...several(draw, () => draw.integer(0, 0xff))),
];

function phrase(draw: Draw): string {
  return draw.pick(PHRASES)(draw);
}

function atom(draw: Draw): string {
  return draw.pick([draw.pick(WORDS), draw.pick(ODD_NUMBERS), draw.pick(DELIMITERS), '1000']);
}

function pair(draw: Draw): string {
  const quote = draw.pick(["'", '', '"']);
  return `${draw.pick(KEYS)}${draw.pick(['=', ' = ', '= '])}${quote}${atom(draw)}${quote}`;
}

/** Of the right form, and of nobody's password. */
export function scramLike(draw: Draw): string {
  const key = () => `${characters(draw, BASE64, 43)}=`;
  return `SCRAM-SHA-256$4096:${characters(draw, BASE64, 22)}==$${key()}:${key()}`;
}

/** Of one to four bytes a character, or of what is written twice, so long that the bytes are at a bound or beside it. */
function nearBound(draw: Draw): string {
  const filler = draw.pick(['x', 'x', "'", '"', 'é', '日', '🐘', "x'", 'x"', '\\']);
  const bytes = draw.pick(BOUNDS) + draw.integer(-2, 2);
  const ending = draw.chance(0.3) ? phrase(draw).slice(0, 20) : '';
  const room = Math.max(0, bytes - Buffer.byteLength(ending));
  const full = filler.repeat(Math.floor(room / Buffer.byteLength(filler)));
  return `${full}${'y'.repeat(room - Buffer.byteLength(full))}${ending}`;
}

const MUTATIONS: readonly ((draw: Draw, text: string) => string)[] = [
  (draw, text) => inserted(draw, text, draw.pick(DELIMITERS)),
  (draw, text) => inserted(draw, text, phrase(draw)),
  (draw, text) => cut(draw, text, ''),
  (draw, text) => cut(draw, text, draw.pick(DELIMITERS)),
  (draw, text) => cut(draw, text, phrase(draw)),
  (draw, text) => {
    const [from, to] = span(draw, text);
    return text.slice(0, to) + text.slice(from);
  },
  (draw, text) => text + draw.pick(DELIMITERS),
  (draw, text) => draw.pick(DELIMITERS) + text,
];

/** Up to four times: something put in, taken out, doubled, or put in the place of another part. */
export function mutate(draw: Draw, text: string): string {
  let mutated = text;
  for (let left = draw.integer(0, 4); left > 0; left -= 1) mutated = draw.pick(MUTATIONS)(draw, mutated);
  return mutated;
}

function inserted(draw: Draw, text: string, piece: string): string {
  const at = draw.integer(0, text.length);
  return text.slice(0, at) + piece + text.slice(at);
}

function cut(draw: Draw, text: string, instead: string): string {
  const [from, to] = span(draw, text);
  return text.slice(0, from) + instead + text.slice(to);
}

function span(draw: Draw, text: string): readonly [from: number, to: number] {
  const from = draw.integer(0, text.length);
  return [from, Math.min(text.length, from + draw.integer(0, 8))];
}

function otherCase(draw: Draw, text: string): string {
  return draw.chance(0.5) ? text.toUpperCase() : text.charAt(0).toUpperCase() + text.slice(1);
}

function presentable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cs}]/gu, '').trim();
}

function several<T>(draw: Draw, one: () => T): T[] {
  return Array.from({ length: draw.integer(1, 4) }, one);
}

function characters(draw: Draw, alphabet: string, count: number): string {
  return Array.from({ length: count }, () => alphabet.charAt(draw.integer(0, alphabet.length - 1))).join('');
}
