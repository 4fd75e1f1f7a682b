// A PgBouncer image whose program lacks one setting that the operator knows, as an older release of it would.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeDockerArchive, writeLayer, type Entry } from '../../images/archive.ts';
import { debianPackages, platform } from '../../images/debian.ts';
import { PGBOUNCER_SETTINGS, pgbouncerEntries } from '../../images/pgbouncer.ts';
import { importArchives } from '../cluster/images.ts';
import { clusterName, layoutOf } from '../cluster/layout.ts';
import { firstProcess } from '../cluster/namespace.ts';
import { NAMING } from './cluster-images.ts';
import { isOwnCluster } from './kubectl.ts';

/**
 * Imports it and answers its reference. In a copy of the program the setting's name is another one of the same length: whatever else
 * PgBouncer does is untouched, and a file that has the setting is refused in its own words. Undefined on a cluster that takes no archives.
 */
export async function importPoolerWithout(setting: string, folder: string): Promise<string | undefined> {
  if (!(await isOwnCluster())) return undefined;
  const packages = await debianPackages();
  const entries = pgbouncerEntries(packages).map((entry) => without(setting, entry));
  const reference = `${NAMING.repo.replace(/\/$/, '')}/pgbouncer:without-${setting.replaceAll('_', '-')}`;
  const file = join(folder, 'pooler.tar');
  const layer = writeLayer(entries, join(folder, 'pooler.layer'), `PgBouncer without ${setting}`);
  writeDockerArchive(file, reference, platform().architecture, PGBOUNCER_SETTINGS, [layer]);
  const layout = layoutOf(clusterName());
  const first = firstProcess(layout);
  if (first === undefined) throw new Error(`cluster ${layout.name} is not up: make cluster-up`);
  await importArchives(layout, first, [file]);
  return reference;
}

function without(setting: string, entry: Entry): Entry {
  if (entry.type !== 'file' || entry.path !== 'usr/bin/pgbouncer' || !('source' in entry)) return entry;
  const program = readFileSync(entry.source);
  const name = Buffer.from(`\0${setting}\0`);
  const at = program.indexOf(name);
  if (at === -1 || program.indexOf(name, at + 1) !== -1) {
    throw new Error(`the program does not have the name ${setting} exactly once`);
  }
  program.write('z', at + setting.length);
  return { type: 'file', path: entry.path, mode: entry.mode, content: program };
}
