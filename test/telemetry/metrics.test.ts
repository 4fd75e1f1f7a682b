// What a scrape shows for a fleet: every row of the table that has something to say, with its labels.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planPool } from '../../src/plan/plan.ts';
import { Metrics, POOL_GAUGES } from '../../src/telemetry/metrics.ts';
import { makeAuthority, type Certificate } from '../support/certificates.ts';
import { secret } from '../support/observation.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

let folder: string;
let certificate: Certificate;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'metrics-'));
  certificate = await (await makeAuthority(folder)).issue({ commonName: 'pooler' });
});

after(() => {
  rmSync(folder, { recursive: true });
});

function fleetMetrics(): { readonly metrics: Metrics; readonly fleet: PaperFleet } {
  const fleet = new PaperFleet({ pooler: { tls: { mode: 'prefer', certSecretRef: { name: 'orders-tls' } } } });
  // The certificate was made now.
  fleet.nowMs = Date.now();
  fleet.secrets.set('orders-tls', secret({ 'tls.crt': certificate.certificate, 'tls.key': certificate.key }));
  fleet.server = {
    reachable: true,
    limits: { versionNumber: 170000, maxConnections: 100, superuserReserved: 3, reserved: 0 },
    seesOthers: true,
    backends: [],
  };
  fleet.settle();
  for (const pod of fleet.pods) fleet.connect(pod.name, 3);
  const metrics = new Metrics(() => true);
  const observation = fleet.observe();
  metrics.saw('shop/orders', observation, planPool(observation));
  return { metrics, fleet };
}

describe('metrics', () => {
  for (const name of Object.keys(POOL_GAUGES)) {
    it(`gives ${name} for a fleet that runs`, async () => {
      const { metrics } = fleetMetrics();
      assert.match(await metrics.text(), new RegExp(`^${name}\\{namespace="shop",pool="orders"`, 'm'));
    });
  }

  it('shows the budget, the grants and the clients of each pod as they are', async () => {
    const { metrics, fleet } = fleetMetrics();
    const text = await metrics.text();
    assert.match(text, /^poolsmith_budget_connections\{namespace="shop",pool="orders"\} 75$/m);
    assert.match(text, /^poolsmith_granted_connections\{namespace="shop",pool="orders"\} 9$/m);
    for (const pod of fleet.pods)
      assert.ok(text.includes(`poolsmith_pod_clients{namespace="shop",pool="orders",pod="${pod.name}"} 3`));
  });

  it('shows orphaned backends by pod, and what others hold, without their names', async () => {
    const { metrics, fleet } = fleetMetrics();
    const [first] = fleet.pods;
    assert.ok(first && fleet.server?.reachable);
    fleet.orphans.set(first.name, 3);
    const others = { clientAddress: '192.0.2.7', user: 'reporting', database: 'orders', count: 12 };
    fleet.server = { ...fleet.server, backends: [{ ...others, clientAddress: first.ip, count: 3 }, others] };
    const observation = fleet.observe();
    metrics.saw('shop/orders', observation, planPool(observation));
    const text = await metrics.text();
    assert.ok(text.includes(`poolsmith_orphaned_backends{namespace="shop",pool="orders",pod="${first.name}"} 3`));
    assert.match(text, /^poolsmith_server_other_backends\{namespace="shop",pool="orders"\} 12$/m);
    assert.doesNotMatch(text, /reporting/);
  });

  it('tells when a certificate expires', async () => {
    const text = await fleetMetrics().metrics.text();
    const atSeconds = new X509Certificate(certificate.certificate).validToDate.getTime() / 1000;
    const labels = 'namespace="shop",pool="orders",certificate="spec.pooler.tls.certSecretRef"';
    assert.ok(text.includes(`poolsmith_certificate_expiry_timestamp_seconds{${labels}} ${atSeconds}`));
  });

  it('forgets a PoolConfig that is gone', async () => {
    const { metrics } = fleetMetrics();
    metrics.forget('shop/orders');
    assert.doesNotMatch(await metrics.text(), /pool="orders"/);
  });
});
