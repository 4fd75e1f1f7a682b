// Reads PgBouncer's files by PgBouncer's own rules, written apart from the code that renders them, so that both can be held against each other.

export type IniSection = { readonly name: string; readonly entries: (readonly [key: string, value: string])[] };

const BLANK = /[ \t\r\n\v\f]/;

/** @throws SyntaxError where PgBouncer would refuse the file. `%include` is refused too: nothing may ever render one. */
export function parseIni(text: string): readonly IniSection[] {
  const sections: IniSection[] = [];
  // NUL ends the file.
  const file = text.split('\0', 1)[0] ?? '';
  let at = 0;
  while (at < file.length) {
    if (BLANK.test(file.charAt(at))) {
      at += 1;
      continue;
    }
    const end = !file.includes('\n', at) ? file.length : file.indexOf('\n', at);
    const line = file.slice(at, end);
    at = end + 1;
    if (line.startsWith(';') || line.startsWith('#')) continue;
    if (line.startsWith('%include')) throw new SyntaxError('include');
    if (line.startsWith('[')) {
      const close = line.indexOf(']');
      if (close === -1) throw new SyntaxError('section');
      sections.push({ name: line.slice(1, close), entries: [] });
      if (line.slice(close + 1).trim() !== '') throw new SyntaxError('text after a section');
      continue;
    }
    const { key, rest } = keyOf(line);
    const match = /^[ \t]*=[ \t]*(.*?)[ \t\r\v\f]*$/s.exec(rest);
    const section = sections.at(-1);
    if (match?.[1] === undefined || section === undefined) throw new SyntaxError(`entry ${line}`);
    section.entries.push([key, match[1]]);
  }
  return sections;
}

function keyOf(line: string): { key: string; rest: string } {
  if (line.startsWith("'")) {
    const close = line.indexOf("'", 1);
    if (close === -1) throw new SyntaxError('key');
    return { key: line.slice(1, close), rest: line.slice(close + 1) };
  }
  const key = /^[A-Za-z0-9_.*-]+/.exec(line)?.[0];
  if (key === undefined) throw new SyntaxError(`key of ${line}`);
  return { key, rest: line.slice(key.length) };
}

/** The `key=value` pairs of a connection string. */
export function parseConnection(text: string): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>();
  let rest = text.trimStart();
  while (rest !== '') {
    const match = /^([^= ]+) *= *('(?:[^']|'')*'|[^' ][^ ]*)(.*)$/su.exec(rest);
    const [, key = '', raw = '', after = ''] = match ?? [];
    const value = raw.startsWith("'") ? raw.slice(1, -1).replaceAll("''", "'") : raw;
    if (match === null || value === '') throw new SyntaxError(`pair at ${rest}`);
    pairs.set(key, value);
    rest = after.replace(/^ +/, '');
  }
  return pairs;
}

/** Names and secrets of a userlist, in order. */
export function parseUserlist(text: string): (readonly [name: string, secret: string])[] {
  const users: [string, string][] = [];
  const line = /[ \t\r\n\v\f]*(?:;[^\n]*\n?|"((?:[^"]|"")*)"[^"]*"((?:[^"]|"")*)"[^\n]*)/suy;
  let rest = text;
  while (rest.trim() !== '') {
    line.lastIndex = 0;
    const match = line.exec(rest);
    if (match === null) throw new SyntaxError('broken auth file');
    const [whole, name, secret] = match;
    if (name !== undefined && secret !== undefined) {
      users.push([name.replaceAll('""', '"'), secret.replaceAll('""', '"')]);
    }
    rest = rest.slice(whole.length);
  }
  return users;
}
