// Values that can't be right are refused before anything is installed, by a message that names them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { CHART_FOLDER, templateChart } from '../../scripts/chart.ts';
import { readChartValues } from '../../scripts/chart-values.ts';
import { runHelm } from '../../scripts/helm.ts';

const REFUSED: readonly (readonly [what: string, flags: readonly string[], says: RegExp])[] = [
  ['an unknown key', ['--set', 'replicaCount=2'], /replicaCount/],
  ['an unknown key inside another', ['--set', 'image.registry=x'], /registry/],
  ['an unknown log level', ['--set', 'logLevel=trace'], /logLevel/],
  ['negative replicas', ['--set', 'replicas=-1'], /replicas/],
  ['replicas that are text', ['--set-string', 'replicas=2'], /replicas/],
  ['two replicas without leader election', ['--set', 'replicas=2,leaderElection.enabled=false'], /leaderElection/],
  ['a lease duration without its unit', ['--set', 'leaderElection.leaseDuration=15'], /leaseDuration/],
  ['a lease duration of zero', ['--set', 'leaderElection.leaseDuration=0s'], /leaseDuration/],
  [
    'a renew deadline that is not less than the lease duration',
    ['--set', 'leaderElection.renewDeadline=15s'],
    /retryPeriod < renewDeadline < leaseDuration/,
  ],
  [
    'a retry period that is not less than the renew deadline',
    ['--set', 'leaderElection.retryPeriod=10s'],
    /retryPeriod < renewDeadline < leaseDuration/,
  ],
  ['an empty lease name', ['--set', 'leaderElection.leaseName='], /leaseName/],
  ['a port that only root may open', ['--set', 'http.port=80'], /port/],
  ['a pull policy that does not exist', ['--set', 'image.pullPolicy=Sometimes'], /pullPolicy/],
  ['a tag inside the repository', ['--set', 'image.repository=poolsmith/operator:dev'], /repository/],
  ['a namespace that is no namespace', ['--set-json', 'watch.namespaces=["a,b"]'], /namespaces/],
  ['a namespace named twice', ['--set-json', 'watch.namespaces=["a","a"]'], /namespaces/],
  ['an annotation that is no text', ['--set', 'podAnnotations.a=1'], /podAnnotations/],
  ['an unknown part of the resources', ['--set', 'resources.claim=1'], /resources/],
];

describe('the values of the chart', () => {
  for (const [what, flags, says] of REFUSED) {
    it(`may not have ${what}`, () => {
      const { status, stderr } = templateChart(flags);
      assert.notEqual(status, 0);
      assert.match(stderr, says);
    });
  }

  it('may be handed down from a chart around this one', () => {
    assert.equal(templateChart(['--set', 'global.anything=1']).status, 0);
  });

  it('pass helm lint in its strict form', () => {
    const { status, stdout, stderr } = runHelm(['lint', '--strict', CHART_FOLDER]);
    assert.equal(status, 0, stdout + stderr);
  });

  it('are all known to the schema, and the schema knows no other', () => {
    const file = `${CHART_FOLDER}/values.schema.json`;
    const schema = JSON.parse(readFileSync(file, 'utf8')) as { properties: Readonly<Record<string, unknown>> };
    const inSchema = Object.keys(schema.properties).filter((key) => key !== 'global');
    const inValues = new Set(readChartValues().map(({ key }) => key.split('.')[0]));
    assert.deepEqual(inSchema.sort(), [...inValues].sort());
  });

  it('need a description each', () => {
    assert.throws(() => readChartValues('a:\n  # -- Known.\n  b: 1\n  c: 2\n'), /a\.c has no line "# -- …" above it/);
  });

  it('are described by all lines of a comment', () => {
    const [first] = readChartValues('# About the file.\n\n# -- One\n# line.\na: {b: [1]}\n');
    assert.deepEqual(first, { key: 'a', default: '{"b":[1]}', what: 'One line.' });
  });
});
