// The parts that every image shares: merged /usr, an unprivileged user, name service, certificates, a /tmp.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { folder, symlink, textFile, type Entry } from './archive.ts';
import { platform } from './debian.ts';

export const NONROOT_ID = 65532;

export const NONROOT = `${NONROOT_ID}:${NONROOT_ID}`;

/** Everything but the program; `shell` is the login shell named for the unprivileged user. */
export function rootFolder(packages: string, shell = '/sbin/nologin'): Entry[] {
  const { loader } = platform();
  const [loaderFolder = '', loaderName = ''] = loader.split('/');
  return [
    ...['bin', 'lib', 'lib64', 'sbin'].flatMap((name) => [folder(`usr/${name}`), symlink(name, `usr/${name}`)]),
    ...(loaderFolder === 'lib64'
      ? [symlink(`usr/lib64/${loaderName}`, `../${platform().libraryFolder.slice('usr/'.length)}/${loaderName}`)]
      : []),
    ...(loaderFolder === 'lib'
      ? [symlink(`usr/lib/${loaderName}`, `${platform().libraryFolder.slice('usr/lib/'.length)}/${loaderName}`)]
      : []),
    textFile(
      'etc/passwd',
      `root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:${NONROOT}:nonroot:/home/nonroot:${shell}\n`,
    ),
    textFile('etc/group', `root:x:0:\nnonroot:x:${NONROOT_ID}:\n`),
    textFile('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
    textFile('etc/ssl/certs/ca-certificates.crt', certificates(packages)),
    folder('home/nonroot'),
    folder('root', 0o700),
    folder('tmp', 0o1777),
    ...['dev', 'proc', 'run', 'sys', 'var/run', 'var/tmp'].map((name) => folder(name)),
  ];
}

/** What Debian's update-ca-certificates would write, without running it. */
function certificates(packages: string): string {
  const source = join(packages, 'usr/share/ca-certificates/mozilla');
  return readdirSync(source)
    .filter((name) => name.endsWith('.crt'))
    .sort()
    .map((name) => `${readFileSync(join(source, name), 'utf8').trimEnd()}\n`)
    .join('');
}
