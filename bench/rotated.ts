// From writing a new password or certificate into its Secret to every pod running with it, under load that must not notice.
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { POOLER_PORT } from '../src/model/names.ts';
import { shownCertificate } from '../src/pgbouncer/shown-certificate.ts';
import { until } from '../test/cluster/processes.ts';
import { makeAuthority } from '../test/support/certificates.ts';
import type { Load } from '../test/support/load.ts';
import { applyBasicAuth, type LivePool } from '../test/support/pool.ts';
import type { Stage } from '../test/support/stage.ts';
import { applyTlsSecret } from '../test/support/tls-secret.ts';
import { repeat, type Measurement, type Result } from './measurement.ts';
import { everyPodProved, isAtRest, isReady } from './proved.ts';
import { spreadOf } from './spread.ts';
import { withFleet } from './standing-fleet.ts';

const PODS = 3;
const LIMIT_MS = 30_000;
const ROUNDS = 30;
/** Connections are kept: whoever logs in anew with the former password is rightly refused. */
const LOAD = { clients: 6, pauseMs: 40, maxLifetimeSeconds: 0 };

export const passwordRotated: Measurement = {
  name: 'passwordRotated',
  what: 'a password changed → proved in 3 pods',
  rounds: ROUNDS,
  run: async (setting) => {
    const { stage, watch } = setting;
    const [user, name] = ['rotating', 'rotated'];
    const first = 'the first password';
    await stage.sql(`CREATE ROLE ${user} LOGIN PASSWORD '${first}'; GRANT orders_app TO ${user}`);
    await applyBasicAuth(stage.namespace, user, user, first);
    const pool = stage.pool(name).withReplicas(PODS).withBudget(24).withUsers('orders-app', user);
    return await withFleet(setting, pool, async (live) => {
      let former = live.status?.configHash;
      await using load = await stage.load({ ...LOAD, user, password: first }, name);
      const took = await repeat(setting, passwordRotated.name, async (index) => {
        const password = `password ${index}`;
        await stage.sql(`ALTER ROLE ${user} PASSWORD '${password}'`);
        const startedMs = performance.now();
        await applyBasicAuth(stage.namespace, user, user, password);
        const { pool: seen, atMs } = await watch.until(name, 'the password to be proved', isOther(former), LIMIT_MS);
        former = seen.status?.configHash;
        const answers = await stage.letIn({ name: user, password }, undefined, name);
        if (answers.length !== PODS || answers.some((answer) => answer !== 'let in'))
          throw new Error(`status says that the password is proved, but pods say: ${answers.join(', ')}`);
        await watch.until(name, 'rest', (one) => isAtRest(one, PODS), LIMIT_MS);
        return atMs - startedMs;
      });
      return { ...spreadOf(took), ...unharmed(load) };
    });
  },
};

export const certificateRotated: Measurement = {
  name: 'certificateRotated',
  what: 'a certificate changed → shown to new clients by 3 pods',
  rounds: ROUNDS,
  run: async (setting) => {
    const { stage, watch } = setting;
    const name = 'encrypted';
    const folder = await mkdtemp(join(tmpdir(), 'bench-tls-'));
    try {
      const authority = await makeAuthority(folder);
      const host = `${name}-pooler.bench.svc`;
      const issue = () => authority.issue({ commonName: 'pooler', hosts: [host] });
      await applyTlsSecret(stage.namespace, 'bench-tls', await issue());
      const pool = stage
        .pool(name)
        .withReplicas(PODS)
        .withBudget(24)
        .with({ pooler: { tls: { mode: 'require', certSecretRef: { name: 'bench-tls' } } } });
      return await withFleet(setting, pool, async () => {
        const ssl = { ca: authority.certificate, servername: host };
        await using load = await stage.load({ ...LOAD, ssl }, name);
        const took = await repeat(setting, certificateRotated.name, async () => {
          const renewed = await issue();
          const { fingerprint256 } = new X509Certificate(renewed.certificate);
          const startedMs = performance.now();
          await applyTlsSecret(stage.namespace, 'bench-tls', renewed);
          await until('every pod to show it', () => isShown(stage, name, fingerprint256), LIMIT_MS, 20);
          const tookMs = performance.now() - startedMs;
          await watch.until(name, 'rest', (one) => isAtRest(one, PODS), LIMIT_MS);
          return tookMs;
        });
        return { ...spreadOf(took), ...unharmed(load) };
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

function isOther(former: string | undefined) {
  return (live: LivePool): boolean =>
    live.status?.configHash !== former && isReady(live, live.metadata.generation) && everyPodProved(live, PODS);
}

async function isShown(stage: Stage, name: string, fingerprint: string): Promise<true | undefined> {
  const addresses = await stage.podAddresses(name);
  const shown = await Promise.all(
    addresses.map((host) => shownCertificate({ address: { host, port: POOLER_PORT }, timeoutMs: 2_000 })),
  );
  return (shown.length === PODS && shown.every((one) => one === fingerprint)) || undefined;
}

/** @throws when a transaction failed. */
function unharmed({ tally }: Load): Result {
  if (tally.failed > 0) throw new Error(`${tally.failed} transactions failed: ${JSON.stringify(tally.errors)}`);
  return { transactions: tally.done, failed: tally.failed };
}
