// The [pgbouncer] settings that a simulated process runs with: defaults, the file over them, SET until the next RELOAD.
import { SETTINGS } from '../../../src/model/settings/table.ts';
import type { Setting } from '../../../src/model/settings/setting.ts';

/** The one numeral of 1.26.1's file that SHOW CONFIG prints otherwise than the table: `%g`, so six digits. */
function secondsText(seconds: number): string {
  return String(Number(seconds.toPrecision(6)));
}

/** As PgBouncer would take it; undefined when it refuses the value. */
function takenText(setting: Setting, text: string): string | undefined {
  switch (setting.type) {
    case 'int':
    case 'uint':
    case 'bool':
      return /^[+-]?(0x[0-9a-f]+|\d+)$/i.test(text) ? String(integer(text)) : undefined;
    case 'seconds':
      return /^\d*\.?\d+$|^\d+\.$/.test(text) ? secondsText(Number(text)) : undefined;
    case 'enum':
      return setting.values.includes(text) ? text : undefined;
    case 'string':
      return text;
  }
}

function integer(text: string): number {
  return /^[+-]?0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
}

export class SettingsInForce {
  readonly #values = new Map<string, string>();
  #view: ReadonlyMap<string, string> | undefined;

  constructor() {
    for (const { name, default: text } of SETTINGS.values()) if (text !== undefined) this.#values.set(name, text);
    // It has no default in PgBouncer's table, and shows one.
    this.#values.set('verbose', '0');
    this.#take('unix_socket_mode', this.text('unix_socket_mode'), true);
  }

  /** What SHOW CONFIG answers; built once between changes. */
  get view(): ReadonlyMap<string, string> {
    this.#view ??= new Map(this.#values);
    return this.#view;
  }

  text(name: string): string {
    return this.#values.get(name) ?? '';
  }

  number(name: string): number {
    return Number(this.text(name));
  }

  /** What meeting `[pgbouncer]` in a file does: all that has a default falls back to it, restart-only settings aside. */
  fallBack(): void {
    for (const { name, default: text, change } of SETTINGS.values())
      if (text !== undefined && change === 'reload') this.#values.set(name, text);
    this.#view = undefined;
  }

  /** A line of the file. False when PgBouncer refuses it. */
  load(name: string, text: string, starting: boolean): boolean {
    return this.#take(name, text, starting);
  }

  /** SET. A restart-only setting is accepted and ignored. */
  set(name: string, text: string): boolean {
    return this.#take(name, text, false);
  }

  #take(name: string, text: string, starting: boolean): boolean {
    const setting = SETTINGS.get(name);
    if (setting === undefined) return false;
    if (setting.change === 'restart' && !starting) return true;
    const taken = takenText(setting, text);
    if (taken === undefined) return false;
    this.#values.set(name, taken);
    this.#view = undefined;
    return true;
  }
}
