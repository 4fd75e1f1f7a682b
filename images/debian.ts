// Debian packages of a newer suite, fetched through a private apt root and unpacked side by side, never installed.
import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { contentKey } from './archive.ts';

const run = promisify(execFile);

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const SUITE = 'trixie';

/** PgBouncer's version is part of the product's claims: another one is an error, never a fallback. */
export const PGBOUNCER_VERSION = '1.26.1';
export const POSTGRES_MAJOR = '17';

/** Only the programs wanted and the libraries they load; the maintainers' scripts never run. */
const PACKAGES: readonly string[] = [
  ...['libc6', 'libgcc-s1', 'libstdc++6', 'zlib1g', 'libzstd1', 'liblz4-1', 'libssl3t64', 'libsystemd0', 'libcap2'],
  ...['libldap2', 'libsasl2-2', 'libpam0g', 'libaudit1', 'libcap-ng0', 'libcares2', 'libevent-2.1-7t64'],
  ...[
    `postgresql-${POSTGRES_MAJOR}`,
    `postgresql-client-${POSTGRES_MAJOR}`,
    'libpq5',
    'libicu76',
    'libxml2',
    'liblzma5',
  ],
  ...[
    'libselinux1',
    'libpcre2-8-0',
    'libgssapi-krb5-2',
    'libkrb5-3',
    'libk5crypto3',
    'libkrb5support0',
    'libkeyutils1',
  ],
  ...['libcom-err2', 'libreadline8t64', 'libtinfo6', 'libxxhash0', 'tzdata', 'ca-certificates', 'busybox-static'],
];

/** Where this project keeps what it downloads and builds. */
export function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'poolsmith');
}

/** Unpacked packages: `root` looks like a system's root folder; `key` names this set of packages. */
export type Packages = Readonly<{ root: string; key: string; versions: ReadonlyMap<string, string> }>;

export type Platform = Readonly<{ architecture: 'amd64' | 'arm64'; libraryFolder: string; loader: string }>;

/** Names that differ between processors. @throws where the project has no packages for this machine. */
export function platform(): Platform {
  switch (process.arch) {
    case 'x64':
      return { architecture: 'amd64', libraryFolder: 'usr/lib/x86_64-linux-gnu', loader: 'lib64/ld-linux-x86-64.so.2' };
    case 'arm64':
      return { architecture: 'arm64', libraryFolder: 'usr/lib/aarch64-linux-gnu', loader: 'lib/ld-linux-aarch64.so.1' };
    default:
      throw new Error(`while choosing packages: no images for the processor ${process.arch}`);
  }
}

/** The packages of all images, from the cache when they are there. @throws when a package or PgBouncer's version is missing. */
export async function debianPackages(report: (line: string) => void = () => undefined): Promise<Packages> {
  const key = contentKey(SUITE, PGBOUNCER_VERSION, platform().architecture, ...PACKAGES);
  const folder = join(cacheFolder(), `debs-${SUITE}-${key}`);
  const root = join(folder, 'root');
  if (!existsSync(folder)) {
    report(`fetching ${PACKAGES.length + 1} Debian packages of ${SUITE} into ${folder}`);
    mkdirSync(cacheFolder(), { recursive: true });
    const work = mkdtempSync(join(cacheFolder(), 'fetch-'));
    try {
      await fetchInto(work);
      rmSync(join(work, 'apt'), { recursive: true });
      publish(work, folder);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  const versions = JSON.parse(readFileSync(join(folder, 'versions.json'), 'utf8')) as Record<string, string>;
  return { root, key, versions: new Map(Object.entries(versions)) };
}

/** Renames a finished folder into place; when another run was faster, its folder stays. */
export function publish(work: string, folder: string): void {
  try {
    renameSync(work, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  }
}

async function fetchInto(work: string): Promise<void> {
  const apt = join(work, 'apt');
  const environment = await writeAptRoot(apt);
  const call = async (program: string, ...args: string[]): Promise<string> =>
    (await run(program, args, { env: environment, cwd: apt, maxBuffer: 64 * 1024 * 1024 })).stdout;

  await call('apt-get', '-q', 'update', '--error-on=any');
  const offered = (await call('apt-cache', 'madison', 'pgbouncer'))
    .split('\n')
    .map((line) => line.split('|')[1]?.trim() ?? '');
  const pgbouncer = offered.find((version) => version.startsWith(`${PGBOUNCER_VERSION}-`));
  if (pgbouncer === undefined) {
    const others = [...new Set(offered.filter((version) => version !== ''))].join(', ');
    throw new Error(
      `while fetching PgBouncer: version ${PGBOUNCER_VERSION} is needed, Debian's archive offers ${others === '' ? 'none' : others}`,
    );
  }
  await call('apt-get', '-q', 'download', `pgbouncer=${pgbouncer}`, ...PACKAGES);

  const root = join(work, 'root');
  mkdirSync(root);
  const versions: Record<string, string> = {};
  for (const deb of readdirSync(apt)
    .filter((name) => name.endsWith('.deb'))
    .sort()) {
    const [name = deb, version = ''] = deb.split('_');
    versions[name] = decodeURIComponent(version);
    // -x keeps the symlinks of earlier packages (/lib → usr/lib) only from a tar that says so.
    const files = run('dpkg-deb', ['--fsys-tarfile', join(apt, deb)], {
      encoding: 'buffer',
      maxBuffer: 1024 * 1024 * 1024,
    });
    const unpack = run('tar', ['-x', '--keep-directory-symlink', '--no-same-owner', '-C', root]);
    unpack.child.stdin?.end((await files).stdout);
    await unpack;
  }
  writeFileSync(join(work, 'versions.json'), JSON.stringify(versions, undefined, 2));
}

/** An apt configuration of its own that keeps only how the machine reaches its mirrors: proxies, certificates, how old lists may be. */
async function writeAptRoot(apt: string): Promise<NodeJS.ProcessEnv> {
  if (!existsSync(KEYRING))
    throw new Error(`while preparing apt: ${KEYRING} is missing (package debian-archive-keyring)`);
  for (const folder of ['lists/partial', 'archives/partial', 'parts', 'preferences.d'])
    mkdirSync(join(apt, folder), { recursive: true });
  writeFileSync(join(apt, 'status'), '');
  const { main, security } = mirrors();
  const line = (address: string, suite: string): string => `deb [signed-by=${KEYRING}] ${address} ${suite} main\n`;
  writeFileSync(
    join(apt, 'sources.list'),
    line(main, SUITE) + line(main, 'sid') + (security === undefined ? '' : line(security, `${SUITE}-security`)),
  );
  writeFileSync(join(apt, 'preferences'), 'Package: *\nPin: release a=unstable\nPin-Priority: 1\n');

  const dump = (await run('apt-config', ['dump'])).stdout.split('\n');
  const acquire = dump.filter((text) =>
    /^Acquire::(https?|ftp|Check-Valid-Until|Check-Date|Max-ValidTime)\b/.test(text),
  );
  const settings = {
    'Dir::Etc::main': '/dev/null',
    'Dir::Etc::parts': join(apt, 'parts'),
    'Dir::Etc::sourcelist': join(apt, 'sources.list'),
    'Dir::Etc::sourceparts': join(apt, 'parts'),
    'Dir::Etc::preferences': join(apt, 'preferences'),
    'Dir::Etc::preferencesparts': join(apt, 'preferences.d'),
    'Dir::State': apt,
    'Dir::State::lists': join(apt, 'lists'),
    'Dir::State::status': join(apt, 'status'),
    'Dir::Cache': apt,
    'Dir::Cache::archives': join(apt, 'archives'),
    'APT::Architecture': platform().architecture,
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'Acquire::AllowInsecureRepositories': 'false',
    'APT::Get::AllowUnauthenticated': 'false',
  };
  const config = Object.entries(settings).map(([name, value]) => `${name} "${value}";`);
  writeFileSync(join(apt, 'apt.conf'), [...acquire, ...config, ''].join('\n'));
  return { ...process.env, APT_CONFIG: join(apt, 'apt.conf'), LC_ALL: 'C' };
}

/** The mirrors this machine itself uses, or DEBIAN_MIRROR; `security` where it is known. */
export function mirrors(
  etcApt = '/etc/apt',
  environment: NodeJS.ProcessEnv = process.env,
): { main: string; security: string | undefined } {
  const given = environment['DEBIAN_MIRROR'];
  if (given !== undefined) return { main: given, security: environment['DEBIAN_SECURITY_MIRROR'] };
  const addresses = sourceFiles(etcApt).flatMap(({ name, text }) =>
    name.endsWith('.sources') ? deb822(text) : oneLine(text),
  );
  const main = addresses.find((address) => /\/debian(\.list)?\/?$/.test(address));
  if (main === undefined) {
    throw new Error(`while looking for a Debian mirror: none in ${etcApt}; name one in DEBIAN_MIRROR`);
  }
  return { main, security: addresses.find((address) => /\/debian-security(\.list)?\/?$/.test(address)) };
}

function sourceFiles(etcApt: string): { name: string; text: string }[] {
  const parts = join(etcApt, 'sources.list.d');
  const names = existsSync(parts)
    ? readdirSync(parts)
        .sort()
        .map((name) => join(parts, name))
    : [];
  return [join(etcApt, 'sources.list'), ...names]
    .filter((name) => existsSync(name) && /\.(list|sources)$/.test(name))
    .map((name) => ({ name, text: readFileSync(name, 'utf8') }));
}

function deb822(text: string): string[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string): string => new RegExp(`^${name}:(.*)$`, 'im').exec(stanza)?.[1]?.trim() ?? '';
    const usable = field('Enabled').toLowerCase() !== 'no' && field('Components').split(/\s+/).includes('main');
    return usable ? field('URIs').split(/\s+/) : [];
  });
}

function oneLine(text: string): string[] {
  return [...text.matchAll(/^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+\S+\s+(?:.*\s)?main\b/gm)].map(
    (match) => match[1] ?? '',
  );
}
