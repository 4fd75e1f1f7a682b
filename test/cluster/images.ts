// Container images: from docker-archives into a cluster's containerd.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from './layout.ts';
import { insideCommand } from './namespace.ts';
import { CONTAINERD_SOCKET, type Snapshotter } from './node-config.ts';
import { attempt, run, systemEnv, until } from './processes.ts';

/** Imports archives at the same time; `first` is the cluster's first process. */
export async function importArchives(layout: Layout, first: number, archives: readonly string[]): Promise<void> {
  const snapshotter = await snapshotterFor(layout.folder);
  const command = ['images', 'import', '--snapshotter', snapshotter, '-'];
  // Through standard input, because the cluster has other folders under some paths of the machine.
  const imported = archives.map((inputFile) => ctr(first, command, inputFile));
  await Promise.all(imported);
}

export async function waitForContainerd(first: number): Promise<void> {
  await until('containerd', async () => (await ctr(first, ['version']), true), 30_000);
}

async function ctr(first: number, args: readonly string[], inputFile?: string): Promise<void> {
  const command = ['ctr', '--address', CONTAINERD_SOCKET, '--namespace', 'k8s.io', ...args];
  const options = inputFile === undefined ? {} : { inputFile };
  await run('nsenter', insideCommand(first, command), { env: systemEnv(), ...options });
}

/** Tries to overlay a folder where the images will be: not every file system can be. */
export async function snapshotterFor(folder: string): Promise<Snapshotter> {
  const trial = join(folder, 'overlay-trial');
  const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => join(trial, name));
  for (const part of [lower, upper, work, merged]) mkdirSync(part ?? '', { recursive: true });
  const options = `lowerdir=${lower ?? ''},upperdir=${upper ?? ''},workdir=${work ?? ''}`;
  // In a mount namespace of its own, the trial ends with the command.
  const mount = ['--mount', 'mount', '-t', 'overlay', '-o', options, 'overlay', merged ?? ''];
  const { code } = await attempt('unshare', mount, { env: systemEnv() });
  rmSync(trial, { recursive: true, force: true });
  return code === 0 ? 'overlayfs' : 'native';
}
