// Reads PgBouncer's files by PgBouncer's own rules, written apart from the code that renders them, so that both can be held against each other.

export type IniSection = { readonly name: string; readonly entries: (readonly [key: string, value: string])[] };

const BLANK = /[ \t\r\n\v\f]/;

/** @throws SyntaxError where PgBouncer would refuse the file. `%include` is refused too: nothing may ever render one. */
export function parseIni(text: string): readonly IniSection[] {
  const sections: IniSection[] = [];
  const file = fileOf(text);
  let at = 0;
  while (at < file.length) {
    if (BLANK.test(file.charAt(at))) {
      at += 1;
      continue;
    }
    const found = file.indexOf('\n', at);
    const end = found === -1 ? file.length : found;
    const line = file.slice(at, end);
    at = end + 1;
    if (line.startsWith(';') || line.startsWith('#')) continue;
    if (line.startsWith('%include')) throw new SyntaxError('include');
    if (line.startsWith('[')) {
      const close = line.indexOf(']');
      if (close === -1) throw new SyntaxError('section');
      sections.push({ name: textOf(line.slice(1, close)), entries: [] });
      // PgBouncer reads on behind the bracket; nothing that we write has anything there.
      if (!/^[ \t\r\v\f]*$/.test(line.slice(close + 1))) throw new SyntaxError('text after a section');
      continue;
    }
    const { key, rest } = keyOf(line);
    const match = /^[ \t]*=[ \t]*(.*?)[ \t\r\v\f]*$/s.exec(rest);
    const section = sections.at(-1);
    if (match?.[1] === undefined || section === undefined) throw new SyntaxError(`entry ${line}`);
    section.entries.push([textOf(key), textOf(match[1])]);
  }
  return sections;
}

/** A character for each byte up to the first NUL, which ends a file. What can't be written as UTF-8 is written as U+FFFD. */
function fileOf(text: string): string {
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  const nul = bytes.indexOf('\0');
  return nul === -1 ? bytes : bytes.slice(0, nul);
}

function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function keyOf(line: string): { key: string; rest: string } {
  if (line.startsWith("'")) {
    const close = line.indexOf("'", 1);
    if (close <= 1) throw new SyntaxError('key');
    return { key: line.slice(1, close), rest: line.slice(close + 1) };
  }
  const key = /^[A-Za-z0-9_.*-]+/.exec(line)?.[0];
  if (key === undefined) throw new SyntaxError(`key of ${line}`);
  return { key, rest: line.slice(key.length) };
}

/** The `key=value` pairs of a connection string; of a key that is there twice PgBouncer takes the last. */
export function parseConnection(text: string): ReadonlyMap<string, string> {
  return new Map(connectionPairs(text));
}

/** Every pair in its order. @throws SyntaxError where PgBouncer would refuse the line. */
export function connectionPairs(line: string): readonly (readonly [key: string, value: string])[] {
  const text = fileOf(line);
  const pairs: (readonly [string, string])[] = [];
  let at = pastBlanks(text, 0);
  while (at < text.length) {
    const [key = ''] = /^[^= ]*/.exec(text.slice(at)) ?? [];
    const equals = pastBlanks(text, at + key.length);
    if (key === '' || text[equals] !== '=') throw new SyntaxError(`pair at ${text.slice(at)}`);
    const start = pastBlanks(text, equals + 1);
    const { value, end } = text[start] === "'" ? quotedValue(text, start + 1) : bareValue(text, start);
    if (value === '') throw new SyntaxError(`nothing for ${key}`);
    pairs.push([textOf(key), textOf(value)]);
    // Whatever byte stands next, a blank or not, is passed over.
    at = pastBlanks(text, end + 1);
  }
  return pairs;
}

function quotedValue(text: string, start: number): { value: string; end: number } {
  let at = text.indexOf("'", start);
  while (at !== -1 && text[at + 1] === "'") at = text.indexOf("'", at + 2);
  if (at === -1) throw new SyntaxError('quote without an end');
  return { value: text.slice(start, at).replaceAll("''", "'"), end: at + 1 };
}

function bareValue(text: string, start: number): { value: string; end: number } {
  const blank = text.indexOf(' ', start);
  const end = blank === -1 ? text.length : blank;
  return { value: text.slice(start, end), end };
}

function pastBlanks(text: string, start: number): number {
  let at = start;
  while (text[at] === ' ') at += 1;
  return at;
}

/** Bytes of a name between its quotes from which on PgBouncer gives the file up. */
const USER_NAME_LIMIT = 128;

/** Names and secrets of a userlist, in order. @throws SyntaxError where PgBouncer would give the rest of it up. */
export function parseUserlist(text: string): (readonly [name: string, secret: string])[] {
  const users: [string, string][] = [];
  const file = fileOf(text);
  let at = 0;
  while (at < file.length) {
    if (BLANK.test(file.charAt(at))) {
      at += 1;
      continue;
    }
    if (file[at] !== ';') {
      if (file[at] !== '"') throw new SyntaxError('broken auth file');
      const nameEnd = closingQuote(file, at + 1);
      // Anything may stand between the two, a line break too.
      const secretStart = file.indexOf('"', nameEnd + 1);
      if (secretStart === -1) throw new SyntaxError('a name without a secret');
      const secretEnd = closingQuote(file, secretStart + 1);
      const name = file.slice(at + 1, nameEnd);
      if (name.length >= USER_NAME_LIMIT) throw new SyntaxError('username too long in auth file');
      users.push([unquoted(name), unquoted(file.slice(secretStart + 1, secretEnd))]);
      at = secretEnd + 1;
    }
    const end = file.indexOf('\n', at);
    at = end === -1 ? file.length : end + 1;
  }
  return users;
}

function closingQuote(file: string, start: number): number {
  let at = file.indexOf('"', start);
  while (at !== -1 && file[at + 1] === '"') at = file.indexOf('"', at + 2);
  if (at === -1) throw new SyntaxError('quote without an end');
  return at;
}

function unquoted(bytes: string): string {
  return textOf(bytes.replaceAll('""', '"'));
}

/** What PgBouncer takes a secret for: with `plain` the text itself is the password, with `md5` SCRAM lets nobody in. */
export function secretKind(secret: string): 'plain' | 'md5' | 'scram' {
  if (/^md5[0-9a-f]{32}$/.test(secret)) return 'md5';
  const [, salt = '', stored, server] = /^SCRAM-SHA-256[$] *[+-]?[0-9]+:([^$]+)[$]([^:]+):(.+)$/s.exec(secret) ?? [];
  const isSalt = /^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(salt);
  const isKey = (text = ''): boolean => /^[A-Za-z0-9+/]{43}=$/.test(text);
  return isSalt && isKey(stored) && isKey(server) ? 'scram' : 'plain';
}

/** What SHOW CONFIG shows of a number that the file gives as `text`. @throws SyntaxError where PgBouncer would refuse it. */
export function shownNumber(type: 'int' | 'uint' | 'seconds', text: string): string {
  if (type === 'seconds') return shownSeconds(text);
  // strtol with base 0; what is too large for 32 bits wraps.
  const [, sign, digits] = /^[ \t\r\n\v\f]*([+-]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)$/.exec(text) ?? [];
  if (digits === undefined) throw new SyntaxError(`not an integer: ${text}`);
  const magnitude = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  const number = sign === '-' ? -magnitude : magnitude;
  const most = type === 'int' ? 2n ** 63n - 1n : 2n ** 64n - 1n;
  const held = number > most ? most : number < -most ? -most : number;
  return String(type === 'int' ? BigInt.asIntN(32, held) : BigInt.asUintN(32, held));
}

/** strtod, kept in whole microseconds of 64 bits and printed as by %g. `nan`, `inf` and hexadecimals pass too: nobody may mean those. */
function shownSeconds(text: string): string {
  if (!/^[ \t\r\n\v\f]*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$/.test(text) || Number(text) < 0) {
    throw new SyntaxError(`not a time: ${text}`);
  }
  const microseconds = Math.trunc(1e6 * Number(text));
  const seconds = microseconds < 2 ** 64 ? Number((microseconds / 1e6).toPrecision(6)) : 0;
  if (seconds === 0 || (seconds >= 1e-4 && seconds < 1e6)) return String(seconds);
  return seconds.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
}
