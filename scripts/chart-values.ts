// The table of the chart's values, from the `# --` comments of values.yaml.
import { readFileSync } from 'node:fs';
import { isMap, isScalar, parseDocument, type Node, type Pair, type YAMLMap } from 'yaml';
import { markdownTable, withSection } from './marked-section.ts';

export const README_FILE = new URL('../charts/poolsmith/README.md', import.meta.url);
const VALUES_FILE = new URL('../charts/poolsmith/values.yaml', import.meta.url);

export type ChartValue = { readonly key: string; readonly default: string; readonly what: string };

/** A commented key is one value, whatever is inside; a key without a comment only groups others. Throws at a leaf without one. */
export function readChartValues(text = readFileSync(VALUES_FILE, 'utf8')): readonly ChartValue[] {
  const { contents } = parseDocument(text);
  if (!isMap(contents)) throw new Error('while reading the values: the file is not a map');
  return inMap(contents as YAMLMap<Node, Node>, '');
}

function inMap(map: YAMLMap<Node, Node>, prefix: string): readonly ChartValue[] {
  return map.items.flatMap((pair, index) => {
    const key = `${prefix}${String(pair.key)}`;
    const what = description(pair, index === 0 ? map : undefined);
    if (what !== undefined) return [{ key, default: JSON.stringify(pair.value), what }];
    if (isMap(pair.value)) return inMap(pair.value as YAMLMap<Node, Node>, `${key}.`);
    throw new Error(`while reading the values: ${key} has no line "# -- …" above it`);
  });
}

/** The comment above a map's first key belongs to the map, as the parser sees it. */
function description(pair: Pair<Node, Node>, map: YAMLMap | undefined): string | undefined {
  const comment = (isScalar(pair.key) ? pair.key.commentBefore : undefined) ?? map?.commentBefore ?? '';
  const lines = comment.split('\n').map((line) => line.trim());
  const start = lines.findLastIndex((line) => line.startsWith('-- '));
  return start === -1 ? undefined : lines.slice(start).join(' ').slice(3);
}

/** The chart's README with the table in it. */
export function renderReadme(): string {
  const rows = readChartValues().map((value) => [`\`${value.key}\``, `\`${value.default}\``, value.what]);
  return withSection(
    readFileSync(README_FILE, 'utf8'),
    'values',
    markdownTable(['Key', 'Default', 'What it is'], rows),
  );
}
