// Reads a file of rules by PgBouncer's own rules, written apart from the code that renders it, so that both can be held against each other.

/** A name in quotes is a name, whatever it looks like. */
export type HbaWord = { readonly text: string; readonly quoted: boolean };
export type ParsedRule = {
  readonly type: string;
  readonly databases: readonly HbaWord[];
  readonly users: readonly HbaWord[];
  readonly address: string;
  readonly method: string;
};

/** @throws SyntaxError where PgBouncer would leave the line out. */
export function parseHba(text: string): readonly ParsedRule[] {
  return text
    .split('\n')
    .map(wordsOf)
    .filter((fields) => fields.length > 0)
    .map((fields) => {
      const [type, databases, users, address, method, ...more] = fields;
      const one = (field: readonly HbaWord[] | undefined): string => {
        if (field?.length !== 1 || field[0]?.quoted !== false) throw new SyntaxError(`one bare word in ${text}`);
        return field[0].text;
      };
      if (databases === undefined || users === undefined || more.length > 0) throw new SyntaxError(`fields of ${text}`);
      return { type: one(type), databases, users, address: one(address), method: one(method) };
    });
}

/** Fields are lists of words between commas. */
function wordsOf(line: string): readonly (readonly HbaWord[])[] {
  const fields: HbaWord[][] = [];
  let at = 0;
  let goesOn = false;
  while (at < line.length) {
    const rest = line.slice(at);
    const blank = /^[ \t\r\v\f]+/.exec(rest)?.[0];
    if (blank !== undefined) {
      at += blank.length;
      continue;
    }
    if (rest.startsWith('#')) break;
    if (rest.startsWith(',')) {
      goesOn = true;
      at += 1;
      continue;
    }
    const quoted = /^"((?:[^"]|"")*)"/.exec(rest);
    const bare = /^[^ \t\r\v\f,#"]+/.exec(rest);
    const match = quoted ?? bare;
    if (match === null) throw new SyntaxError(`word at ${rest}`);
    const word = {
      text: quoted === null ? match[0] : (quoted[1] ?? '').replaceAll('""', '"'),
      quoted: quoted !== null,
    };
    if (goesOn) fields.at(-1)?.push(word);
    else fields.push([word]);
    goesOn = false;
    at += match[0].length;
  }
  return fields;
}
