// A copy of the source tree in a temporary folder, in which one bug at a time is planted and taken out again.
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PlantedBug } from './planted-bug.ts';

/** All that the catchers read; node_modules is linked. */
const COPIED = ['src', 'test', 'scripts', 'package.json'];

/** Why a bug no longer fits the source; undefined when it does. */
export function misfit(root: string, { file, find, replace }: PlantedBug): string | undefined {
  let source: string;
  try {
    source = readFileSync(join(root, file), 'utf8');
  } catch {
    return `there is no ${file}`;
  }
  const times = source.split(find).length - 1;
  if (times !== 1) return `its text occurs ${times} times in ${file}, not once`;
  return find === replace ? 'it changes nothing' : undefined;
}

export class SourceCopy implements Disposable {
  readonly folder: string;

  constructor(root: string) {
    this.folder = mkdtempSync(join(tmpdir(), 'poolsmith-planted-'));
    for (const name of COPIED) cpSync(join(root, name), join(this.folder, name), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'));
  }

  /** Until the result is disposed of. */
  plant({ file, find, replace }: PlantedBug): Disposable {
    const path = join(this.folder, file);
    const sound = readFileSync(path, 'utf8');
    writeFileSync(
      path,
      sound.replace(find, () => replace),
    );
    return {
      [Symbol.dispose]: () => {
        writeFileSync(path, sound);
      },
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
