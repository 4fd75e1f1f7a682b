// Writes the file of rules that says who may come from where, in the form of pg_hba.conf as PgBouncer reads it.
import { contentHash } from '../model/canonical.ts';
import { readNetwork } from '../model/cidr.ts';
import { ADMIN_USER, PROOF_USER } from '../model/reserved-names.ts';
import { SecretText } from '../model/secret-text.ts';
import { byteLength, isSafeText } from '../model/settings/validate.ts';
import { RenderError } from './render-error.ts';

/** One line; what is left out fits everybody. */
export type HbaLine = {
  readonly type: 'host' | 'hostssl' | 'hostnossl';
  readonly databases?: readonly string[];
  readonly users?: readonly string[];
  /** In CIDR notation. */
  readonly address?: string;
  readonly method: 'scram-sha-256' | 'cert' | 'reject';
};

export type RenderedHba = { readonly fileName: string; readonly text: SecretText };

/** The operator's own users come first, so that no rule can lock it out; they have nothing but the console and the proof. */
const OWN: HbaLine = { type: 'host', users: [ADMIN_USER, PROOF_USER], method: 'scram-sha-256' };
const NAME_BYTES = 63;

/**
 * PgBouncer ignores a line that it can't read, and the next one then decides: so nothing is written of which it is not certain. Its words in the log
 * are all that would tell.
 * @throws RenderError naming the rule and the field.
 */
export function renderHba(lines: readonly HbaLine[]): RenderedHba {
  const text = [OWN, ...lines].map((line, index) => `${hbaLine(line, `spec.auth.hba[${index - 1}]`)}\n`).join('');
  return { fileName: `hba-${contentHash(text)}.conf`, text: new SecretText(text) };
}

function hbaLine({ type, databases, users, address, method }: HbaLine, field: string): string {
  return [
    type,
    names(databases, `${field}.databases`),
    names(users, `${field}.users`),
    address === undefined ? 'all' : network(address, `${field}.address`),
    method,
  ].join(' ');
}

/** In quotes a word like `all` is a name, and so is what begins with `+` or `@`; a quote is doubled. */
function names(list: readonly string[] | undefined, field: string): string {
  if (list === undefined) return 'all';
  if (list.length === 0) throw new RenderError(field, 'it is empty; leave it out for all');
  return list.map((name, index) => `"${checkedName(name, `${field}[${index}]`).replaceAll('"', '""')}"`).join(',');
}

function checkedName(name: string, field: string): string {
  if (name === '' || byteLength(name) > NAME_BYTES)
    throw new RenderError(field, `it must have 1 to ${NAME_BYTES} bytes`);
  if (!isSafeText(name)) throw new RenderError(field, 'it must not have line breaks or other control characters');
  return name;
}

function network(address: string, field: string): string {
  const problem = readNetwork(address);
  if (typeof problem === 'string') throw new RenderError(field, `${JSON.stringify(address.toWellFormed())} ${problem}`);
  return address;
}
