// The mirror is the machine's own, whatever form its apt sources have.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { mirrors } from '../../images/debian.ts';

describe('the Debian mirror', () => {
  let dir = '';

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'poolsmith-apt-'));
  });

  afterEach(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  function sources(files: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, name)), { recursive: true });
      writeFileSync(join(dir, name), text);
    }
  }

  const cases: readonly [string, Record<string, string>, { main: string; security: string | undefined }][] = [
    [
      'is read from deb822 sources, past disabled and foreign ones',
      {
        'sources.list.d/a.sources':
          'Types: deb\nURIs: http://other.example/debian\nSuites: bookworm\nComponents: stable\n',
        'sources.list.d/b.sources':
          'Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: x\nComponents: main\n\n' +
          'Types: deb\nURIs: http://mirror.example/debian/\nSuites: bookworm\nComponents: main contrib\n\n' +
          'Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n',
      },
      { main: 'http://mirror.example/debian/', security: 'http://mirror.example/debian-security' },
    ],
    [
      'is read from one-line sources with options',
      {
        'sources.list':
          '# deb http://commented.example/debian bookworm main\ndeb-src http://src.example/debian bookworm main\n' +
          'deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian bookworm contrib main\n',
      },
      { main: 'https://mirror.example/debian', security: undefined },
    ],
  ];
  for (const [sentence, files, expected] of cases) {
    it(sentence, () => {
      sources(files);
      assert.deepEqual(mirrors(dir, {}), expected);
    });
  }

  it('is the given one where DEBIAN_MIRROR is set', () => {
    assert.deepEqual(mirrors(dir, { DEBIAN_MIRROR: 'http://given.example/debian' }), {
      main: 'http://given.example/debian',
      security: undefined,
    });
  });

  it('is asked for by name where the machine has none', () => {
    assert.throws(() => mirrors(dir, {}), /DEBIAN_MIRROR/);
  });
});
