// The admin consoles of all poolers, at most one for each, kept between observations.
import { AdminConsole } from './console.ts';
import type { AdminConsoleOptions, PoolerConsole } from './console.ts';

/** What a console is good for: one pod at one address with one password. */
export type ConsoleIdentity = { readonly podUid: string; readonly ip: string; readonly passwordVersion: string };

export function consoleKey({ podUid, ip, passwordVersion }: ConsoleIdentity): string {
  return `${podUid}/${ip}/${passwordVersion}`;
}

/** What the controller needs of it. */
export type PoolerConsoles = {
  get(key: string, options: AdminConsoleOptions): PoolerConsole;
  retain(keys: ReadonlySet<string>): Promise<void>;
  closeAll(): Promise<void>;
};

/** Every console that leaves the map is closed; an open one would keep a pooler alive that was told to end. */
export class Consoles {
  readonly #byKey = new Map<string, AdminConsole>();

  /** The kept console, or a new one; it connects when it is first used. */
  get(key: string, options: AdminConsoleOptions): AdminConsole {
    let console = this.#byKey.get(key);
    if (console === undefined) {
      console = new AdminConsole(options);
      this.#byKey.set(key, console);
    }
    return console;
  }

  get size(): number {
    return this.#byKey.size;
  }

  async drop(key: string): Promise<void> {
    const console = this.#byKey.get(key);
    this.#byKey.delete(key);
    await console?.close();
  }

  /** Closes every console whose key is not among these. */
  async retain(keys: ReadonlySet<string>): Promise<void> {
    const gone = [...this.#byKey.keys()].filter((key) => !keys.has(key));
    await Promise.all(gone.map((key) => this.drop(key)));
  }

  async closeAll(): Promise<void> {
    await this.retain(new Set());
  }
}
