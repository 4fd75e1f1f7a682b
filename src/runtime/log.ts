// What this folder and src/kube need of a logger: one line per decision, a constant message and fields.

export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const nothing = (): void => undefined;

/** For callers that want no log at all. */
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
