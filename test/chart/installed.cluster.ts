// The chart on a real Kubernetes of its own: installed, upgraded, uninstalled, with a fleet that outlives it. Needs root.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { buildImage, type ImageName } from '../../images/build.ts';
import { CHART_FOLDER, templateChart } from '../../scripts/chart.ts';
import { MANIFEST_FILE } from '../../scripts/generate-manifest.ts';
import { runHelm, type HelmRun } from '../../scripts/helm.ts';
import { down, isHealthy, up } from '../cluster/cluster.ts';
import { importArchives } from '../cluster/images.ts';
import { layoutOf } from '../cluster/layout.ts';
import { firstProcess } from '../cluster/namespace.ts';
import { attempt, run, until } from '../cluster/processes.ts';
import { programFile } from '../cluster/programs.ts';

const layout = layoutOf('chart');
const env = { ...process.env, KUBECONFIG: layout.kubeconfig };
const NAMESPACE = 'chart-test';
const FLEET_NAMESPACE = 'shop';
const OPERATOR = `system:serviceaccount:${NAMESPACE}:poolsmith`;
const DEV_IMAGE = ['--set', 'image.tag=dev,image.pullPolicy=Never'];
const READY_LIMIT_MS = 60_000;

const RESTRICTED = 'pod-security.kubernetes.io/enforce=restricted';
const USER = [
  'generic',
  'shop-app',
  '--type=kubernetes.io/basic-auth',
  '--from-literal=username=shop',
  '--from-literal=password=abc',
];

const kubectl = (...args: string[]): Promise<string> => run(programFile('kubectl'), args, { env });

function helm(...args: string[]): HelmRun {
  return runHelm([...args, '--namespace', NAMESPACE, '--kubeconfig', layout.kubeconfig], 120_000);
}

function helmSucceeds(...args: string[]): string {
  const { status, stdout, stderr } = helm(...args);
  assert.equal(status, 0, stderr);
  return stdout;
}

/** What admission says to objects that are not kept: the warnings of Pod Security too. */
async function dryRun(objects: string): Promise<readonly string[]> {
  const args = ['apply', '--server-side', '--dry-run=server', '-f', '-'];
  const { code, stdout, stderr } = await attempt(programFile('kubectl'), args, { env, input: objects });
  assert.equal(code, 0, stderr);
  assert.equal(stderr, '');
  return stdout.trim().split('\n');
}

async function fleetPods(pool: string): Promise<readonly string[]> {
  const args = ['--namespace', FLEET_NAMESPACE, 'get', 'pods', '--selector', `poolsmith.dev/pool=${pool}`];
  const uids = await kubectl(
    ...args,
    '--field-selector',
    'status.phase=Running',
    '--output',
    'jsonpath={.items[*].metadata.uid}',
  );
  return uids
    .split(' ')
    .filter((uid) => uid !== '')
    .sort();
}

/** Declares a fleet of two and waits until both of its pods run. Its server does not exist, which is no matter here. */
async function createFleet(pool: string): Promise<readonly string[]> {
  const example = readFileSync(new URL('../../examples/minimal.yaml', import.meta.url), 'utf8');
  const input = example.replace('\n  name: shop\n', `\n  name: ${pool}\n`);
  await run(programFile('kubectl'), ['--namespace', FLEET_NAMESPACE, 'apply', '-f', '-'], { env, input });
  const running = async (): Promise<readonly string[] | undefined> => {
    const pods = await fleetPods(pool);
    return pods.length === 2 ? pods : undefined;
  };
  return until(`two pods of ${pool}`, running, READY_LIMIT_MS);
}

async function operatorIsGone(): Promise<true | undefined> {
  const pods = await kubectl('--namespace', NAMESPACE, 'get', 'pods', '--output', 'name');
  return pods === '' ? true : undefined;
}

type AuditEvent = {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string; readonly namespace?: string };
  readonly responseStatus?: { readonly code: number; readonly message?: string };
};

/** The requests of the operator, from the API server's own record. */
function operatorRequests(): readonly AuditEvent[] {
  const lines = readFileSync(layout.auditLog, 'utf8').split('\n');
  const events = lines.filter((line) => line.includes(OPERATOR)).map((line) => JSON.parse(line) as AuditEvent);
  return events.filter(({ user, responseStatus }) => user.username === OPERATOR && responseStatus !== undefined);
}

const described = ({ verb, objectRef: { resource = '', subresource, namespace = '' } = {} }: AuditEvent): string =>
  `${verb} ${namespace}/${resource}${subresource === undefined ? '' : `/${subresource}`}`;
/**
 * The requests that the operator had no right to. Not among them: an owner of a kind that admission does not know yet
 * (OwnerReferencesPermissionEnforcement reads the kinds anew every ten seconds), which passes by itself after a new CRD.
 */
const refused = (): readonly string[] =>
  operatorRequests()
    .filter(({ responseStatus }) => responseStatus?.code === 403)
    .filter(({ responseStatus }) => responseStatus?.message?.includes('cannot find RESTMapping') !== true)
    .map(described);

describe('the chart on a real cluster', function () {
  this.timeout(180_000);
  let firstPods: readonly string[] = [];

  before(async () => {
    assert.ok(!(await isHealthy(layout)), `cluster ${layout.name} is up already: it must be this test's own`);
    const names: readonly ImageName[] = ['operator', 'pgbouncer'];
    const archives: string[] = [];
    for (const name of names) archives.push((await buildImage(name, { repo: 'poolsmith', tag: undefined })).file);
    await up(layout);
    await importArchives(layout, firstProcess(layout) ?? assert.fail('the cluster has no first process'), archives);
    for (const namespace of [NAMESPACE, FLEET_NAMESPACE, 'poolsmith-system']) {
      await kubectl('create', 'namespace', namespace);
      await kubectl('label', 'namespace', namespace, RESTRICTED, RESTRICTED.replace('enforce', 'warn'));
    }
    await kubectl('--namespace', FLEET_NAMESPACE, 'create', 'secret', ...USER);
  });

  after(() => down(layout));

  it('is accepted object by object, without a warning, in all its forms', async () => {
    const forms = [
      [],
      ['--set', 'replicas=3', '--set-json', `watch.namespaces=["${NAMESPACE}","${FLEET_NAMESPACE}"]`],
      ['--set', 'leaderElection.enabled=false'],
    ];
    for (const flags of forms) {
      const { stdout } = templateChart(['--namespace', NAMESPACE, ...flags]);
      const accepted = await dryRun(stdout);
      assert.equal(accepted.length, stdout.match(/^kind: /gm)?.length);
    }
    const manifest = readFileSync(MANIFEST_FILE, 'utf8');
    assert.equal((await dryRun(manifest)).length, manifest.match(/^kind: /gm)?.length);
  });

  it('installs an operator that comes up and makes a fleet, and is refused nothing on the way', async () => {
    const said = helmSucceeds('install', 'poolsmith', CHART_FOLDER, ...DEV_IMAGE, '--wait', '--timeout', '90s');
    assert.match(said, /kubectl --namespace chart-test rollout status deployment\/poolsmith/);
    firstPods = await createFleet('shop');
    const status = operatorRequests().filter(
      (event) => described(event) === `patch ${FLEET_NAMESPACE}/poolconfigs/status`,
    );
    assert.ok(status.length > 0, 'the operator wrote a status');
    assert.deepEqual(refused(), []);
  });

  it('puts the metrics behind a Service', async () => {
    const path = `/api/v1/namespaces/${NAMESPACE}/services/poolsmith-metrics:http/proxy/metrics`;
    assert.match(await kubectl('get', '--raw', path), /^# HELP poolsmith_/m);
  });

  it('lets viewers read PoolConfigs and editors write them', async () => {
    for (const [role, verb, allowed] of [
      ['view', 'list', 'yes'],
      ['view', 'create', 'no'],
      ['edit', 'create', 'yes'],
      ['edit', 'delete', 'yes'],
    ] as const) {
      const user = `somebody-with-${role}`;
      const inFleet = ['--namespace', FLEET_NAMESPACE];
      const bind = [...inFleet, 'create', 'rolebinding', `${user}-${verb}`, `--clusterrole=${role}`, `--user=${user}`];
      await kubectl(...bind);
      const ask = [...inFleet, 'auth', 'can-i', verb, 'poolconfigs.poolsmith.dev', `--as=${user}`];
      const { stdout } = await attempt(programFile('kubectl'), ask, { env });
      assert.equal(stdout.trim(), allowed, `${role} ${verb}`);
    }
  });

  it('stops within ten seconds of being asked, and leaves the Lease free', async () => {
    const scale = (replicas: number): Promise<string> =>
      kubectl('--namespace', NAMESPACE, 'scale', 'deployment', 'poolsmith', `--replicas=${replicas}`);
    await scale(0);
    await until('the end of the operator', operatorIsGone, 10_000);
    const lease = ['--namespace', NAMESPACE, 'get', 'lease', 'poolsmith'];
    assert.equal(await kubectl(...lease, '--output', 'jsonpath={.spec.holderIdentity}'), '');
    assert.deepEqual(refused(), []);
    await scale(1);
  });

  it('leaves the CRD and the running fleet behind when it is uninstalled, and no role', async () => {
    const said = helmSucceeds('uninstall', 'poolsmith', '--wait');
    assert.match(said, /kept due to the resource policy:\s+\[CustomResourceDefinition\] poolconfigs\.poolsmith\.dev/);
    await until('the end of the operator', operatorIsGone, READY_LIMIT_MS);
    assert.deepEqual(await fleetPods('shop'), firstPods);
    const left = await kubectl('get', 'clusterroles,clusterrolebindings', '--output', 'name');
    assert.doesNotMatch(left, /poolsmith/);
  });

  it('takes its own kept CRD over again, and works with rights in the named namespaces alone', async () => {
    // A pod that ends after its rights were uninstalled can't even free its Lease: those refusals are no fault.
    const refusedBefore = refused().length;
    const named = ['--set-json', `watch.namespaces=["${FLEET_NAMESPACE}"]`];
    helmSucceeds('install', 'poolsmith', CHART_FOLDER, ...DEV_IMAGE, ...named, '--wait', '--timeout', '90s');
    await createFleet('blog');
    assert.deepEqual(await fleetPods('shop'), firstPods, 'the former fleet was not touched');
    assert.deepEqual(refused().slice(refusedBefore), []);
    const ask = ['--namespace', 'default', 'auth', 'can-i', 'list', 'secrets', `--as=${OPERATOR}`];
    assert.equal((await attempt(programFile('kubectl'), ask, { env })).stdout.trim(), 'no');
  });

  it('does not take the CRD of another release, but lives with it', () => {
    const { status, stderr } = helm('install', 'second', CHART_FOLDER, ...DEV_IMAGE);
    assert.notEqual(status, 0);
    assert.match(stderr, /poolconfigs\.poolsmith\.dev.*cannot be imported/);
    const without = ['--set', 'crds.enabled=false,replicas=0'];
    assert.match(helmSucceeds('install', 'second', CHART_FOLDER, ...DEV_IMAGE, ...without), /has to be there already/);
    assert.doesNotMatch(helmSucceeds('uninstall', 'second'), /CustomResourceDefinition/);
  });
});
