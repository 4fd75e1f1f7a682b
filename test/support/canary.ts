// A secret that is easy to recognise, in every form in which somebody could tell it by accident.
import { inspect } from 'node:util';

export type Canary = Readonly<{ name: string; text: string }>;

/** A place that is searched, and what is written there. */
export type Place = Readonly<{
  name: string;
  text: string;
  /** What stands there for sure, so that it is the right place: the name of the fleet when left out. */ mentions?: string;
}>;

export type Hit = Readonly<{
  place: string;
  canary: string;
  form: string;
  /** What stands before it. */ after: string;
}>;

const inside = (quoted: string): string => quoted.slice(1, -1);
const escaped = (text: string): string => inside(JSON.stringify(text));
const byUnit = (text: string, pattern: RegExp): string =>
  text.replace(pattern, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Text that holds these bytes somewhere in it, in base64: one way for each of the three places in a group where they can begin. */
function base64Anywhere(text: string): readonly string[] {
  return [0, 1, 2].map((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), Buffer.from(text)]).toString('base64');
    const ends = (offset + Buffer.byteLength(text)) % 3 === 0 ? encoded.length : encoded.replace(/=+$/, '').length - 1;
    return encoded.slice(offset === 0 ? 0 : offset + 1, ends);
  });
}

const FORMS: Readonly<Record<string, (text: string) => readonly string[]>> = {
  raw: (text) => [text],
  JSON: (text) => [escaped(text)],
  'JSON in JSON': (text) => [escaped(escaped(text))],
  'JSON of ASCII': (text) => [byUnit(escaped(text), /[^\u0020-\u007e]/g)],
  'JSON as Go writes it': (text) => [byUnit(escaped(text), /[<>&]/g)],
  'as Node prints it': (text) => [inside(inspect(text))],
  'quotes doubled': (text) => [text.replaceAll('"', '""'), text.replaceAll("'", "''")],
  'URL-encoded': (text) => [
    encodeURIComponent(text),
    encodeURI(text),
    new URLSearchParams([['', text]]).toString().slice(1),
  ],
  base64: (text) => [Buffer.from(text).toString('base64')],
  'base64 for URLs': (text) => [Buffer.from(text).toString('base64url')],
  'base64 of something around it': base64Anywhere,
  hex: (text) => [Buffer.from(text).toString('hex'), Buffer.from(text).toString('hex').toUpperCase()],
  'UTF-8 taken for Latin-1': (text) => [Buffer.from(text).toString('latin1')],
};

export type Needle = Readonly<{ canary: string; form: string; text: string }>;

/** Shorter texts than this one could be found by chance. */
const SHORTEST = 8;
/** Of a secret at least this long each half is one, too: messages get cut. */
const HALVED_FROM = 32;

/** All that is to be looked for, each text once. @throws when a secret is too short to mean anything where it is found. */
export function needlesOf({ name, text }: Canary): readonly Needle[] {
  if (text.length < SHORTEST) throw new Error(`the secret ${name} is too short to be searched for`);
  const middle = Math.floor(text.length / 2);
  const parts = text.length < HALVED_FROM ? [text] : [text, text.slice(0, middle), text.slice(middle)];
  const needles = parts.flatMap((part) =>
    Object.entries(FORMS).flatMap(([form, write]) =>
      write(part).map((written) => ({ canary: name, form, text: written })),
    ),
  );
  return [...new Map(needles.toReversed().map((needle) => [needle.text, needle])).values()].toReversed();
}

/** Where any of them stands. */
export function searched({ name, text: written }: Place, needles: readonly Needle[]): readonly Hit[] {
  const text = withItsTexts(written);
  return needles.flatMap((needle) => {
    const at = text.indexOf(needle.text);
    const after = text.slice(Math.max(0, at - 80), Math.max(0, at));
    return at === -1 ? [] : [{ place: name, canary: needle.canary, form: needle.form, after }];
  });
}

/** Where it is JSON, or lines of it, every text in it stands there a second time, as it reads without the escapes. */
function withItsTexts(json: string): string {
  const texts: string[] = [];
  const collect = (key: string, value: unknown): unknown => {
    texts.push(key);
    if (typeof value === 'string') texts.push(value);
    return value;
  };
  for (const document of isJson(json) ? [json] : json.split('\n').filter(isJson)) JSON.parse(document, collect);
  return `${json}\n${texts.join('\n')}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
