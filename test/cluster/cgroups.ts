// The cluster's own place in every cgroup hierarchy, version 1, version 2 or both at once.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from './layout.ts';
import { until } from './processes.ts';

type Hierarchy = Readonly<{ folder: string; version: 1 | 2 }>;

function hierarchies(): Hierarchy[] {
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .flatMap(([, folder, type]): Hierarchy[] => {
      if (folder === undefined) return [];
      return type === 'cgroup' ? [{ folder, version: 1 }] : type === 'cgroup2' ? [{ folder, version: 2 }] : [];
    });
}

/** The existing cgroups of the cluster, one in each hierarchy. */
export function cgroupFolders(layout: Layout): string[] {
  return hierarchies()
    .map(({ folder }) => join(folder, layout.cgroup))
    .filter((folder) => existsSync(folder));
}

/** Makes the cgroups; answers the files into which a process writes its id to become a component. */
export function createCgroups(layout: Layout): string[] {
  return hierarchies().map(({ folder, version }) => {
    const top = join(folder, layout.cgroup);
    // Version 2 allows processes only where no controllers are passed on, so the components get a leaf beside the pods.
    const leaf = join(top, 'components');
    if (version === 2) passOnControllers(folder);
    for (const created of [top, leaf]) {
      mkdirSync(created, { recursive: true });
      if (version === 1) copyProcessors(created);
    }
    if (version === 2) passOnControllers(top);
    return join(leaf, 'cgroup.procs');
  });
}

/** All processes of the cluster, its containers included. */
export function cgroupMembers(layout: Layout): number[] {
  const members = new Set<number>();
  const visit = (folder: string): void => {
    for (const pid of readLines(join(folder, 'cgroup.procs'))) members.add(Number(pid));
    for (const child of childFolders(folder)) visit(child);
  };
  for (const folder of cgroupFolders(layout)) visit(folder);
  // 0 stands for a process outside of this pid namespace.
  members.delete(0);
  return [...members];
}

/** Removes the cgroups once their processes are gone; the kernel may need a moment for that. */
export async function removeCgroups(layout: Layout, timeoutMs: number): Promise<void> {
  for (const folder of cgroupFolders(layout)) {
    await until(`cgroup ${folder} to become empty`, () => (removeTree(folder), true), timeoutMs);
  }
}

function removeTree(folder: string): void {
  for (const child of childFolders(folder)) removeTree(child);
  try {
    rmdirSync(folder);
  } catch (error) {
    if (existsSync(folder)) throw error;
  }
}

function childFolders(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => join(folder, entry.name));
  } catch {
    return []; // It went while we looked.
  }
}

/** A new cpuset of version 1 has no processors and no memory, and no process can enter it. */
function copyProcessors(folder: string): void {
  for (const name of ['cpuset.cpus', 'cpuset.mems']) {
    if (existsSync(join(folder, name))) writeFileSync(join(folder, name), readFileSync(join(folder, '..', name)));
  }
}

function passOnControllers(folder: string): void {
  for (const controller of readLines(join(folder, 'cgroup.controllers')).flatMap((line) => line.split(' '))) {
    writeFileSync(join(folder, 'cgroup.subtree_control'), `+${controller}`);
  }
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  } catch {
    return [];
  }
}
