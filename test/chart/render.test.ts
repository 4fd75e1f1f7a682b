// What the chart renders: a restricted operator whose arguments follow the values.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { renderChart, type Rendered } from '../../scripts/chart.ts';

type Container = {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly {
    readonly name: string;
    readonly valueFrom: { readonly fieldRef: { readonly fieldPath: string } };
  }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: unknown;
  readonly resources: unknown;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
};
type Probe = { readonly httpGet: { readonly path: string; readonly port: string } };
type Labels = Readonly<Record<string, string>>;
type Deployment = Rendered & {
  readonly spec: {
    readonly replicas: number;
    readonly strategy: { readonly type: string };
    readonly selector: { readonly matchLabels: Labels };
    readonly template: {
      readonly metadata: { readonly labels: Labels; readonly annotations?: Labels };
      readonly spec: Readonly<Record<string, unknown>> & { readonly containers: readonly Container[] };
    };
  };
};

function only(objects: readonly Rendered[], kind: string): Rendered {
  const [found, ...others] = objects.filter((object) => object.kind === kind);
  assert.ok(found !== undefined && others.length === 0, `one ${kind} is rendered`);
  return found;
}

function deployment(flags: readonly string[] = []): Deployment {
  return only(renderChart(flags), 'Deployment') as Deployment;
}

function operator({ spec }: Deployment): Container {
  const [container, ...others] = spec.template.spec.containers;
  assert.ok(container !== undefined && others.length === 0, 'the pod has one container');
  return container;
}

describe('the chart as rendered', () => {
  it('consists of the operator, its rights, its metrics and the CRD, each once', () => {
    const found = renderChart().map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    assert.deepEqual(found.sort(), [
      'ClusterRole poolsmith-system-poolsmith',
      'ClusterRole poolsmith-system-poolsmith-edit',
      'ClusterRole poolsmith-system-poolsmith-view',
      'ClusterRoleBinding poolsmith-system-poolsmith',
      'CustomResourceDefinition poolconfigs.poolsmith.dev',
      'Deployment poolsmith',
      'Role poolsmith-lease',
      'RoleBinding poolsmith-lease',
      'Service poolsmith-metrics',
      'ServiceAccount poolsmith',
    ]);
  });

  it('runs the operator restricted: no root, no privileges, nothing to write to', () => {
    const pod = deployment().spec.template.spec;
    assert.deepEqual(pod['securityContext'], { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    assert.deepEqual(operator(deployment()).securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    for (const field of ['volumes', 'hostNetwork', 'hostPID', 'hostIPC', 'initContainers']) {
      assert.equal(pod[field], undefined, field);
    }
  });

  it('asks for little, and limits memory but not the processor', () => {
    assert.deepEqual(operator(deployment()).resources, {
      requests: { cpu: '50m', memory: '192Mi' },
      limits: { memory: '384Mi' },
    });
  });

  it('gives the token of the ServiceAccount to the operator alone', () => {
    assert.equal(only(renderChart(), 'ServiceAccount')['automountServiceAccountToken'], false);
    const pod = deployment().spec.template.spec;
    assert.equal(pod['automountServiceAccountToken'], true);
    assert.equal(pod['serviceAccountName'], 'poolsmith');
  });

  it('passes the defaults as arguments, and who the pod is', () => {
    const { args, env } = operator(deployment());
    assert.deepEqual(args, [
      'operator',
      '--log-level=info',
      '--http-port=8080',
      '--leader-elect=true',
      '--lease-name=poolsmith',
      '--lease-duration=15s',
      '--renew-deadline=10s',
      '--retry-period=2s',
    ]);
    assert.deepEqual(
      env.map(({ name, valueFrom }) => `${name}=${valueFrom.fieldRef.fieldPath}`),
      ['POD_NAME=metadata.name', 'POD_NAMESPACE=metadata.namespace', 'POD_UID=metadata.uid'],
    );
  });

  it('passes the values that differ, the further arguments last', () => {
    const { args, image } = operator(
      deployment([
        '--set',
        'image.tag=dev,pooler.image=registry.example/pgbouncer:1.26.1,logLevel=debug,http.port=9090',
        '--set',
        'leaderElection.leaseName=other,leaderElection.leaseDuration=30s',
        '--set-json',
        'watch.namespaces=["shop","blog"]',
        '--set-json',
        'extraArgs=["--a=b"]',
      ]),
    );
    assert.equal(image, 'poolsmith/operator:dev');
    assert.deepEqual(args, [
      'operator',
      '--namespaces=shop,blog',
      '--log-level=debug',
      '--http-port=9090',
      '--leader-elect=true',
      '--lease-name=other',
      '--lease-duration=30s',
      '--renew-deadline=10s',
      '--retry-period=2s',
      '--pooler-image=registry.example/pgbouncer:1.26.1',
      '--a=b',
    ]);
  });

  it('takes the appVersion as tag when none is named', () => {
    assert.equal(operator(deployment()).image, 'poolsmith/operator:0.1.0');
  });

  it('asks the same port for health, readiness and metrics', () => {
    const objects = renderChart(['--set', 'http.port=9090']);
    const container = operator(only(objects, 'Deployment') as Deployment);
    assert.deepEqual(container.ports, [{ name: 'http', containerPort: 9090, protocol: 'TCP' }]);
    assert.deepEqual(container.livenessProbe.httpGet, { path: '/healthz', port: 'http' });
    assert.deepEqual(container.readinessProbe.httpGet, { path: '/readyz', port: 'http' });
    const { ports, selector } = only(objects, 'Service')['spec'] as { ports: unknown; selector: unknown };
    assert.deepEqual(ports, [{ name: 'http', port: 9090, targetPort: 'http', protocol: 'TCP' }]);
    assert.deepEqual(selector, deployment().spec.selector.matchLabels);
  });

  it('never runs two operators at once without leader election', () => {
    const objects = renderChart(['--set', 'leaderElection.enabled=false']);
    const { spec } = only(objects, 'Deployment') as Deployment;
    assert.equal(spec.strategy.type, 'Recreate');
    const { args } = operator(only(objects, 'Deployment') as Deployment);
    assert.deepEqual(
      args.filter((arg) => /lease|leader|renew|retry/.test(arg)),
      ['--leader-elect=false'],
    );
    assert.deepEqual(
      objects.filter(({ kind }) => kind === 'Role' || kind === 'RoleBinding'),
      [],
    );
  });

  it('keeps the CRD at uninstalling unless told otherwise, and leaves it out when asked', () => {
    const kept = only(renderChart(), 'CustomResourceDefinition').metadata.annotations;
    assert.deepEqual(kept, { 'helm.sh/resource-policy': 'keep' });
    const unkept = only(renderChart(['--set', 'crds.keep=false']), 'CustomResourceDefinition');
    assert.equal(unkept.metadata.annotations, undefined);
    const without = renderChart(['--set', 'crds.enabled=false']);
    assert.equal(
      without.some(({ kind }) => kind === 'CustomResourceDefinition'),
      false,
    );
  });

  it('puts every namespaced object into the namespace of the release', () => {
    const clusterWide = new Set(['ClusterRole', 'ClusterRoleBinding', 'CustomResourceDefinition']);
    for (const { kind, metadata } of renderChart(['--namespace', 'elsewhere'])) {
      assert.equal(metadata.namespace, clusterWide.has(kind) ? undefined : 'elsewhere', `${kind} ${metadata.name}`);
    }
  });

  it('names the cluster-wide objects of two releases differently', () => {
    const names = (namespace: string): readonly string[] =>
      renderChart(['--namespace', namespace, '--set', 'crds.enabled=false'])
        .filter(({ kind }) => kind.startsWith('Cluster'))
        .map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    const others = names('two');
    assert.deepEqual(
      names('one').filter((name) => others.includes(name)),
      [],
    );
  });

  it('places the pods as told, and spreads its own pods when the constraint names none', () => {
    const spread = { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway' };
    const foreign = { ...spread, labelSelector: { matchLabels: { app: 'other' } } };
    const { spec } = deployment([
      '--set',
      'replicas=2,priorityClassName=high,nodeSelector.disk=fast',
      '--set-json',
      'tolerations=[{"key":"a","operator":"Exists"}]',
      '--set-json',
      'affinity={"podAntiAffinity":{}}',
      '--set-json',
      `topologySpreadConstraints=${JSON.stringify([spread, foreign])}`,
      '--set-json',
      'imagePullSecrets=[{"name":"registry"}]',
    ]);
    const pod = spec.template.spec;
    assert.equal(spec.replicas, 2);
    assert.equal(pod['priorityClassName'], 'high');
    assert.deepEqual(pod['nodeSelector'], { disk: 'fast' });
    assert.deepEqual(pod['tolerations'], [{ key: 'a', operator: 'Exists' }]);
    assert.deepEqual(pod['affinity'], { podAntiAffinity: {} });
    assert.deepEqual(pod['topologySpreadConstraints'], [{ ...spread, labelSelector: spec.selector }, foreign]);
    assert.deepEqual(pod['imagePullSecrets'], [{ name: 'registry' }]);
  });

  it('keeps the labels the Deployment selects by, whatever labels are added', () => {
    const { spec } = deployment(['--set-json', 'podLabels={"app.kubernetes.io/name":"mine","team":"data"}']);
    assert.deepEqual(spec.template.metadata.labels, { ...spec.selector.matchLabels, team: 'data' });
  });

  it('renders any text of a user as that very text', () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme-ascii', maxLength: 20 }),
      fc.constantFrom(
        'yes',
        '1e3',
        '0x1F',
        'null',
        '"',
        "'",
        '{{ .Values }}',
        'a: b',
        '- x',
        '#',
        '\n',
        'a\n  b: c',
        '',
      ),
    );
    const runs = { numRuns: 12 };
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 3 }), text, (extraArgs, annotation) => {
        const rendered = deployment([
          '--set-json',
          `extraArgs=${JSON.stringify(extraArgs)}`,
          '--set-json',
          `podAnnotations=${JSON.stringify({ note: annotation })}`,
        ]);
        assert.deepEqual(operator(rendered).args.slice(-extraArgs.length), extraArgs);
        assert.deepEqual(rendered.spec.template.metadata.annotations, { note: annotation });
      }),
      runs,
    );
  }).timeout(60_000);
});
