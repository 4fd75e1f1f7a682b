// One scenario as a picture: backends stacked by pod against the budget, throughput and latency below, on one axis of time.
import * as echarts from 'echarts';
import { percentile } from './figures.ts';
import { budgetAt, totalOf, type Attempt, type Mark, type PodLife, type Recording, type Sample } from './recording.ts';

export const WIDTH = 1080;
export const HEIGHT = 560;

const SAMPLE_BIN_MS = 150;
const LOAD_BIN_MS = 1_000;
const POD_COLOURS = [
  '#4e79a7',
  '#76b7b2',
  '#59a14f',
  '#edc948',
  '#b07aa1',
  '#9c755f',
  '#8c6bb1',
  '#8cd17d',
  '#d4a6c8',
  '#f1ce63',
];
const MARK_COLOURS: Readonly<Record<Mark['kind'], string>> = {
  operation: '#1b6ac9',
  fault: '#c2185b',
  note: '#777777',
};
const OTHERS = 'others';

/** The recording as SVG text. Pure: the same recording gives the same picture. */
export function timelineChart(recording: Recording): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  chart.setOption(optionOf(recording));
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

type Point = readonly [atSeconds: number, value: number];

function optionOf(recording: Recording): echarts.EChartsOption {
  const { window, samples, attempts, pods, marks, budget } = recording;
  const shown = samples.filter(({ atMs }) => atMs >= window.beforeMs && atMs <= window.endMs);
  const highest = peaksOf(shown, window.beforeMs);
  const at = (ms: number): number => Number(((ms - window.operationMs) / 1000).toFixed(2));
  const range = { min: at(window.beforeMs), max: at(window.endMs) };
  const lines = marks.map((mark, index) => ({
    xAxis: at(mark.atMs),
    lineStyle: {
      color: MARK_COLOURS[mark.kind],
      type: mark.kind === 'note' ? ('dotted' as const) : ('solid' as const),
    },
    // Marks that follow each other closely must not write over each other.
    label: { formatter: mark.text, color: MARK_COLOURS[mark.kind], fontSize: 11, distance: 3 + 12 * (index % 2) },
  }));
  const budgetLine: Point[] = highest.map(({ atMs }) => [at(atMs), budgetAt(budget, atMs)]);
  return {
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: 'system-ui, sans-serif' },
    legend: { icon: 'rect', top: 0, left: 60, itemWidth: 14, itemHeight: 9, textStyle: { fontSize: 11 } },
    grid: [
      { left: 60, right: 30, top: 78, height: 210 },
      { left: 60, right: 30, top: 318, height: 80 },
      { left: 60, right: 30, top: 428, height: 80 },
    ],
    xAxis: [0, 1, 2].map((gridIndex) => ({
      ...{ type: 'value' as const, gridIndex, ...range, splitLine: { show: false } },
      ...(gridIndex === 2 ? { name: 'seconds since the operation', nameLocation: 'middle' as const, nameGap: 24 } : {}),
      axisLabel: { showMinLabel: false, showMaxLabel: false },
    })),
    yAxis: ['backends', 'transactions/s', 'ms added'].map((name, gridIndex) => ({
      ...{
        type: 'value' as const,
        gridIndex,
        name,
        nameTextStyle: { fontSize: 11, align: 'left' as const },
        nameGap: gridIndex === 0 ? 28 : 6,
      },
      ...{ min: 0, splitNumber: gridIndex === 0 ? 5 : 2, axisLine: { show: true, onZero: false } },
    })),
    series: [
      ...stackOf(highest, pods, at),
      {
        ...{ name: 'budget', type: 'line', step: 'end', symbol: 'none', data: budgetLine as unknown as number[][] },
        ...{ lineStyle: { color: '#d62728', width: 2, type: 'dashed' }, itemStyle: { color: '#d62728' }, z: 5 },
        markLine: { symbol: 'none', silent: true, data: lines, label: { position: 'end' } },
      },
      ...loadSeries(attempts, window, at),
    ],
  };
}

/** The highest sample of each bin, whole: pods' peaks of different moments must not be stacked on each other. */
export function peaksOf(samples: readonly Sample[], fromMs: number): readonly Sample[] {
  const bins = new Map<number, Sample>();
  for (const sample of samples) {
    const bin = Math.floor((sample.atMs - fromMs) / SAMPLE_BIN_MS);
    const known = bins.get(bin);
    if (known === undefined || totalOf(sample) > totalOf(known)) bins.set(bin, sample);
  }
  return [...bins.values()];
}

function stackOf(
  samples: readonly Sample[],
  pods: readonly PodLife[],
  at: (ms: number) => number,
): echarts.SeriesOption[] {
  const seen = [...pods].filter(({ address }) => address !== undefined).sort((a, b) => a.seenMs - b.seenMs);
  // An address may be given again to a later pod; names are long, and end differently.
  const named = new Map(seen.map(({ address, name }) => [address ?? '', `pod ${name.split('-').at(-1) ?? name}`]));
  const areas = [...named, ['', OTHERS] as const];
  return areas.flatMap(([address, name], index): echarts.SeriesOption[] => {
    const countOf = ({ byAddress }: Sample): number =>
      name === OTHERS
        ? Object.entries(byAddress).reduce((sum, [from, count]) => sum + (named.has(from) ? 0 : count), 0)
        : (byAddress[address] ?? 0);
    if (!samples.some((sample) => countOf(sample) > 0)) return [];
    const color = name === OTHERS ? '#444444' : (POD_COLOURS[index % POD_COLOURS.length] ?? '#4e79a7');
    return [
      {
        ...{ name, type: 'line', stack: 'backends', step: 'end', symbol: 'none', lineStyle: { width: 0 } },
        ...{ areaStyle: { color, opacity: 0.85 }, itemStyle: { color } },
        data: samples.map((sample) => [at(sample.atMs), countOf(sample)]),
      },
    ];
  });
}

function loadSeries(
  attempts: readonly Attempt[],
  { beforeMs, endMs }: Recording['window'],
  at: (ms: number) => number,
): echarts.SeriesOption[] {
  const bins = Array.from({ length: Math.ceil((endMs - beforeMs) / LOAD_BIN_MS) }, (_, bin) => {
    const fromMs = beforeMs + bin * LOAD_BIN_MS;
    const lengthMs = Math.min(LOAD_BIN_MS, endMs - fromMs);
    const inside = attempts.filter(({ endedMs }) => endedMs >= fromMs && endedMs < fromMs + lengthMs);
    const count = (outcome: Attempt['outcome']): number => inside.filter((one) => one.outcome === outcome).length;
    const added = inside.filter(({ outcome }) => outcome === 'done').map(({ addedMs }) => addedMs);
    const rate = Math.round((count('done') * 1000) / lengthMs);
    return { x: at(fromMs), rate, failed: count('failed'), p50: percentile(added, 0.5), p99: percentile(added, 0.99) };
  });
  const line = (name: string, axis: number, color: string, value: (bin: (typeof bins)[number]) => number) => ({
    ...{ name, type: 'line' as const, step: 'end' as const, symbol: 'none', xAxisIndex: axis, yAxisIndex: axis },
    ...{ lineStyle: { color, width: 1.5 }, itemStyle: { color } },
    data: bins.map((bin) => [bin.x, Math.round(value(bin))]),
  });
  const failures = bins.filter(({ failed }) => failed > 0);
  return [
    line('transactions/s', 1, '#2f7d32', ({ rate }) => rate),
    {
      ...{
        name: 'failed',
        type: 'scatter',
        xAxisIndex: 1,
        yAxisIndex: 1,
        symbolSize: 8,
        itemStyle: { color: '#d62728' },
      },
      data: failures.map(({ x, failed }) => [x, failed]),
    },
    line('p50', 2, '#9467bd', ({ p50 }) => p50),
    line('p99', 2, '#ff7f0e', ({ p99 }) => p99),
  ];
}
