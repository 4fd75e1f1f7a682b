// The PgBouncer image: Debian's program and the libraries it loads, nothing else; no shell.
import { join } from 'node:path';
import { copiedFile, type Entry, type ImageSettings } from './archive.ts';
import { PGBOUNCER_VERSION, type Packages } from './debian.ts';
import { NONROOT, rootFolder } from './root-folder.ts';
import { libraryEntries } from './shared-libraries.ts';

export function pgbouncerEntries(packages: Packages): Entry[] {
  const program = join(packages.root, 'usr/sbin/pgbouncer');
  return [
    ...rootFolder(packages.root),
    ...libraryEntries(packages.root, [program]),
    copiedFile('usr/bin/pgbouncer', program),
  ];
}

export const PGBOUNCER_SETTINGS: ImageSettings = {
  User: NONROOT,
  Entrypoint: ['/usr/bin/pgbouncer'],
  Env: ['PATH=/usr/bin', 'SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt'],
  WorkingDir: '/',
  ExposedPorts: { '6432/tcp': {} },
  Labels: {
    'org.opencontainers.image.title': 'pgbouncer',
    'org.opencontainers.image.version': PGBOUNCER_VERSION,
    'org.opencontainers.image.licenses': 'ISC',
  },
};
