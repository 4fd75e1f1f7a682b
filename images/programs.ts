// The same PgBouncer and PostgreSQL as in the images, made to run on this machine itself: each behind its own loader.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { contentKey, orderedEntries, type Entry } from './archive.ts';
import { cacheFolder, debianPackages, platform, publish, POSTGRES_MAJOR, type Packages } from './debian.ts';
import { pgbouncerEntries } from './pgbouncer.ts';
import { serverEntries, serverLibraries } from './postgres.ts';

/** Options of `spawn` for a program that refuses to run as root; empty where this process is not root. */
export type Unprivileged = Readonly<{ uid?: number; gid?: number }>;

/** `folder` holds everything, `pgbouncer` is a program file, `postgresBin` a folder with postgres, initdb, pg_ctl, psql, pgbench …; run them with `unprivileged`. */
export type Programs = Readonly<{ folder: string; pgbouncer: string; postgresBin: string; unprivileged: Unprivileged }>;

const NOBODY_ID = 65534;
const BIN = `usr/lib/postgresql/${POSTGRES_MAJOR}/bin`;

/** Prepares the programs on first use (about 12 s and 40 MB of downloads), afterwards at once. */
export async function preparePrograms(report: (line: string) => void = () => undefined): Promise<Programs> {
  const packages = await debianPackages(report);
  const folder = join(reachableFolder(), `programs-${contentKey(packages.key, LAYOUT)}`);
  if (existsSync(folder)) [dirname(folder), folder].forEach(refuseForeign);
  else install(packages, folder);
  return {
    folder,
    pgbouncer: join(folder, 'usr/bin/pgbouncer'),
    postgresBin: join(folder, BIN),
    unprivileged: process.getuid?.() === 0 ? { uid: NOBODY_ID, gid: NOBODY_ID } : {},
  };
}

const LAYOUT = '1';

/** The cache, unless root's home hides it from the unprivileged user that runs the programs. */
function reachableFolder(): string {
  const cache = cacheFolder();
  mkdirSync(cache, { recursive: true });
  const root = process.getuid?.() === 0;
  const hidden = root && ancestors(cache).some((path) => (statSync(path).mode & 0o001) === 0);
  return hidden ? join(tmpdir(), 'poolsmith-root') : cache;
}

function ancestors(path: string): string[] {
  return path === dirname(path) ? [path] : [path, ...ancestors(dirname(path))];
}

/** A shared temporary folder lets anyone create a name first. */
function refuseForeign(path: string): void {
  const status = lstatSync(path);
  if (status.uid !== process.getuid?.() || !status.isDirectory() || (status.mode & 0o022) !== 0) {
    throw new Error(`while preparing programs: ${path} belongs to somebody else; remove it`);
  }
}

function install(packages: Packages, folder: string): void {
  const parent = dirname(folder);
  mkdirSync(parent, { recursive: true, mode: 0o755 });
  refuseForeign(parent);
  const work = mkdtempSync(join(parent, 'programs-'));
  try {
    const libraries = platform().libraryFolder;
    const inside = (path: string): boolean => path.startsWith(`${libraries}/`);
    const pgbouncer = pgbouncerEntries(packages).filter(({ path }) => inside(path) || path === 'usr/bin/pgbouncer');
    const entries = [...pgbouncer, ...serverLibraries(packages), ...serverEntries(packages)];
    for (const entry of orderedEntries(entries)) place(work, folder, entry);
    chmodSync(work, 0o755);
    publish(work, folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Programs move aside as `NAME.real`; under their name is a script that starts them through the loader they were linked for. */
function place(work: string, folder: string, entry: Entry): void {
  const path = join(work, entry.path);
  if (entry.type === 'folder') mkdirSync(path, { recursive: true, mode: 0o755 });
  if (entry.type === 'symlink') symlinkSync(entry.target, path);
  if (entry.type !== 'file' || !('source' in entry)) return;
  copyFileSync(entry.source, path);
  if (!entry.path.startsWith(`${BIN}/`) && entry.path !== 'usr/bin/pgbouncer') return;
  renameSync(path, `${path}.real`);
  const { libraryFolder, loader } = platform();
  const libraries = join(folder, libraryFolder);
  const real = join(folder, `${entry.path}.real`);
  // --argv0: PostgreSQL's programs find their shared files and each other by the name they were called with.
  const line = `exec '${join(libraries, loader.split('/').at(-1) ?? '')}' --library-path '${libraries}' --argv0 "$0" '${real}' "$@"`;
  writeFileSync(path, `#!/bin/sh\n${line}\n`, { mode: 0o755 });
}
