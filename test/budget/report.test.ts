// The page: one file that needs no other, with a picture per scenario, whatever texts come in.
import assert from 'node:assert/strict';
import { exampleRecording, samplesOf, START_MS } from './example-recording.ts';
import { figuresOf } from './figures.ts';
import { judge } from './judgement.ts';
import type { Recording } from './recording.ts';
import { renderReport, type ReportRow } from './report.ts';
import { peaksOf, timelineChart } from './timeline-chart.ts';

function rowOf(recording: Recording): ReportRow {
  const figures = figuresOf(recording);
  return { recording, figures, judgement: judge(figures, recording) };
}

function page(...recordings: readonly Recording[]): string {
  return renderReport({
    title: 'Budget',
    intro: 'How it went.',
    facts: ['two processors'],
    rows: recordings.map(rowOf),
  });
}

describe('the report', () => {
  it('has a row and a picture for each scenario, and says how many passed', () => {
    const html = page(
      exampleRecording({ name: 'one', what: 'the first' }),
      exampleRecording({ name: 'two', what: 'the second', audit: { acknowledged: 9, lost: 3, double: 0, unknown: 0 } }),
    );
    assert.equal(html.match(/<svg /g)?.length, 2);
    assert.match(html, /1 of 2 passed/);
    assert.match(html, /<a href="#two">the second<\/a>/);
    assert.match(html, /3 acknowledged transactions are lost/);
  });

  it('refers to nothing outside of itself', () => {
    const html = page(exampleRecording());
    assert.doesNotMatch(html, /<script|<link|<img|url\((?!#)|@import/);
    const addresses = html.match(/(href|src)="[^"]*"/g) ?? [];
    assert.deepEqual(
      addresses.filter((one) => !one.startsWith('href="#')),
      [],
    );
  });

  it('shows errors and texts as texts', () => {
    const html = page(exampleRecording({ errors: { '<script>alert(1)</script> & "more"': 2 } }));
    assert.match(html, /2 × &#60;script&#62;alert\(1\)&#60;\/script&#62; &#38; &#34;more&#34;/);
  });

  it('tells in one line what the operator did again and again', () => {
    const operatorActions = [100, 200, 300].map((at) => ({ atMs: START_MS + 5_000 + at * 10, text: 'load live.ini' }));
    const html = page(exampleRecording({ operatorActions }));
    assert.match(html, /1\.0 s {2}load live\.ini \(3 times, until 3\.0 s\)/);
    assert.equal(html.match(/load live\.ini/g)?.length, 1);
  });

  it('is the same for the same recordings', () => {
    const withoutCounters = (html: string): string => html.replaceAll(/zr\d*-[a-z]+-?\d+/g, 'zr');
    assert.equal(withoutCounters(page(exampleRecording())), withoutCounters(page(exampleRecording())));
  });
});

describe('the picture of a scenario', () => {
  it('names pods, budget, what was done and the axes', () => {
    const svg = timelineChart(
      exampleRecording({
        pods: ['orders-pooler-1234-abcde', 'orders-pooler-1234-fghij'].map((name, index) => ({
          ...{ name, address: `10.0.0.${index + 1}`, seenMs: 0, readyMs: 0, leavingMs: undefined, goneMs: undefined },
        })),
        marks: [{ atMs: START_MS + 6_000, kind: 'fault', text: 'operator SIGKILL' }],
      }),
    );
    for (const text of ['pod abcde', 'pod fghij', 'budget', 'operator SIGKILL', 'transactions/s', 'p99']) {
      assert.ok(svg.includes(`>${text}<`), text);
    }
  });

  it('shows backends of an address that is no pod’s', () => {
    const recording = exampleRecording({ samples: samplesOf(() => ({ '10.0.0.1': 5, '192.0.2.7': 1 })) });
    assert.ok(timelineChart(recording).includes('>others<'));
    assert.ok(!timelineChart(exampleRecording()).includes('>others<'));
  });

  it('keeps the highest sample of each moment whole', () => {
    const samples = samplesOf((at) => (at === 50 ? { a: 9, b: 1 } : at === 100 ? { a: 2, b: 7 } : { a: 1 }));
    const [first] = peaksOf(samples, START_MS);
    assert.deepEqual(first?.byAddress, { a: 9, b: 1 });
  });
});
