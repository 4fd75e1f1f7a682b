// The PostgreSQL image of demos and tests: Debian's server and psql, a shell for initdb, a start script; no JIT, no manual pages.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { copiedFile, copiedFolder, folder, symlink, textFile, type Entry, type ImageSettings } from './archive.ts';
import { POSTGRES_MAJOR, type Packages } from './debian.ts';
import { NONROOT, rootFolder } from './root-folder.ts';
import { libraryEntries } from './shared-libraries.ts';

const SERVER = `usr/lib/postgresql/${POSTGRES_MAJOR}`;
const SHARE = `usr/share/postgresql/${POSTGRES_MAJOR}`;

/** Left out with the big libraries that only they need; JIT is off where llvmjit is absent. */
const NOT_WANTED = /^(bitcode|pgxs|llvmjit.*|sepgsql\.so|pgxml\.so|uuid-ossp\.so|bin\/pg_upgrade)/;

/** The server's own folders, at the places where its programs look for each other. */
export function serverEntries(packages: Packages): Entry[] {
  return [
    ...copiedFolder(join(packages.root, SERVER, 'bin'), `${SERVER}/bin`),
    ...copiedFolder(join(packages.root, SERVER, 'lib'), `${SERVER}/lib`, (path) => !NOT_WANTED.test(path)),
    ...copiedFolder(join(packages.root, SHARE), SHARE, (path) => !path.startsWith('man')),
  ];
}

export function serverLibraries(packages: Packages): Entry[] {
  const files = (name: string): string[] =>
    readdirSync(join(packages.root, SERVER, name), { withFileTypes: true })
      .filter((item) => item.isFile() && !NOT_WANTED.test(item.name) && (name === 'bin' || item.name.endsWith('.so')))
      .map((item) => join(packages.root, SERVER, name, item.name));
  return libraryEntries(packages.root, [...files('bin'), ...files('lib')]);
}

export function postgresEntries(packages: Packages): Entry[] {
  const applets = [
    'sh',
    'cat',
    'chmod',
    'cp',
    'date',
    'env',
    'grep',
    'id',
    'ls',
    'mkdir',
    'mv',
    'ps',
    'rm',
    'rmdir',
    'sed',
    'sleep',
    'tail',
  ];
  return [
    ...rootFolder(packages.root, '/bin/sh'),
    ...serverLibraries(packages),
    ...serverEntries(packages),
    ...copiedFolder(
      join(packages.root, 'usr/share/zoneinfo'),
      'usr/share/zoneinfo',
      (path) => !path.startsWith('right'),
    ),
    copiedFile('usr/bin/busybox', join(packages.root, 'usr/bin/busybox')),
    ...applets.map((name) => symlink(`usr/bin/${name}`, 'busybox')),
    textFile(
      'usr/bin/postgres-entrypoint',
      readFileSync(join(import.meta.dirname, 'postgres-entrypoint.sh'), 'utf8'),
      0o755,
    ),
    ...['initdb.d', 'tls'].map((path) => folder(path)),
    folder('var/lib/postgresql/data', 0o1777),
  ];
}

export const POSTGRES_SETTINGS: ImageSettings = {
  User: NONROOT,
  Entrypoint: ['/usr/bin/postgres-entrypoint'],
  Env: [`PATH=/${SERVER}/bin:/usr/bin`, 'PGDATA=/var/lib/postgresql/data/pgdata', 'PGHOST=/tmp', 'PGUSER=postgres'],
  WorkingDir: '/',
  ExposedPorts: { '5432/tcp': {} },
  // SIGTERM would wait for every client to leave; SIGINT is PostgreSQL's fast shutdown.
  StopSignal: 'SIGINT',
  Labels: {
    'org.opencontainers.image.title': 'postgres',
    'org.opencontainers.image.version': POSTGRES_MAJOR,
    'org.opencontainers.image.licenses': 'PostgreSQL',
  },
};
