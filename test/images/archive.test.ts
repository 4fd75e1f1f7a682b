// Archives are a pure function of their content, and ordinary tar reads them back.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import {
  copiedFolder,
  entriesKey,
  orderedEntries,
  textFile,
  writeDockerArchive,
  writeLayer,
  type ImageSettings,
} from '../../images/archive.ts';

const SETTINGS: ImageSettings = { User: '1:1', Entrypoint: ['/x'], Env: [], WorkingDir: '/', Labels: {} };

describe('image archives', () => {
  let dir = '';

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'poolsmith-archive-'));
  });

  afterEach(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  it('have the same bytes when the same content was written at another time with another umask', () => {
    const build = (name: string, mode: number, seconds: number): Buffer => {
      const source = join(dir, name);
      mkdirSync(join(source, 'sub'), { recursive: true });
      for (const file of ['b', 'a', 'sub/c']) {
        writeFileSync(join(source, file), `content of ${file}`);
        chmodSync(join(source, file), mode);
        utimesSync(join(source, file), seconds, seconds);
      }
      symlinkSync('../a', join(source, 'sub/link'));
      const layer = writeLayer(copiedFolder(source, 'app'), join(dir, `${name}.layer`), 'test');
      writeDockerArchive(join(dir, `${name}.tar`), 'x/y:z', 'amd64', SETTINGS, [layer]);
      return readFileSync(join(dir, `${name}.tar`));
    };
    assert.ok(build('one', 0o600, 1_000).equals(build('two', 0o664, 2_000)));
  });

  it('are read back by tar with every path, text, link and executable bit, however long the names', () => {
    const segment = fc.stringMatching(/^[a-zé0-9_-]{1,60}$/);
    const path = fc.array(segment, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
    const files = fc.uniqueArray(fc.tuple(path, fc.string({ maxLength: 2000 }), fc.boolean()), {
      minLength: 1,
      maxLength: 6,
      // No file may be another one's folder.
      comparator: ([a], [b]) => a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`),
    });
    fc.assert(
      fc.property(files, fc.integer({ min: 1, max: 250 }), (wanted, targetLength) => {
        const target = 't'.repeat(targetLength);
        const entries = wanted.map(([name, text, executable]) =>
          textFile(`f/${name}`, text, executable ? 0o755 : 0o644),
        );
        const layer = writeLayer(
          [...entries, { type: 'symlink', path: 'link', mode: 0o777, target }],
          join(dir, 'layer.tar'),
          'test',
        );
        const out = mkdtempSync(join(dir, 'out-'));
        execFileSync('tar', ['-xf', layer.file, '-C', out]);
        for (const [name, text, executable] of wanted) {
          assert.equal(readFileSync(join(out, 'f', name), 'utf8'), Buffer.from(text).toString('utf8'));
          assert.equal((statSync(join(out, 'f', name)).mode & 0o111) !== 0, executable);
        }
        assert.equal(readlinkSync(join(out, 'link')), target);
      }),
      { numRuns: 25 },
    );
  });

  it('name every folder before what is in it, and let the later of two entries win', () => {
    const entries = orderedEntries([textFile('a/b/c', '1'), textFile('a-b', '2'), textFile('a/b/c', '3')]);
    assert.deepEqual(
      entries.map(({ path }) => path),
      ['a', 'a-b', 'a/b', 'a/b/c'],
    );
    assert.deepEqual(entries.at(-1), textFile('a/b/c', '3'));
  });

  it('have a content key that changes with a byte, a name or a mode', () => {
    const key = entriesKey([textFile('a', 'x')]);
    for (const other of [textFile('a', 'y'), textFile('b', 'x'), textFile('a', 'x', 0o755)])
      assert.notEqual(entriesKey([other]), key);
    assert.equal(entriesKey([textFile('a', 'x')]), key);
  });
});
