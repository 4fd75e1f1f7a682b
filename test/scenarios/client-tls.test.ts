// Clients speak TLS with the fleet: verified, never in plain text by accident, and with a certificate that is renewed under load.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import { RESOURCES } from '../../src/kube/resources.ts';
import { childNames, CONTAINER, POOLER_PORT } from '../../src/model/names.ts';
import { shownCertificate } from '../../src/pgbouncer/shown-certificate.ts';
import { until } from '../cluster/processes.ts';
import { makeAuthority, type Authority, type Certificate } from '../support/certificates.ts';
import { killContainer } from '../support/kill.ts';
import { cluster } from '../support/kubectl.ts';
import { conditionOf, readPool, waitForPool, type PoolConfigBuilder } from '../support/pool.ts';
import { podIdentities, poolAddress, poolPods } from '../support/pool-children.ts';
import { APP, DATABASE, measured, POOL, seconds, Stage } from '../support/stage.ts';
import { applyTlsSecret } from '../support/tls-secret.ts';

const SECRET = 'orders-tls';
const HOST = `${childNames(POOL).service}.shop.svc`;
const RENEWALS = 5;

describe('clients that speak TLS', function () {
  this.timeout(120_000);
  const held = new AsyncDisposableStack();
  let stage: Stage;
  let namespace: string;
  let authority: Authority;
  let trusting: ConnectionOptions;

  const issue = (days = 30): Promise<Certificate> => authority.issue({ commonName: 'pooler', hosts: [HOST], days });
  const pool = (mode: 'disable' | 'prefer' | 'require'): PoolConfigBuilder =>
    stage.pool().with({
      fleet: { replicas: 3, drain: { window: '5s', timeout: '20s' } },
      pooler: { tls: mode === 'disable' ? { mode } : { mode, certSecretRef: { name: SECRET } } },
    });

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'poolsmith-client-tls-'));
    held.defer(() => rm(folder, { recursive: true, force: true }));
    authority = await makeAuthority(folder);
    // As psql does with sslmode=verify-full: the name is the Service's, whatever address leads there.
    trusting = { ca: authority.certificate, servername: HOST };
    stage = held.use(await Stage.set({ prefix: 'client-tls' }));
    namespace = stage.namespace;
    await applyTlsSecret(namespace, SECRET, await issue());
    await stage.prove(pool('require'));
  });

  after(() => held.disposeAsync());

  /** How this address answers a client: `let in`, or with which words it refused. */
  async function answer(host: string, port: number, ssl: false | ConnectionOptions): Promise<string> {
    const login = { database: DATABASE, user: APP.name, password: APP.password };
    const client = new pg.Client({ host, port, ...login, ssl, connectionTimeoutMillis: 3_000, query_timeout: 5_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query('SELECT 1');
      return 'let in';
    } catch (error) {
      return (error as Error).message;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async function answers(ssl: false | ConnectionOptions): Promise<readonly string[]> {
    const addresses = await stage.podAddresses();
    return await Promise.all(addresses.map((host) => answer(host, POOLER_PORT, ssl)));
  }

  async function shown(): Promise<readonly (string | undefined)[]> {
    const addresses = await stage.podAddresses();
    return await Promise.all(
      addresses.map((host) => shownCertificate({ address: { host, port: POOLER_PORT }, timeoutMs: 2_000 })),
    );
  }

  const fingerprint = ({ certificate }: Certificate): string => new X509Certificate(certificate).fingerprint256;

  it('are let in by each pod with the certificate verified, and in plain text by none', async () => {
    assert.deepEqual(await answers(trusting), ['let in', 'let in', 'let in']);
    for (const words of await answers(false)) assert.match(words, /SSL required/);
    for (const words of await answers({ ...trusting, servername: 'another.shop.svc' })) assert.match(words, /altnames/);
    const { host, port } = await poolAddress(namespace, POOL);
    assert.equal(await answer(host, port, trusting), 'let in');
  });

  it('read in the condition until when the certificate lasts', async () => {
    const condition = conditionOf(await readPool(namespace, POOL), 'CertificatesValid');
    assert.equal(condition?.reason, 'CertificatesLast');
    assert.match(condition.message, /spec\.pooler\.tls\.certSecretRef, at \d{4}-/);
  });

  it(`see a renewed certificate at every pod, ${RENEWALS} times, without one failure or closed connection`, async () => {
    const pods = await podIdentities(namespace, POOL);
    await using load = await stage.load({ ssl: trusting, clients: 12, maxLifetimeSeconds: 1 });
    await using kept = await stage.load({ ssl: trusting, clients: 4, maxLifetimeSeconds: 0 });
    const tookMs: number[] = [];
    for (let round = 0; round < RENEWALS; round += 1) {
      const renewed = await issue();
      const former = (await readPool(namespace, POOL)).status?.configHash;
      const startedMs = performance.now();
      await applyTlsSecret(namespace, SECRET, renewed);
      const isShown = async (): Promise<true | undefined> =>
        (await shown()).every((one) => one === fingerprint(renewed)) || undefined;
      await until('the renewed certificate at every pod', isShown, 20_000, 50);
      tookMs.push(performance.now() - startedMs);
      await waitForPool(
        namespace,
        POOL,
        'proved with the renewed certificate',
        (live) => live.status?.configHash !== former && conditionOf(live, 'Ready')?.status === 'True',
      );
      // Changes of one pod are 1.2 s apart, so that the kubelet does not lose one.
      await load.done(150);
    }
    measured(`Secret → new connections see it at all pods: ${tookMs.map(seconds).join(', ')}`);
    assert.deepEqual(await podIdentities(namespace, POOL), pods);
    for (const running of [load, kept]) {
      const { done, failed, errors } = await running.stop();
      measured(`${done} transactions, ${failed} failed`);
      assert.equal(failed, 0, JSON.stringify(errors));
    }
  });

  it('meet no pod in plain text for a moment while one is made anew or its container is killed', async () => {
    const seen = new Set<string>();
    const letIn: string[] = [];
    let tries = 0;
    const stopping = new AbortController();
    const knocking = (async () => {
      while (!stopping.signal.aborted) {
        for (const { metadata, status } of await poolPods(namespace, POOL)) {
          if (status?.podIP === undefined) continue;
          const words = await answer(status.podIP, POOLER_PORT, false);
          tries += 1;
          if (words.includes('SSL required')) seen.add(metadata.name);
          if (words === 'let in') letIn.push(metadata.name);
        }
      }
    })();
    const [victim, other] = await poolPods(namespace, POOL);
    assert.ok(victim && other);
    const kube = await cluster();
    await kube.delete(RESOURCES.Pod, namespace, victim.metadata.name);
    const killed = await killContainer(namespace, other.metadata.name, CONTAINER);
    const isBack = async (): Promise<true | undefined> => {
      const { status } = await kube.get(RESOURCES.Pod, namespace, other.metadata.name);
      const state = status?.containerStatuses?.[0];
      return (state?.ready === true && state.containerID?.endsWith(killed) === false) || undefined;
    };
    await until('the killed container to be back', isBack, 60_000, 100);
    const isReplaced = async (): Promise<true | undefined> => {
      const pods = (await poolPods(namespace, POOL)).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      return (pods.length === 3 && pods.every(({ metadata }) => seen.has(metadata.name))) || undefined;
    };
    await until('the new pod to refuse a plain client', isReplaced, 60_000, 100);
    stopping.abort();
    await knocking;
    measured(`${tries} tries in plain text at ${seen.size} pods`);
    assert.deepEqual(letIn, []);
    assert.ok(seen.size >= 4);
  });

  it('may speak plain text with prefer, and must again with require; those that are connected stay', async () => {
    await using load = await stage.load({ ssl: trusting, clients: 4, maxLifetimeSeconds: 0 });
    await stage.prove(pool('prefer'));
    assert.deepEqual(await answers(false), ['let in', 'let in', 'let in']);
    assert.deepEqual(await answers(trusting), ['let in', 'let in', 'let in']);
    await stage.prove(pool('require'));
    for (const words of await answers(false)) assert.match(words, /SSL required/);
    await load.done(20);
    const { failed, errors } = await load.stop();
    assert.equal(failed, 0, JSON.stringify(errors));
  });

  it('go back to plain text when TLS is taken out', async () => {
    await stage.prove(pool('disable'));
    assert.deepEqual(await answers(false), ['let in', 'let in', 'let in']);
    for (const words of await answers(trusting)) assert.match(words, /does not support SSL/);
    assert.equal(conditionOf(await readPool(namespace, POOL), 'CertificatesValid'), undefined);
  });
});
