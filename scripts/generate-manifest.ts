// Writes deploy/poolsmith.yaml: the chart with its default values, for `kubectl apply -f`.
import { writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { renderChart, type Rendered } from './chart.ts';

export const MANIFEST_FILE = new URL('../deploy/poolsmith.yaml', import.meta.url);

const HEAD = `# Made by scripts/generate-manifest.ts from charts/poolsmith with its default values. Do not edit.
# Install and upgrade:   kubectl apply --server-side -f deploy/poolsmith.yaml
# Remove the operator:   kubectl --namespace poolsmith-system delete deployment poolsmith   (the fleets keep serving)
# CAUTION: kubectl delete -f of this file deletes the CRD, with it every PoolConfig, and with these EVERY FLEET.
`;

const NAMESPACE: Rendered = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: {
    name: 'poolsmith-system',
    labels: {
      'app.kubernetes.io/part-of': 'poolsmith',
      'pod-security.kubernetes.io/enforce': 'restricted',
      'pod-security.kubernetes.io/warn': 'restricted',
    },
  },
};

export function renderManifest(): string {
  const objects = [NAMESPACE, ...renderChart(['--set', 'crds.keep=false']).map(withoutHelm)];
  return HEAD + objects.map((object) => `---\n${stringify(object, { lineWidth: 0, singleQuote: true })}`).join('');
}

/** Labels that say helm owns an object would make a later release take it for its own. */
function withoutHelm(object: Rendered): Rendered {
  const { labels, ...metadata } = object.metadata;
  if (labels === undefined) return object;
  const kept = Object.entries(labels).filter(
    ([key]) => key !== 'helm.sh/chart' && key !== 'app.kubernetes.io/managed-by',
  );
  return { ...object, metadata: { ...metadata, labels: Object.fromEntries(kept) } };
}

if (import.meta.filename === process.argv[1]) writeFileSync(MANIFEST_FILE, renderManifest());
