// The committed files that scripts make for the chart are what the scripts would make now.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import { parseObjects, renderChart } from '../../scripts/chart.ts';
import { CHART_CRD_FILE, renderChartCrd } from '../../scripts/chart-crd.ts';
import { README_FILE, renderReadme } from '../../scripts/chart-values.ts';
import { CRD_FILE } from '../../scripts/generate-crd.ts';
import { MANIFEST_FILE, renderManifest } from '../../scripts/generate-manifest.ts';
import { requireBytes } from '../../scripts/helm.ts';
import { withSection } from '../../scripts/marked-section.ts';
import { RBAC_FILE, renderRbac } from '../../scripts/permissions.ts';

const CURRENT: readonly (readonly [what: string, file: URL, render: () => string, command: string])[] = [
  ["the chart's CRD", CHART_CRD_FILE, renderChartCrd, 'generate-chart'],
  ['the table of values', README_FILE, renderReadme, 'generate-chart'],
  ['the tables of rights', RBAC_FILE, renderRbac, 'generate-chart'],
  ['deploy/poolsmith.yaml', MANIFEST_FILE, renderManifest, 'generate-manifest'],
];

describe('the generated files of the chart', () => {
  for (const [what, file, render, command] of CURRENT) {
    it(`include ${what} in its present form`, () => {
      assert.ok(readFileSync(file, 'utf8') === render(), `it is out of date: run node scripts/${command}.ts`);
    });
  }

  it('bring the CRD to the cluster exactly as it is in crds/', () => {
    const source: unknown = parse(readFileSync(CRD_FILE, 'utf8'));
    const [rendered] = renderChart([
      '--set',
      'crds.keep=false',
      '--show-only',
      'templates/crds/poolsmith.dev_poolconfigs.yaml',
    ]);
    // Not deepEqual: its message would print both.
    assert.ok(isDeepStrictEqual(rendered, source), 'the rendered CRD differs: run node scripts/generate-chart.ts');
  });

  it('let the plain manifest stand alone: its namespace first, no mark of helm', () => {
    const objects = parseObjects(readFileSync(MANIFEST_FILE, 'utf8'));
    assert.equal(objects[0]?.kind, 'Namespace');
    const own = objects[0].metadata.name;
    assert.equal(objects[0].metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted');
    for (const { kind, metadata } of objects) {
      assert.ok([undefined, own].includes(metadata.namespace), kind);
      assert.doesNotMatch(JSON.stringify(metadata), /helm/i);
    }
    assert.equal(objects.length, renderChart().length + 1);
  });
});

describe('a generated section', () => {
  const document = 'a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n';

  it('takes the place of its former content and of nothing else', () => {
    const once = withSection(document, 'x', 'new\n');
    assert.equal(once, 'a\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\nb\n');
    assert.equal(withSection(once, 'x', 'new\n'), once);
  });

  it('must be there, and once', () => {
    assert.throws(() => withSection(document, 'y', ''), /the section y/);
    assert.throws(() => withSection(document + document, 'x', ''), /the section x/);
  });
});

describe('the helm program', () => {
  it('is refused when its bytes are not the known ones', () => {
    const folder = mkdtempSync(join(tmpdir(), 'poolsmith-helm-'));
    try {
      const file = join(folder, 'helm');
      writeFileSync(file, 'abc');
      // FIPS 180-2, appendix B.1
      const sha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
      requireBytes(file, sha256);
      writeFileSync(file, 'abd');
      assert.throws(() => {
        requireBytes(file, sha256);
      }, /its sha256 is/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
