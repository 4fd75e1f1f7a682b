// Spells admin commands: the console has no parameters, so quoting is all that stands between a name and a second command.
import { AdminError } from './errors.ts';

/** PgBouncer copies an argument, quotes and doublings included, into a buffer of 256 bytes (a name: 64) and else says "bad arguments". */
const MAX_QUOTED_VALUE_BYTES = 255;
const MAX_NAME_BYTES = 63;

/** `SET key = 'value'`. A restart-only key is accepted by PgBouncer and does nothing: read back. */
export function setStatement(key: string, value: string): string {
  if (!/^[a-z0-9_]+$/.test(key)) {
    throw new AdminError('refused', `not the name of a setting: ${JSON.stringify(key)}`);
  }
  if (hasControlCharacter(value)) {
    throw new AdminError('refused', `value of ${key} has a control character`);
  }
  const quoted = `'${value.replaceAll("'", "''")}'`;
  const bytes = Buffer.byteLength(quoted);
  if (bytes > MAX_QUOTED_VALUE_BYTES) {
    throw new AdminError(
      'refused',
      `value of ${key} has ${bytes} bytes with its quotes, SET takes at most ${MAX_QUOTED_VALUE_BYTES}`,
    );
  }
  return `SET ${key} = ${quoted}`;
}

/** A command about one database. A name that needs quotes may have 61 bytes, a bare one 63. */
export function databaseStatement(command: 'PAUSE' | 'RESUME' | 'RECONNECT', database: string): string {
  const name = /^[0-9a-z_]+$/i.test(database) ? database : `"${database.replaceAll('"', '""')}"`;
  if (database === '' || hasControlCharacter(database) || Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new AdminError(
      'refused',
      `not a name the console takes: ${JSON.stringify(database.slice(0, MAX_NAME_BYTES))}`,
    );
  }
  return `${command} ${name}`;
}

export function killClientStatement(id: string): string {
  if (!/^(0x)?[0-9a-f]+$/i.test(id)) {
    throw new AdminError('refused', `not the id of a client: ${JSON.stringify(id)}`);
  }
  return `KILL_CLIENT ${id}`;
}

function hasControlCharacter(text: string): boolean {
  return /[\u0000-\u001f\u007f]/.test(text);
}
