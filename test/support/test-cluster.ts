// Finds or starts the cluster that the cluster tiers run on, and loads the images they need.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

export type PreparedCluster =
  | { readonly kind: 'ready'; readonly env: Readonly<Record<string, string>> }
  | { readonly kind: 'unavailable'; readonly why: string };

/**
 * KUBECONFIG names a cluster of the user's own: images then come from IMAGE_REPO, or IMAGE_LOADER is a command that loads docker-archives
 * (called with their file names). Without it the project's own cluster is started, which needs Linux, root and Go.
 * @throws when KUBECONFIG is set and there is no way to get the images there.
 */
export async function prepareCluster(): Promise<PreparedCluster> {
  const own = process.env['KUBECONFIG'];
  if (own !== undefined && own !== '' && own !== output(process.execPath, ['test/cluster/main.ts', 'kubeconfig'])) {
    const repository = process.env['IMAGE_REPO'];
    const loader = process.env['IMAGE_LOADER'];
    if (repository === undefined && loader === undefined) {
      throw new Error(
        'KUBECONFIG names a cluster, but nothing says how the images get there: set IMAGE_REPO (a repository that holds them) or IMAGE_LOADER (a command that loads docker-archives, for example "kind load image-archive")',
      );
    }
    if (loader !== undefined) {
      run(process.execPath, ['images/main.ts', 'build']);
      for (const file of imageFiles()) run('sh', ['-c', `${loader} "$1"`, 'load', file]);
    }
    return { kind: 'ready', env: { KUBECONFIG: own } };
  }
  const missing = missingForOwnCluster();
  if (missing !== undefined) return { kind: 'unavailable', why: missing };
  run(process.execPath, ['test/cluster/main.ts', 'up']);
  run(process.execPath, ['images/main.ts', 'build']);
  run(process.execPath, ['test/cluster/main.ts', 'import', ...imageFiles()]);
  return Promise.resolve({
    kind: 'ready',
    env: { KUBECONFIG: output(process.execPath, ['test/cluster/main.ts', 'kubeconfig']) },
  });
}

/** What this machine lacks for a cluster of its own; undefined when nothing. */
export function missingForOwnCluster(): string | undefined {
  if (process.platform !== 'linux') return 'a cluster of its own needs Linux; name another one by KUBECONFIG';
  if (process.getuid?.() !== 0) return 'a cluster of its own needs root; name another one by KUBECONFIG';
  if (spawnSync('go', ['version']).status !== 0)
    return 'a cluster of its own is built with Go, which is not installed; name another one by KUBECONFIG';
  return undefined;
}

function imageFiles(): readonly string[] {
  const files = output(process.execPath, ['images/main.ts', 'list'])
    .split('\n')
    .map((line) => line.split(/\s+/).at(-1) ?? '');
  return files.filter((file) => file.endsWith('.tar') && existsSync(file));
}

function run(command: string, args: readonly string[]): void {
  const result = spawnSync(command, [...args], { stdio: 'inherit' });
  if (result.status !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${String(result.status ?? result.signal)}`);
}

function output(command: string, args: readonly string[]): string {
  const result = spawnSync(command, [...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (result.status !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${String(result.status ?? result.signal)}`);
  return result.stdout.trim();
}
