// The operator image: Node, the production modules and the sources it runs un-built; no shell. The sources are a layer of their own.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { contentKey, copiedFile, copiedFolder, symlink, textFile, type Entry, type ImageSettings } from './archive.ts';
import { cacheFolder, publish, type Packages } from './debian.ts';
import { NONROOT, rootFolder } from './root-folder.ts';
import { libraryEntries } from './shared-libraries.ts';

const NODE = '/usr/bin/node';
const MAIN = 'src/main.ts';

/** Read by people and compilers only: source maps and type declarations are half of the modules' bytes. */
const NOT_RUN =
  /\.(map|d\.[cm]?ts|tsbuildinfo)$|(^|\/)(@types|\.bin|\.github|\.package-lock\.json|(readme|changelog|history)[^/]*\.(md|markdown))$/i;

/** What decides the base layer without building it: the program, the lockfile, the packages, these rules. */
export function operatorBaseKey(checkout: string, packages: Packages): string {
  const node = statSync(nodeProgram());
  return contentKey(
    packages.key,
    process.version,
    String(node.size),
    String(node.mtimeMs),
    modulesKey(checkout),
    String(NOT_RUN),
  );
}

/** Node, its libraries and the production modules: 9 of 10 bytes, and they rarely change. */
export function operatorBaseEntries(checkout: string, packages: Packages, report: (line: string) => void): Entry[] {
  return [
    ...rootFolder(packages.root),
    ...libraryEntries(packages.root, [nodeProgram()]),
    copiedFile(NODE.slice(1), nodeProgram()),
    ...copiedFolder(productionModules(checkout, report), 'app/node_modules', (path) => !NOT_RUN.test(path)),
  ];
}

/** The sources. `poolsmith` on the PATH is main.ts itself: its first line is made to fit an image that has no `env`. */
export function operatorSourceEntries(checkout: string): Entry[] {
  if (!existsSync(join(checkout, MAIN))) throw new Error(`while building the operator image: ${MAIN} is missing`);
  const crds = join(checkout, 'crds');
  const main = readFileSync(join(checkout, MAIN), 'utf8').replace(/^#!.*\n/, '');
  return [
    ...copiedFolder(join(checkout, 'src'), 'app/src'),
    ...(existsSync(crds) ? copiedFolder(crds, 'app/crds') : []),
    copiedFile('app/package.json', join(checkout, 'package.json')),
    textFile(`app/${MAIN}`, `#!${NODE} --disable-warning=ExperimentalWarning\n${main}`, 0o755),
    symlink('usr/bin/poolsmith', `../../app/${MAIN}`),
  ];
}

export function operatorSettings(checkout: string): ImageSettings {
  const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { version: string };
  return {
    User: NONROOT,
    Entrypoint: [NODE, '--disable-warning=ExperimentalWarning', `/app/${MAIN}`],
    Env: ['PATH=/usr/bin', 'NODE_ENV=production', 'SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt'],
    WorkingDir: '/app',
    Labels: {
      'org.opencontainers.image.title': 'poolsmith',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    },
  };
}

/** The very program that runs this build. */
function nodeProgram(): string {
  return realpathSync(process.execPath);
}

function modulesKey(checkout: string): string {
  return contentKey(readFileSync(join(checkout, 'package-lock.json')), process.version);
}

function productionModules(checkout: string, report: (line: string) => void): string {
  const folder = join(cacheFolder(), `node-modules-${modulesKey(checkout)}`);
  if (!existsSync(folder)) {
    report('installing the production modules');
    mkdirSync(cacheFolder(), { recursive: true });
    const work = mkdtempSync(join(cacheFolder(), 'modules-'));
    try {
      for (const name of ['package.json', 'package-lock.json', '.npmrc']) {
        if (existsSync(join(checkout, name))) cpSync(join(checkout, name), join(work, name));
      }
      execFileSync(
        'npm',
        ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'],
        {
          cwd: work,
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      );
      publish(work, folder);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  return join(folder, 'node_modules');
}
