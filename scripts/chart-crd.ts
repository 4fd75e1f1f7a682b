// The chart's copy of the CRD: the file of crds/, wrapped in the conditions crds.enabled and crds.keep.
import { readFileSync } from 'node:fs';
import { CRD_FILE } from './generate-crd.ts';

export const CHART_CRD_FILE = new URL(
  '../charts/poolsmith/templates/crds/poolsmith.dev_poolconfigs.yaml',
  import.meta.url,
);

const HEAD = '# Made by scripts/generate-chart.ts from crds/poolsmith.dev_poolconfigs.yaml. Do not edit.\n';
const NAME = '\nmetadata:\n  name: poolconfigs.poolsmith.dev\n';
const KEPT = `
metadata:
  name: poolconfigs.poolsmith.dev
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
`;

export function renderChartCrd(): string {
  const crd = readFileSync(CRD_FILE, 'utf8').replace(/^#.*\n/, '');
  const parts = crd.replaceAll('{{', '{{ "{{" }}').split(NAME);
  if (parts.length !== 2) throw new Error('while wrapping the CRD: its metadata is not just its name');
  return `${HEAD}{{- if .Values.crds.enabled }}\n${parts.join(KEPT)}{{- end }}\n`;
}
