// The operator's rights: exactly those of docs/rbac.md, only where they are needed, and nothing that leads to more.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { renderChart, type Rendered } from '../../scripts/chart.ts';
import { RBAC_FILE } from '../../scripts/permissions.ts';

type Rule = {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
};

const rulesOf = (object: Rendered): readonly Rule[] => object['rules'] as readonly Rule[];

/** One line for each verb on each resource, so that grouping does not matter. */
function rights(rules: readonly Rule[]): readonly string[] {
  return rules
    .flatMap(({ apiGroups, resources, verbs, resourceNames }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          verbs.map(
            (verb) => `${verb} ${resource}.${group}${resourceNames === undefined ? '' : ` ${String(resourceNames)}`}`,
          ),
        ),
      ),
    )
    .sort();
}

/** The rules as people read them in the tables of docs/rbac.md. */
function documented(section: 'watched' | 'own'): readonly Rule[] {
  const text = readFileSync(RBAC_FILE, 'utf8');
  const part = text.split(`<!-- ${section}: begin -->`)[1]?.split('<!-- ')[0] ?? '';
  const rows = part
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| API') && !line.startsWith('| --'));
  return rows.map((row) => {
    const [group = '', resources = '', verbs = '', why = ''] = row.slice(2, -2).split(' | ');
    assert.ok(why.length > 20, `the row says why: ${row}`);
    const onlyLease = / \(the one of .*\)$/.exec(resources);
    return {
      apiGroups: [group === 'core' ? '' : group],
      resources: resources.slice(0, onlyLease?.index).split(', '),
      verbs: verbs.split(', '),
      ...(onlyLease === null ? {} : { resourceNames: ['poolsmith'] }),
    };
  });
}

const ofKind = (objects: readonly Rendered[], kind: string): readonly Rendered[] =>
  objects.filter((object) => object.kind === kind);
const named = (objects: readonly Rendered[], kind: string, name: string): Rendered => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  assert.ok(found !== undefined, `${kind} ${name} is rendered`);
  return found;
};

const CLUSTER_NAME = 'poolsmith-system-poolsmith';
const IN_TWO = ['--set-json', 'watch.namespaces=["shop","blog"]'];

describe("the operator's rights", () => {
  it('are those of docs/rbac.md, no more and no less', () => {
    const objects = renderChart();
    assert.deepEqual(rights(rulesOf(named(objects, 'ClusterRole', CLUSTER_NAME))), rights(documented('watched')));
    assert.deepEqual(rights(rulesOf(named(objects, 'Role', 'poolsmith-lease'))), rights(documented('own')));
  });

  it('let it change nothing but the status of a PoolConfig', () => {
    const about = rights(documented('watched')).filter((right) => right.includes('poolsmith.dev'));
    assert.deepEqual(about, [
      'get poolconfigs.poolsmith.dev',
      'list poolconfigs.poolsmith.dev',
      'patch poolconfigs/status.poolsmith.dev',
      'update poolconfigs/finalizers.poolsmith.dev',
      'watch poolconfigs.poolsmith.dev',
    ]);
  });

  it('hold nothing by which it could get more rights, run commands or reach nodes', () => {
    const roles = renderChart().filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role');
    const never =
      /\*|escalate|bind |impersonate|pods\/|create pods|serviceaccounts|token|nodes|namespaces|webhook|customresource|rbac|proxy/;
    for (const right of roles.flatMap((role) => rights(rulesOf(role)))) assert.doesNotMatch(right, never);
  });

  it('delete only pods and ReplicaSets, and read workloads without changing them', () => {
    const all = rights(documented('watched'));
    assert.deepEqual(
      all.filter((right) => right.startsWith('delete')),
      ['delete pods.', 'delete replicasets.apps'],
    );
    const onWorkloads = all
      .filter((right) => /deployments|statefulsets/.test(right))
      .map((right) => right.split(' ')[0]);
    assert.deepEqual([...new Set(onWorkloads)], ['get', 'list', 'watch']);
  });

  it('are a Role in each namespace that is named, and no cluster-wide binding', () => {
    const objects = renderChart(IN_TWO);
    assert.deepEqual(ofKind(objects, 'ClusterRoleBinding'), []);
    for (const namespace of ['shop', 'blog']) {
      const inside = objects.filter(({ metadata }) => metadata.namespace === namespace);
      assert.deepEqual(inside.map(({ kind }) => kind).sort(), ['Role', 'RoleBinding']);
      assert.deepEqual(rights(rulesOf(named(inside, 'Role', CLUSTER_NAME))), rights(documented('watched')));
      assert.deepEqual(named(inside, 'RoleBinding', CLUSTER_NAME)['roleRef'], {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'Role',
        name: CLUSTER_NAME,
      });
    }
    const clusterRoles = ofKind(objects, 'ClusterRole').map(({ metadata }) => metadata.name);
    assert.deepEqual(clusterRoles.sort(), [`${CLUSTER_NAME}-edit`, `${CLUSTER_NAME}-view`]);
  });

  it('go to the ServiceAccount the operator runs as, and to nobody else', () => {
    for (const flags of [[], IN_TWO, ['--set', 'serviceAccount.create=false,serviceAccount.name=given']]) {
      const objects = renderChart(flags);
      const [deployment] = ofKind(objects, 'Deployment');
      const pod = deployment?.['spec'] as { template: { spec: { serviceAccountName: string } } };
      const bindings = [...ofKind(objects, 'RoleBinding'), ...ofKind(objects, 'ClusterRoleBinding')];
      assert.ok(bindings.length >= 2);
      for (const binding of bindings) {
        assert.deepEqual(binding['subjects'], [
          { kind: 'ServiceAccount', name: pod.template.spec.serviceAccountName, namespace: 'poolsmith-system' },
        ]);
      }
    }
  });

  it('reach one Lease only: the one that the operator is told to use', () => {
    const role = named(renderChart(['--set', 'leaderElection.leaseName=other']), 'Role', 'poolsmith-lease');
    assert.deepEqual(rights(rulesOf(role)), [
      'create leases.coordination.k8s.io',
      'get leases.coordination.k8s.io other',
      'update leases.coordination.k8s.io other',
    ]);
    assert.equal(role.metadata.namespace, 'poolsmith-system');
  });

  it('are not rendered where somebody else gives them', () => {
    const objects = renderChart(['--set', 'rbac.create=false,rbac.userRoles=false']);
    assert.deepEqual(
      objects.filter(({ kind }) => kind.includes('Role')),
      [],
    );
  });
});

describe("the users' rights", () => {
  it('let viewers read PoolConfigs and editors write them, by the roles they already have', () => {
    const objects = renderChart();
    const aggregated = (role: Rendered): readonly string[] =>
      Object.keys(role.metadata.labels ?? {}).flatMap((key) => key.split('/aggregate-to-')[1] ?? []);
    const view = named(objects, 'ClusterRole', `${CLUSTER_NAME}-view`);
    const edit = named(objects, 'ClusterRole', `${CLUSTER_NAME}-edit`);
    assert.deepEqual(aggregated(view), ['view', 'edit', 'admin']);
    assert.deepEqual(aggregated(edit), ['edit', 'admin']);
    for (const right of rights(rulesOf(view)))
      assert.match(right, /^(get|list|watch) poolconfigs(\/status|\/scale)?\.poolsmith\.dev$/);
    for (const right of rights(rulesOf(edit))) assert.match(right, /^\w+ poolconfigs(\/scale)?\.poolsmith\.dev$/);
  });
});
