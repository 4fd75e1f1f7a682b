// The programs of the cluster: what is built, from what, and where it is kept.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeDockerArchive, writeLayer, type Entry } from '../../images/archive.ts';
import { withLock } from './lock.ts';
import { cacheFolder } from './layout.ts';
import { attempt, hasProgram, run } from './processes.ts';
import { step } from './steps.ts';

export const KUBERNETES_VERSION = '1.34.4';
export const PAUSE_IMAGE = 'localhost/poolsmith/pause:1';

/** In the order in which they share most of what was compiled before. */
const PACKAGES = {
  etcd: './etcd',
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
  'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
  kubelet: 'k8s.io/kubernetes/cmd/kubelet',
  'kube-scheduler': 'k8s.io/kubernetes/cmd/kube-scheduler',
  'kube-proxy': 'k8s.io/kubernetes/cmd/kube-proxy',
  coredns: './coredns',
} as const;

export type ProgramName = keyof typeof PACKAGES;

const NAMES = Object.keys(PACKAGES) as ProgramName[];
/** These may come ready-made, as controller-runtime's tools have it. */
const READY_MADE: readonly ProgramName[] = ['etcd', 'kube-apiserver', 'kubectl'];
const MODULE = join(import.meta.dirname, 'tools');
const PAUSE_SOURCE = join(import.meta.dirname, 'pause', 'pause.c');
const BUILD_LIMIT_MS = 60 * 60_000;

/** Keyed by the Kubernetes version and by everything else that goes into the build. */
export function programsFolder(): string {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum', 'etcd/main.go', 'coredns/main.go'])
    hash.update(readFileSync(join(MODULE, file)));
  return join(cacheFolder(), `programs-${KUBERNETES_VERSION}-${hash.digest('hex').slice(0, 8)}`);
}

export function programFile(name: ProgramName): string {
  const readyMade = process.env['KUBEBUILDER_ASSETS'];
  if (readyMade !== undefined && READY_MADE.includes(name)) {
    const file = join(readyMade, name);
    if (existsSync(file)) return file;
  }
  return join(programsFolder(), name);
}

export function pauseArchive(): string {
  return join(
    programsFolder(),
    `pause-${createHash('sha256').update(readFileSync(PAUSE_SOURCE)).digest('hex').slice(0, 8)}.tar`,
  );
}

/** Builds what is missing. An interrupted build goes on where it was: Go keeps what it compiled, finished programs stay. */
export async function ensurePrograms(): Promise<void> {
  const isMissing = (): boolean => [...NAMES.map(programFile), pauseArchive()].some((file) => !existsSync(file));
  if (!isMissing()) return;
  await withLock('programs', BUILD_LIMIT_MS, async () => {
    if (!isMissing()) return;
    const folder = programsFolder();
    mkdirSync(folder, { recursive: true });
    for (const partial of readdirSync(folder).filter((file) => file.startsWith('.')))
      rmSync(join(folder, partial), { force: true });
    const total = NAMES.length + 1;
    for (const [index, name] of NAMES.entries()) {
      if (existsSync(programFile(name))) continue;
      await step(`building ${name} (${index + 1} of ${total})`, () => buildProgram(name));
    }
    if (!existsSync(pauseArchive())) await step(`building pause image (${total} of ${total})`, buildPause);
  });
}

async function buildProgram(name: ProgramName): Promise<void> {
  await requireGo();
  // By process, because a build whose `up` was killed may still be writing its own.
  const partial = join(programsFolder(), `.${name}.${process.pid}`);
  // Without these the server calls itself v0.0.0-master, and version checks of its clients go wrong.
  const version = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((variables) => {
    const [major = '', minor = ''] = KUBERNETES_VERSION.split('.');
    const values = { gitVersion: `v${KUBERNETES_VERSION}`, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
    return Object.entries(values).map(([variable, value]) => `-X ${variables}.${variable}=${value}`);
  });
  const flags = ['-trimpath', '-buildvcs=false', '-mod=readonly', '-ldflags', ['-s -w', ...version].join(' ')];
  await run('nice', ['go', 'build', ...flags, '-o', partial, PACKAGES[name]], {
    cwd: MODULE,
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '' },
  });
  renameSync(partial, join(programsFolder(), name));
}

async function requireGo(): Promise<void> {
  const { stdout, code } = await attempt('go', ['env', 'GOVERSION']);
  const minor = Number(/^go1\.(\d+)/.exec(stdout)?.[1] ?? 0);
  if (code !== 0 || minor < 24) {
    throw new Error(
      `Go 1.24 or newer is needed to build Kubernetes; found ${stdout.trim() === '' ? 'none' : stdout.trim()}`,
    );
  }
}

async function buildPause(): Promise<void> {
  if (!(await hasProgram('cc'))) throw new Error('a C compiler (cc) is needed to build the pause image');
  const binary = join(programsFolder(), `.pause.${process.pid}`);
  const layerFile = `${binary}.tar`;
  await run('cc', ['-Os', '-static', '-s', '-o', binary, PAUSE_SOURCE]);
  const content = readFileSync(binary);
  const entries: Entry[] = [{ type: 'file', path: 'pause', mode: 0o755, content }];
  const layer = writeLayer(entries, layerFile, 'pause');
  const settings = { User: '65535:65535', Entrypoint: ['/pause'], Env: [], WorkingDir: '/', Labels: {} };
  writeDockerArchive(pauseArchive(), PAUSE_IMAGE, process.arch === 'arm64' ? 'arm64' : 'amd64', settings, [layer]);
  rmSync(binary);
  rmSync(layerFile);
}
