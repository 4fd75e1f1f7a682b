// Everything secret that the Secrets of a namespace hold, also within the files that the operator made of it.
import { RESOURCES } from '../../src/kube/resources.ts';
import type { Canary } from './canary.ts';
import { cluster } from './kubectl.ts';

/** Keys that hold what anybody may know. */
const PUBLIC = /^(username|tls\.crt|ca\.crt)$/;

/** Those of now: what was there before is to be read before it is changed. */
export async function secretValues(namespace: string): Promise<readonly Canary[]> {
  const { items } = await (await cluster()).list(RESOURCES.Secret, { namespace });
  return items.flatMap(({ metadata, data = {} }) =>
    Object.entries(data)
      .filter(([key]) => !PUBLIC.test(key))
      .flatMap(([key, value]) => valuesIn(`${metadata.name}/${key}`, Buffer.from(value, 'base64').toString('utf8'))),
  );
}

/** Of a PEM file the lines of its key, of a userlist the secret of each user, of a SCRAM secret its keys; else the text itself. */
export function valuesIn(name: string, text: string): readonly Canary[] {
  const lines = text.split('\n');
  if (text.includes('-----BEGIN')) {
    const first = lines.findIndex((line) => /BEGIN .*PRIVATE KEY/.test(line));
    const last = lines.findIndex((line) => /END .*PRIVATE KEY/.test(line));
    return lines
      .slice(first + 1, Math.max(first + 1, last))
      .map((line, at) => ({ name: `${name}, line ${at + 1} of its key`, text: line }));
  }
  const users = lines.flatMap((line) => {
    const [, user = '', secret = ''] = /^"((?:[^"]|"")*)" "((?:[^"]|"")*)"/.exec(line) ?? [];
    return secret === '' ? [] : valuesIn(`${name}, ${user}`, secret.replaceAll('""', '"'));
  });
  if (users.length > 0) return users;
  const [, stored, server] = /^SCRAM-SHA-256[$].*[$](.{44}):(.{44})$/.exec(text) ?? [];
  const keys = [stored, server].flatMap((key, at) =>
    key === undefined ? [] : [{ name: `${name}, key ${at + 1} of SCRAM`, text: key }],
  );
  return [{ name, text }, ...keys];
}
