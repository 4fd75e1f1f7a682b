// A rollout is announced in the user's own terms before the first pod goes, and a newer operator begins none by itself.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { PoolConfigSpec } from '../../src/api/poolconfig.gen.ts';
import { canonicalJson } from '../../src/model/canonical.ts';
import { previewPool } from '../../src/plan/preview.ts';
import { templateChanges } from '../../src/plan/template-changes.ts';
import { renderPodTemplate } from '../../src/render/pod-template.ts';
import { poolConfig } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const IMAGE = 'registry.example/pgbouncer:1.26.1';
const FLEET: NonNullable<PoolConfigSpec['fleet']> = { replicas: 2, drain: { window: '5s', timeout: '1m' } };

const changes = (before: Partial<PoolConfigSpec>, after: Partial<PoolConfigSpec>, image = IMAGE): readonly string[] =>
  templateChanges(renderPodTemplate(poolConfig(before), IMAGE), renderPodTemplate(poolConfig(after), image));

describe('the changes of a pod template', () => {
  it('are named by the field of the PoolConfig, with both values where they are plain', () => {
    const withTemplate = (template: NonNullable<typeof FLEET.template>) => ({ fleet: { ...FLEET, template } });
    const table: readonly (readonly [Partial<PoolConfigSpec>, string])[] = [
      [{ fleet: { ...FLEET, drain: { window: '7s', timeout: '1m' } } }, 'fleet.drain.window 5s → 7s'],
      [{ fleet: { ...FLEET, drain: { window: '5s', timeout: '2m' } } }, 'fleet.drain.timeout 60s → 120s'],
      [withTemplate({ resources: { limits: { memory: '1Gi' } } }), 'fleet.template.resources'],
      [withTemplate({ nodeSelector: { disk: 'ssd' } }), 'fleet.template.nodeSelector'],
      [withTemplate({ tolerations: [{ operator: 'Exists' }] }), 'fleet.template.tolerations'],
      [withTemplate({ affinity: { podAffinity: {} } }), 'fleet.template.affinity'],
      [withTemplate({ priorityClassName: 'high' }), 'fleet.template.priorityClassName (none) → high'],
      [withTemplate({ imagePullSecrets: [{ name: 'pull' }] }), 'fleet.template.imagePullSecrets'],
      [withTemplate({ imagePullPolicy: 'Always' }), 'fleet.template.imagePullPolicy (none) → Always'],
      [withTemplate({ topologySpreadConstraints: [] }), 'fleet.template.topologySpreadConstraints'],
      [withTemplate({ metadata: { labels: { team: 'a' } } }), 'fleet.template.metadata.labels'],
      [withTemplate({ metadata: { annotations: { round: '2' } } }), 'fleet.template.metadata.annotations'],
    ];
    for (const [after, text] of table) {
      assert.deepEqual(changes({ fleet: FLEET }, after), [text]);
      assert.equal(changes(after, { fleet: FLEET }).length, text.includes('imagePullPolicy') ? 0 : 1, text);
    }
    assert.deepEqual(changes({}, {}, 'other'), [`pooler.image ${IMAGE} → other`]);
    assert.deepEqual(changes({ fleet: FLEET }, { fleet: FLEET }), []);
  });

  it('leave out what the API server fills in', () => {
    const rendered = renderPodTemplate(poolConfig({ fleet: FLEET }), IMAGE);
    const [container] = rendered.spec['containers'] as readonly Readonly<Record<string, unknown>>[];
    const stored = {
      metadata: { ...rendered.metadata, creationTimestamp: null },
      spec: {
        ...rendered.spec,
        containers: [{ ...container, imagePullPolicy: 'IfNotPresent', terminationMessagePath: '/dev/termination-log' }],
        restartPolicy: 'Always',
        schedulerName: 'default-scheduler',
      },
    };
    assert.deepEqual(templateChanges(stored, rendered), []);
  });
});

describe('a rollout', () => {
  it('is announced by event and condition, with what makes it, before the first pod is drained', () => {
    const fleet = new PaperFleet({ fleet: FLEET });
    fleet.settle();
    fleet.edit({ fleet: { ...FLEET, drain: { window: '7s', timeout: '1m' } } });
    const settled = fleet.turns.length;
    fleet.settle();
    const plans = fleet.turns.slice(settled).map(({ plan }) => plan);
    const drains = plans.findIndex(({ actions }) => actions.some(({ why }) => why.includes('is drained')));
    const before = plans.slice(0, drains);
    const [event, ...more] = before.flatMap(({ events }) => events.filter(({ reason }) => reason === 'RolloutStarted'));
    assert.match(event?.note ?? '', /one pod at a time, each drained before it goes: fleet\.drain\.window 5s → 7s$/);
    assert.deepEqual(more, []);
    const messages = before.flatMap(({ status }) =>
      (status.conditions ?? []).flatMap(({ type, reason, message }) =>
        type === 'Reconciling' && reason === 'Rollout' ? [message] : [],
      ),
    );
    assert.match(messages[0] ?? '', /^2 pods of another template .* fleet\.drain\.window 5s → 7s\.$/);
  });

  it('is announced by the preview', () => {
    const fleet = new PaperFleet({ fleet: FLEET });
    fleet.settle();
    const rolls = (): readonly string[] => previewPool(fleet.observe()).lines.filter((line) => line.includes('ROLL'));
    assert.deepEqual(rolls(), []);
    fleet.edit({ fleet: { ...FLEET, drain: { window: '7s', timeout: '1m' } } });
    assert.deepEqual(rolls(), [
      '  ROLL   every pod is replaced, one at a time, each drained first: fleet.drain.window 5s → 7s',
    ]);
  });

  /**
   * A newer operator must not roll the fleets that it finds. Where a release has to, the new bytes go into this file, and CHANGELOG.md says that
   * it rolls every fleet.
   */
  it('is not begun by a newer operator: its pod templates are byte for byte those of the release before', () => {
    const file = fileURLToPath(new URL('released-templates.json', import.meta.url));
    const released = JSON.parse(readFileSync(file, 'utf8')) as readonly Released[];
    assert.ok(released.length >= 3);
    for (const { spec, template } of released)
      assert.equal(canonicalJson(renderPodTemplate(poolConfig(spec), IMAGE)), canonicalJson(template));
  });
});

type Released = { readonly spec: Partial<PoolConfigSpec>; readonly template: unknown };
