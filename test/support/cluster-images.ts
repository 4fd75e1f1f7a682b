// Brings the project's images into the cluster under test, unless they are there already.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { archiveFile, buildImage, imageReference, type ImageName, type Naming } from '../../images/build.ts';
import { importArchives } from '../cluster/images.ts';
import { clusterName, layoutOf } from '../cluster/layout.ts';
import { firstProcess } from '../cluster/namespace.ts';
import { isOwnCluster } from './kubectl.ts';

/** As the images are called everywhere in tests and demo; IMAGE_REPO for clusters that pull. */
export const NAMING: Naming = { repo: process.env['IMAGE_REPO'] ?? 'poolsmith', tag: undefined };

export function imageOf(name: ImageName): string {
  return imageReference(name, NAMING);
}

/** Content key of each image last imported; lies in the cluster's state folder, so it goes with the cluster. */
type Imported = Record<string, string>;

/**
 * Builds what is missing or old and imports what the cluster does not have; answers the images that were imported.
 * A foreign cluster pulls from IMAGE_REPO instead, where the images must be. @throws when that is not set.
 */
export async function ensureImages(
  names: readonly ImageName[],
  report: (line: string) => void = () => undefined,
): Promise<readonly ImageName[]> {
  if (!(await isOwnCluster())) {
    if (process.env['IMAGE_REPO'] === undefined) {
      throw new Error(
        'KUBECONFIG names another cluster: set IMAGE_REPO to a registry that has the images and that it can reach',
      );
    }
    return [];
  }
  const layout = layoutOf(clusterName());
  const first = firstProcess(layout);
  if (first === undefined) throw new Error(`cluster ${layout.name} is not up: make cluster-up`);
  const markFile = join(layout.folder, 'imported-images.json');
  const imported = existsSync(markFile) ? (JSON.parse(readFileSync(markFile, 'utf8')) as Imported) : {};
  const missing: ImageName[] = [];
  const keys: Imported = {};
  for (const name of names) {
    const { reference, file } = await buildImage(name, NAMING, report);
    keys[reference] = readFileSync(`${file}.key`, 'utf8');
    if (imported[reference] !== keys[reference]) missing.push(name);
  }
  if (missing.length === 0) return [];
  report(`loading ${missing.map(imageOf).join(', ')} into the cluster`);
  await importArchives(
    layout,
    first,
    missing.map((name) => archiveFile(name)),
  );
  writeFileSync(markFile, JSON.stringify({ ...imported, ...keys }));
  return missing;
}
