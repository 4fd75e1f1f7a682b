// The chart as seen from scripts and tests: where it is, and what it renders.
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { runHelm, type HelmRun } from './helm.ts';

export const CHART_FOLDER = fileURLToPath(new URL('../charts/poolsmith', import.meta.url));

/** Helm 3.10 believes that it talks to Kubernetes 1.25, which the chart refuses. */
const KUBE_VERSION = '1.34.0';

export type Rendered = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
};

/** `helm template` as the release poolsmith in poolsmith-system, which its flags may change. */
export function templateChart(flags: readonly string[] = []): HelmRun {
  const release = ['template', 'poolsmith', CHART_FOLDER, '--namespace', 'poolsmith-system'];
  return runHelm([...release, '--kube-version', KUBE_VERSION, ...flags]);
}

/** The objects of the chart; throws what helm says when it refuses. */
export function renderChart(flags: readonly string[] = []): readonly Rendered[] {
  const { status, stdout, stderr } = templateChart(flags);
  if (status !== 0) throw new Error(`while rendering the chart: ${stderr.trim()}`);
  return parseObjects(stdout);
}

/** The objects in a stream of YAML documents; throws at a doubled key or other broken YAML. */
export function parseObjects(text: string): readonly Rendered[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const object = document.toJS() as Rendered | null;
    return object === null ? [] : [object];
  });
}
