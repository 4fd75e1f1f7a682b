// What PostgreSQL says of itself: its limits, and who holds its connections.

/** Why a server could not be used, as a closed set of classes; raw error text never leaves the adapter. */
export type ServerFault =
  | 'ServerUnreachable'
  | 'PasswordRefused'
  | 'CertificateNotTrusted'
  | 'CertificateRefused'
  | 'TlsNotOffered'
  | 'DatabaseMissing'
  | 'TooManyConnections'
  | 'LoginRefused'
  | 'VersionTooOld';

/** Client backends grouped; `clientAddress` is undefined for unix-socket and for rows the role may not see. */
export type BackendGroup = {
  readonly clientAddress: string | undefined;
  readonly user: string;
  readonly database: string;
  readonly count: number;
  /** They call themselves the operator's own: its monitors and trial logins. Anybody may call himself so; it only decides what is an other's. */
  readonly operators?: boolean;
};

export type ServerLimits = {
  readonly versionNumber: number;
  readonly maxConnections: number;
  readonly superuserReserved: number;
  readonly reserved: number;
};

/** One reading through the monitor role. `seesOthers` is false when the role lacks pg_monitor (then `backends` is not a proof). */
export type ServerView =
  | {
      readonly reachable: true;
      readonly limits: ServerLimits;
      readonly seesOthers: boolean;
      readonly backends: readonly BackendGroup[];
    }
  | { readonly reachable: false; readonly fault: ServerFault };
