// What the documents say can be followed: links lead somewhere, commands exist, and nothing in them belongs to one machine.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { REASONS } from '../../src/api/reasons.ts';

const ROOT = join(import.meta.dirname, '../..');
const DOCUMENTS = [...globSync(['*.md', '{charts,demo,docs,examples,src,test}/**/*.md'], { cwd: ROOT })].sort();
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** As GitHub makes them: lower case, blanks to dashes, punctuation left out. */
function anchorsOf(markdown: string): ReadonlySet<string> {
  const headings = [...prose(markdown).matchAll(/^#{1,6} +(.+)$/gm)].map(([, text = '']) => text);
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** Without fenced blocks, where a bracket or a # means something else. */
function prose(markdown: string): string {
  return markdown.replaceAll(/^```[\s\S]*?^```$/gm, '');
}

function fenced(markdown: string): string {
  return [...markdown.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text).join('\n');
}

function linksOf(markdown: string): readonly string[] {
  return [...prose(markdown).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}

/** Code as a reader may copy it: fenced blocks and `code`. */
function code(markdown: string): string {
  const inline = [...prose(markdown).matchAll(/`([^`\n]+)`/g)].map(([, text = '']) => text);
  return [fenced(markdown), ...inline].join('\n');
}

describe('the documents', () => {
  it('are there', () => {
    for (const file of ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/README.md', 'examples/README.md'])
      assert.ok(DOCUMENTS.includes(file), file);
  });

  for (const file of DOCUMENTS) {
    it(`${file} links only to what exists`, () => {
      const broken = linksOf(read(file))
        .filter((target) => !/^[a-z]+:/.test(target))
        .filter((target) => {
          const [path = '', anchor] = target.split('#');
          const found = path === '' ? file : join(dirname(file), path);
          if (!existsSync(join(ROOT, found))) return true;
          return anchor !== undefined && !anchorsOf(read(found)).has(anchor);
        });
      assert.deepEqual(broken, []);
    });

    it(`${file} names only files that exist`, () => {
      const named = [
        ...prose(read(file)).matchAll(
          /`((?:src|test|scripts|docs|charts|demo|images|bench|crds|deploy|examples|\.ci)\/[^`\s*<:]*)`/g,
        ),
      ];
      const missing = named
        .map(([, path = '']) => path)
        .filter((path) => !path.startsWith('build/'))
        .filter((path) => !existsSync(join(ROOT, path)));
      assert.deepEqual(missing, []);
    });

    it(`${file} shows only commands that exist`, () => {
      const targets = new Set([...read('Makefile').matchAll(/^([a-z-]+):/gm)].map(([, name = '']) => name));
      const usage = read('src/main.ts');
      const shown = code(read(file));
      for (const [, words = ''] of shown.matchAll(/^make((?: +[a-z][a-z-]*)+)/gm)) {
        for (const target of words.trim().split(/ +/)) assert.ok(targets.has(target), `make ${target}`);
      }
      for (const [, command = ''] of shown.matchAll(/(?:^|-- )poolsmith ([a-z]+)/gm))
        assert.ok(usage.includes(`poolsmith ${command}`) || usage.includes(`| ${command}`), `poolsmith ${command}`);
      for (const [, command = ''] of shown.matchAll(/node (?:--inspect )?src\/main\.ts ([a-z]+)/g))
        assert.ok(usage.includes(`poolsmith ${command} `), `src/main.ts ${command}`);
      for (const [, script = ''] of shown.matchAll(/node ((?:src|test|scripts|images|demo|bench)\/[\w./-]+\.ts)/g))
        assert.ok(existsSync(join(ROOT, script)), script);
      for (const [, option = ''] of shown.matchAll(/src\/main\.ts operator[^\n]* --([a-z-]+)/g))
        assert.ok(usage.includes(`--${option}`), option);
    });

    it(`${file} names no folder of one machine and no package registry`, () => {
      const text = read(file);
      assert.doesNotMatch(text, /(^|[\s`("'=])\/(work|root|home|Users|farm)\//m);
      assert.doesNotMatch(text, /registry\.npmjs|proxy\.golang|deb\.debian\.org|artifactory|nexus/i);
    });
  }

  it('have every decision in the index, under its number and its title', () => {
    const index = read('docs/README.md');
    const pages = globSync('docs/adr/*.md', { cwd: ROOT }).sort();
    pages.forEach((page, position) => {
      const [, name = '', number = ''] = /(([0-9]{4})-[a-z0-9-]+\.md)$/.exec(page) ?? [];
      assert.equal(Number(number), position + 1, page);
      const text = read(page);
      const title = /^# [0-9]{4} (.+)$/m.exec(text)?.[1] ?? '';
      assert.ok(text.startsWith(`# ${number} `), page);
      assert.ok(index.includes(`[${number}](adr/${name}) | ${title} |`), page);
      for (const part of ['Status: ', '## Context', '## Decision', '## Consequences'])
        assert.ok(text.includes(part), `${page}: ${part}`);
    });
  });

  it('speak only of reasons that there are', () => {
    const table = read('docs/operations.md').split('| Reason | First look |')[1]?.split('\n\n')[0] ?? '';
    const named = [...table.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`(\w+)`/g)].map(([, word = '']) => word),
    );
    assert.ok(named.length > 10);
    assert.deepEqual(
      named.filter((word) => word !== 'Stalled' && !Object.hasOwn(REASONS, word)),
      [],
    );
  });

  it('have examples that the index explains', () => {
    const index = read('examples/README.md');
    for (const file of globSync('*.yaml', { cwd: join(ROOT, 'examples') }))
      assert.ok(index.includes(`(${file})`), file);
    assert.ok(statSync(join(ROOT, 'LICENSE')).size > 10_000);
  });
});
