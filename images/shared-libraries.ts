// The shared libraries a program loads, found by the loader of the packages themselves instead of a list kept by hand.
import { execFileSync } from 'node:child_process';
import { readlinkSync, lstatSync } from 'node:fs';
import { join, relative } from 'node:path';
import { copiedFile, symlink, type Entry } from './archive.ts';
import { platform } from './debian.ts';

/** Image entries of every library the programs need, and of the loader. Paths are relative to `root`. @throws when one is missing. */
export function libraryEntries(root: string, programs: readonly string[]): Entry[] {
  const { libraryFolder, loader } = platform();
  const folder = join(root, libraryFolder);
  const loaderFile = join(folder, loader.split('/').at(-1) ?? '');
  const names = new Set<string>([relative(folder, loaderFile)]);
  for (const program of programs) {
    const listed = execFileSync(loaderFile, ['--library-path', folder, '--list', program], { encoding: 'utf8' });
    for (const line of listed.split('\n')) {
      if (line.includes('not found')) throw new Error(`while collecting libraries of ${program}: ${line.trim()}`);
      const path = /=> (\S+) \(/.exec(line)?.[1];
      if (path === undefined || path === loaderFile) continue;
      if (!path.startsWith(`${folder}/`))
        throw new Error(`while collecting libraries of ${program}: ${path} is outside the packages`);
      names.add(relative(folder, path));
    }
  }
  return [...names].flatMap((name) => withTarget(folder, libraryFolder, name));
}

/** A library is usually a symlink to its versioned file: both go into the image. */
function withTarget(folder: string, at: string, name: string): Entry[] {
  const path = join(folder, name);
  if (!lstatSync(path).isSymbolicLink()) return [copiedFile(`${at}/${name}`, path)];
  const target = readlinkSync(path);
  return [symlink(`${at}/${name}`, target), ...withTarget(folder, at, target)];
}
