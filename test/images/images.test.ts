// The three images, unpacked: programs start with nothing but the image's own files, and there is no shell where none belongs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildImage, type ImageName, type Place } from '../../images/build.ts';
import { PGBOUNCER_VERSION } from '../../images/debian.ts';

const CHECKOUT = join(import.meta.dirname, '../..');
const NAMING = { repo: 'poolsmith', tag: undefined };

type Manifest = readonly Readonly<{ Config: string; RepoTags: readonly string[]; Layers: readonly string[] }>[];
type Config = Readonly<{
  config: Readonly<{ User: string; Entrypoint: readonly string[]; Labels: Record<string, string> }>;
}>;

describe('images', function () {
  this.timeout(180_000);
  let dir = '';
  let place: Place;

  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'poolsmith-images-'));
    place = { checkout: join(dir, 'checkout'), output: join(dir, 'output') };
    mkdirSync(join(place.checkout, 'src'), { recursive: true });
    for (const name of ['package.json', 'package-lock.json', '.npmrc'])
      cpSync(join(CHECKOUT, name), join(place.checkout, name));
    writeMain('first');
  });

  after(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  function writeMain(word: string): void {
    const imports = "import '@kubernetes/client-node';\nimport 'pg';\nimport 'winston';\n";
    writeFileSync(
      join(place.checkout, 'src/main.ts'),
      `#!/usr/bin/env node\n${imports}console.log('${word}', ...process.argv.slice(2));\n`,
    );
  }

  async function unpack(name: ImageName): Promise<{ root: string; config: Config['config']; tags: readonly string[] }> {
    const { file } = await buildImage(name, NAMING, undefined, place);
    const outside = mkdtempSync(join(dir, `${name}-archive-`));
    const root = mkdtempSync(join(dir, `${name}-root-`));
    execFileSync('tar', ['-xf', file, '-C', outside]);
    const [image] = JSON.parse(readFileSync(join(outside, 'manifest.json'), 'utf8')) as Manifest;
    assert.ok(image);
    for (const layer of image.Layers) execFileSync('tar', ['-xf', join(outside, layer), '-C', root, '--no-same-owner']);
    const { config } = JSON.parse(readFileSync(join(outside, image.Config), 'utf8')) as Config;
    return { root, config, tags: image.RepoTags };
  }

  function inside(root: string, ...command: string[]): string {
    const asRoot = process.getuid?.() === 0 ? [] : ['unshare', '--user', '--map-root-user'];
    const [program = '', ...args] = [...asRoot, 'chroot', root, ...command];
    return execFileSync(program, args, { encoding: 'utf8', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
  }

  function shells(root: string): string[] {
    return ['sh', 'bash', 'dash', 'busybox'].filter((name) =>
      ['bin', 'usr/bin', 'usr/local/bin'].some((at) => existsSync(join(root, at, name))),
    );
  }

  it('start PgBouncer 1.26.1 without a shell, as an unprivileged user', async () => {
    const { root, config, tags } = await unpack('pgbouncer');
    assert.match(inside(root, '/usr/bin/pgbouncer', '--version'), new RegExp(`^PgBouncer ${PGBOUNCER_VERSION}\n`));
    assert.deepEqual(shells(root), []);
    assert.deepEqual(tags, [`poolsmith/pgbouncer:${PGBOUNCER_VERSION}`]);
    assert.deepEqual(config.Entrypoint, ['/usr/bin/pgbouncer']);
    assert.equal(config.User, '65532:65532');
    assert.equal(config.Labels['org.opencontainers.image.version'], PGBOUNCER_VERSION);
    assert.match(readFileSync(join(root, 'etc/ssl/certs/ca-certificates.crt'), 'utf8'), /BEGIN CERTIFICATE/);
  });

  it('start PostgreSQL and psql, with the shell that initdb needs', async () => {
    const { root, config } = await unpack('postgres');
    assert.match(inside(root, '/usr/lib/postgresql/17/bin/postgres', '--version'), /^postgres \(PostgreSQL\) 17\./);
    assert.match(inside(root, '/bin/sh', '-c', '/usr/lib/postgresql/17/bin/psql --version'), /^psql/);
    assert.equal(config.User, '65532:65532');
  });

  it('start the operator by its entry point and as `poolsmith`, without a shell', async () => {
    const { root, config } = await unpack('operator');
    assert.deepEqual(shells(root), []);
    assert.equal(inside(root, ...config.Entrypoint, 'run'), 'first run\n');
    assert.equal(inside(root, '/usr/bin/poolsmith', 'explain', 'x'), 'first explain x\n');
  });

  it('are left alone while nothing changed, and follow a change of the sources', async () => {
    const before = await buildImage('operator', NAMING, undefined, place);
    assert.equal((await buildImage('operator', NAMING, undefined, place)).current, true);
    writeMain('second');
    const started = performance.now();
    const after = await buildImage('operator', NAMING, undefined, place);
    assert.equal(after.current, false);
    assert.ok(performance.now() - started < 30_000, 'a source change must not rebuild the base layer');
    assert.equal(after.file, before.file);
    const { root } = await unpack('operator');
    assert.equal(inside(root, '/usr/bin/poolsmith'), 'second\n');
  });

  it('get another name from --repo and --tag, which makes another archive', async () => {
    const renamed = await buildImage('pgbouncer', { repo: 'registry.example/team', tag: 't1' }, undefined, place);
    assert.equal(renamed.reference, 'registry.example/team/pgbouncer:t1');
    assert.equal(renamed.current, false);
  });
});
