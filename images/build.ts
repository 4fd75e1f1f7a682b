// Builds one image archive unless the archive on disk already has the same content key.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  contentKey,
  entriesKey,
  writeDockerArchive,
  writeLayer,
  type Entry,
  type ImageSettings,
  type Layer,
} from './archive.ts';
import { cacheFolder, debianPackages, PGBOUNCER_VERSION, platform, POSTGRES_MAJOR, type Packages } from './debian.ts';
import { demoClientSettings, demoClientSourceEntries } from './demo-client.ts';
import { operatorBaseEntries, operatorBaseKey, operatorSettings, operatorSourceEntries } from './operator.ts';
import { PGBOUNCER_SETTINGS, pgbouncerEntries } from './pgbouncer.ts';
import { POSTGRES_SETTINGS, postgresEntries } from './postgres.ts';

const CHECKOUT = join(import.meta.dirname, '..');

export type ImageName = 'operator' | 'pgbouncer' | 'postgres' | 'demo-client';

export const IMAGE_NAMES: readonly ImageName[] = ['pgbouncer', 'postgres', 'operator', 'demo-client'];

const DEFAULT_TAGS: Readonly<Record<ImageName, string>> = {
  operator: 'dev',
  pgbouncer: PGBOUNCER_VERSION,
  postgres: POSTGRES_MAJOR,
  'demo-client': 'dev',
};

/** `repo` comes before the name (`registry.example/team/` + `operator`); `tag` replaces the usual one. */
export type Naming = Readonly<{ repo: string; tag: string | undefined }>;

export function imageReference(name: ImageName, naming: Naming): string {
  return `${naming.repo.replace(/\/$/, '')}/${name}:${naming.tag ?? DEFAULT_TAGS[name]}`;
}

/** Whose sources are built, and where archives go. */
export type Place = Readonly<{ checkout: string; output: string }>;

const HERE: Place = { checkout: CHECKOUT, output: join(CHECKOUT, 'build', 'images') };

export function archiveFile(name: ImageName, place: Place = HERE): string {
  return join(place.output, `${name}.tar`);
}

export type Built = Readonly<{ reference: string; file: string; sizeBytes: number; current: boolean }>;

/** @throws when a package, PgBouncer's version or a library is missing; an old archive is never passed off as the new one. */
export async function buildImage(
  name: ImageName,
  naming: Naming,
  report: (line: string) => void = () => undefined,
  place: Place = HERE,
): Promise<Built> {
  const { checkout } = place;
  const packages = await debianPackages(report);
  const reference = imageReference(name, naming);
  const file = archiveFile(name, place);
  const keyFile = `${file}.key`;
  const sources = sourceEntries(name, checkout);
  const baseName: BaseName = name === 'demo-client' ? 'operator' : name;
  const base = baseName === 'operator' ? operatorBaseKey(checkout, packages) : packages.key;
  const key = contentKey(reference, recipeKey(), base, entriesKey(sources), JSON.stringify(settings(name, checkout)));
  if (existsSync(file) && existsSync(keyFile) && readFileSync(keyFile, 'utf8') === key) {
    return { reference, file, sizeBytes: statSync(file).size, current: true };
  }
  const layers = [
    cachedLayer(`${baseName}-${contentKey(recipeKey(), base)}`, () =>
      baseEntries(baseName, checkout, packages, report),
    ),
  ];
  if (sources.length > 0) layers.push(writeLayer(sources, join(place.output, `${name}-sources.layer`), 'sources'));
  const sizeBytes = writeDockerArchive(file, reference, platform().architecture, settings(name, checkout), layers);
  writeFileSync(keyFile, key);
  return { reference, file, sizeBytes, current: false };
}

/** What changes with every edit is a layer of its own. */
function sourceEntries(name: ImageName, checkout: string): Entry[] {
  switch (name) {
    case 'operator':
      return operatorSourceEntries(checkout);
    case 'demo-client':
      return demoClientSourceEntries(checkout);
    case 'pgbouncer':
    case 'postgres':
      return [];
  }
}

type BaseName = Exclude<ImageName, 'demo-client'>;

function baseEntries(name: BaseName, checkout: string, packages: Packages, report: (line: string) => void): Entry[] {
  switch (name) {
    case 'operator':
      return operatorBaseEntries(checkout, packages, report);
    case 'pgbouncer':
      return pgbouncerEntries(packages);
    case 'postgres':
      return postgresEntries(packages);
  }
}

function settings(name: ImageName, checkout: string): ImageSettings {
  switch (name) {
    case 'operator':
      return operatorSettings(checkout);
    case 'pgbouncer':
      return PGBOUNCER_SETTINGS;
    case 'postgres':
      return POSTGRES_SETTINGS;
    case 'demo-client':
      return demoClientSettings(checkout);
  }
}

/** Old layers of this image are worth nothing once it moved on, but another checkout may still be building from one. */
const LAYER_LIFETIME_MS = 3 * 24 * 60 * 60 * 1000;

/** A change of this folder's own programs is a change of every image. */
function recipeKey(): string {
  const files = readdirSync(import.meta.dirname)
    .filter((name) => !['main.ts', 'programs.ts', 'build.ts', 'demo-client.ts'].includes(name))
    .sort();
  return contentKey(...files.flatMap((name) => [name, readFileSync(join(import.meta.dirname, name))]));
}

function cachedLayer(name: string, entries: () => Entry[]): Layer {
  const folder = join(cacheFolder(), 'layers');
  const file = join(folder, `${name}.tar`);
  const about = `${file}.json`;
  if (existsSync(file) && existsSync(about))
    return { ...(JSON.parse(readFileSync(about, 'utf8')) as Omit<Layer, 'file'>), file };
  mkdirSync(folder, { recursive: true });
  for (const old of readdirSync(folder)) {
    if (Date.now() - statSync(join(folder, old)).mtimeMs > LAYER_LIFETIME_MS)
      rmSync(join(folder, old), { force: true });
  }
  const { diffId, sizeBytes, createdBy } = writeLayer(entries(), file, 'programs');
  writeFileSync(about, JSON.stringify({ diffId, sizeBytes, createdBy }));
  return { file, diffId, sizeBytes, createdBy };
}
