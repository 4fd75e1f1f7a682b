// How the operator's own connections speak TLS with PostgreSQL: whom they trust, and what they show of themselves.
import type { ServerTlsMode } from './pooler-model.ts';
import type { SecretText } from './secret-text.ts';

/** PEM texts. */
export type ServerTrust = {
  readonly mode: ServerTlsMode;
  /** Used by the verifying modes; without it they trust the public authorities. */
  readonly caPem?: string;
  /** Shown where the server asks for one; comes with its key. */
  readonly certPem?: string;
  readonly keyPem?: SecretText;
};
