// What can go wrong between the operator and an admin console, as a closed set of kinds.

export type AdminErrorKind = 'unreachable' | 'authentication' | 'refused' | 'timeout' | 'protocol';

/** `refused`: PgBouncer understood the command and said no; its message follows. The other kinds leave the command's fate unknown. */
export class AdminError extends Error {
  readonly kind: AdminErrorKind;

  constructor(kind: AdminErrorKind, message: string) {
    super(message);
    this.name = 'AdminError';
    this.kind = kind;
  }
}

/** An answer that is not shaped as this version knows it; `path` names where. */
export class DecodeError extends Error {
  readonly path: string;

  constructor(path: string, expected: string, actual: unknown) {
    super(
      `${path}: expected ${expected}, got ${actual === undefined ? 'nothing' : JSON.stringify(actual).slice(0, 80)}`,
    );
    this.name = 'DecodeError';
    this.path = path;
  }
}
